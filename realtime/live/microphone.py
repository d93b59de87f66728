"""The microphone, on the frames' clock."""

import os
import platform
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from threading import Condition, Thread
from typing import Any, NamedTuple, Self

import av
import av.filter
from av.audio.frame import AudioFrame

from impasto.models.errors import SourceError

_KEPT_SECONDS = 30  # of what nobody takes: the picture may be late, or nothing be recorded
_CLOCK_SECONDS = 5  # how far behind a clock a time stamp may be and still be of that clock
_ARRIVALS = 400  # packets by whose earliest a device's own clock is known: 1 to 10 seconds
_PLUGIN_FOLDERS = (
    f"/usr/lib/{platform.machine()}-linux-gnu/alsa-lib",
    "/usr/lib64/alsa-lib",
    "/usr/lib/alsa-lib",
)


class Heard(NamedTuple):
    """A piece of sound, and the `time.monotonic()` at which its first sample was heard.

    That is its pts, too, in samples. Several may read it: none may change it.
    """

    time: float
    sound: AudioFrame


class Microphone:
    """Listens in a thread from the moment it is made until `close`.

        with Microphone() as microphone:
            recorder = Recorder("out.mp4", epoch=source.epoch, microphone=microphone)

    name: the device, as FFmpeg's input `form` calls it ("alsa", "pulse", "avfoundation", "dshow",
    "lavfi"); None: the one the system has as its default.
    say: called with one line where the microphone is lost.
    Raises SourceError where there is none.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        form: str | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._say = say
        self.name, self._container = _opened(name, form)
        self._stream = self._container.streams.audio[0]
        context = self._stream.codec_context
        self.rate: int = context.sample_rate
        self.channels: int = context.channels
        self._pieces: deque[Heard] = deque()
        self._count = 0  # of all pieces so far
        self._heard_until = time.monotonic()
        self._lags: deque[float] = deque(maxlen=_ARRIVALS)
        self._changed = Condition()
        self._stopping = False
        self._ended = False
        self._thread = Thread(target=self._work, name="microphone", daemon=True)
        self._thread.start()

    def heard(self, since: int = 0) -> tuple[list[Heard], int]:
        """The pieces from number `since` on, of the last 30 seconds; and the next one's number.

        So a recording and a stream may listen at once.
        """
        with self._changed:
            first = self._count - len(self._pieces)
            return list(islice(self._pieces, max(0, since - first), None)), self._count

    def wait_until(self, when: float, timeout_seconds: float) -> bool:
        """Wait until it has heard what sounded before `when` (monotonic); False if it has not."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._ended or self._heard_until >= when, timeout_seconds
            )
            return self._heard_until >= when

    def close(self) -> None:
        """Stop listening. A second call does nothing."""
        self._stopping = True
        self._thread.join(2)  # a device that delivers nothing cannot be interrupted

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        reason = "it ended"
        try:
            for packet in self._container.demux(self._stream):
                if self._stopping:
                    break
                for sound in packet.decode():
                    self._keep(sound)
        except av.FFmpegError as error:
            reason = error.strerror or str(error)
        finally:
            self._container.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()
        if not self._stopping:
            self._say(f"the microphone {self.name} was lost ({reason}): going on without sound")

    def _keep(self, sound: AudioFrame) -> None:
        length = sound.samples / self.rate
        began = self._time_of(sound, time.monotonic(), length)
        sound.time_base, sound.pts = Fraction(1, self.rate), round(began * self.rate)
        with self._changed:
            self._pieces.append(Heard(began, sound))
            self._count += 1
            while self._pieces[0].time < began - _KEPT_SECONDS:
                self._pieces.popleft()
            self._heard_until = began + length
            self._changed.notify_all()

    def _time_of(self, sound: AudioFrame, arrived: float, length: float) -> float:
        """When the first sample was heard, on the monotonic clock.

        ALSA and PulseAudio stamp by the wall clock and AVFoundation by the monotonic one, both
        less the device's delay: those stamps are taken. Others count from somewhere: then
        the packets that came with the least delay tell from where.
        """
        if sound.pts is None or sound.time_base is None:
            return arrived - length
        stamp = float(sound.pts * sound.time_base)
        for now in (arrived, time.time()):
            if 0 <= now - (stamp + length) + 0.1 < _CLOCK_SECONDS:
                return stamp + arrived - now
        self._lags.append(arrived - (stamp + length))
        return stamp + min(self._lags)


def list_microphones() -> list[str]:
    """The microphones that FFmpeg finds here, none of them opened."""
    form = _system_form()
    if form is None or (form == "alsa" and not _has_sound()):
        return []
    if form == "alsa":
        _show_alsa_its_files()
    forms = ["pulse", form] if form == "alsa" else [form]
    for one in forms:  # with a sound server, its names are those that mean something
        with suppress(ValueError, av.FFmpegError):
            devices = [d for d in av.enumerate_input_devices(one) if _hears(d)]
            if devices:
                return [device.description or device.name for device in devices]
    return []


def _hears(device: Any) -> bool:
    return not device.media_types or "audio" in device.media_types


def _opened(name: str | None, form: str | None) -> tuple[str, Any]:
    """The first microphone that opens, and its name. SourceError with every reason, if none."""
    reasons = []
    for its_form, its_name in _candidates(name, form):
        try:
            container = av.open(its_name, format=its_form)
        except (av.FFmpegError, ValueError) as error:
            reasons.append(f"{its_form} {its_name}: {getattr(error, 'strerror', None) or error}")
            continue
        if container.streams.audio:
            return its_name, container
        container.close()
        reasons.append(f"{its_form} {its_name}: it gives no sound")
    why = "; ".join(reasons) or "this machine has no sound device"
    raise SourceError(f"no microphone ({why}): connect one, or leave the sound out")


def _candidates(name: str | None, form: str | None) -> list[tuple[str, str]]:
    """(input format, device), the likeliest first."""
    if form is None:
        form = _system_form()
    if form is None:
        return []
    if form == "alsa":
        _show_alsa_its_files()
    if name is not None:
        return [(form, name)]
    if form == "avfoundation":
        return [(form, ":default")]
    if form == "dshow":
        found = [d for d in av.enumerate_input_devices(form) if "audio" in d.media_types]
        found.sort(key=lambda device: not device.is_default)
        return [(form, f"audio={device.name}") for device in found]
    if form == "alsa" and not _has_sound():
        return []  # asking ALSA, it would print its own complaints
    pulse = [("pulse", "default")] if "pulse" in av.formats_available else []
    return [*pulse, (form, "default")]


def _system_form() -> str | None:
    """What FFmpeg calls this system's microphones."""
    return {"linux": "alsa", "darwin": "avfoundation", "win32": "dshow"}.get(sys.platform)


def _has_sound() -> bool:
    """Whether Linux has a sound card, or a sound server is to be reached."""
    server = Path(os.environ.get("XDG_RUNTIME_DIR", "/run/user/0"), "pulse", "native")
    return Path("/dev/snd").exists() or server.exists() or "PULSE_SERVER" in os.environ


def _show_alsa_its_files() -> None:
    """PyAV's wheels have an ALSA of their own, which looks where it was built and finds nothing."""
    settings = Path("/usr/share/alsa/alsa.conf")
    if settings.exists():
        os.environ.setdefault("ALSA_CONFIG_PATH", str(settings))
    for folder in _PLUGIN_FOLDERS:
        if Path(folder).is_dir():
            os.environ.setdefault("ALSA_PLUGIN_DIR", folder)
