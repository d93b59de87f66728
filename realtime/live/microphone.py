"""The microphone, on the frames' clock; and its sound in a file beside the pictures."""

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

from models.errors import SourceError

_KEPT_SECONDS = 30  # of what nobody takes: the picture may be late, or nothing be recorded
_CLOCK_SECONDS = 5  # how far behind a clock a time stamp may be and still be of that clock
_ARRIVALS = 400  # packets by whose earliest a device's own clock is known: 1 to 10 seconds
_BITS_PER_CHANNEL = 96_000
_ENCODERS = {"webm": ("libopus", 48_000), "avi": ("libmp3lame", None)}  # name, rate; else AAC
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


class Sound:
    """What a microphone hears, as the companion of one recording's or stream's pictures.

    It stands where `companions.Companions` stands for a file, and cannot be that: there is no file
    to copy from, and the device's own clock, which runs a little fast or slow, is brought to the
    pictures' by stretching (FFmpeg's aresample), also over gaps.

    zero: the `time.monotonic()` that is zero in the file. begin: where the sound starts, in seconds
    of the file. Set `end`, in the same, before the file is closed: there the sound is cut. `notes`
    says what a user should know.
    """

    def __init__(self, microphone: Microphone, zero: float, begin: Fraction = Fraction(0)) -> None:
        self.notes: list[str] = []
        self.end: Fraction | None = None
        self._microphone = microphone
        self._zero = zero
        self._begin = begin
        self._taken = 0  # pieces of the microphone's
        self._output: Any = None
        self._stream: Any = None
        self._graph: Any = None
        self._waiting: deque[Any] = deque()  # AudioFrames, as the encoder takes them, not yet due

    def attach(self, output: Any, video: Any, first: Fraction, *, muxer: str) -> Fraction:
        """Give `output` a stream of sound, where it holds any. Returns its zero: none is moved."""
        if muxer == "gif":
            self.notes.append("a .gif holds no sound: record to .mp4")
            return Fraction(0)
        encoder, rate = _ENCODERS.get(muxer, ("aac", None))
        self._output = output
        self._stream = output.add_stream(encoder, rate=rate or self._microphone.rate)
        self._stream.layout = "mono" if self._microphone.channels == 1 else "stereo"
        self._stream.bit_rate = _BITS_PER_CHANNEL * min(2, self._microphone.channels)
        if muxer in ("matroska", "webm"):
            # The encoder's lead-in lies before zero; the muxer would move the picture for it.
            output.container_options["avoid_negative_ts"] = "disabled"
        return Fraction(0)

    def copy_until(self, time: Fraction) -> None:
        """Write everything before `time`, in seconds of the file."""
        if self._stream is None:
            return
        self._take()
        while self._waiting and self._end_of(self._waiting[0]) <= time:
            self._output.mux(self._stream.encode(self._waiting.popleft()))

    def finish(self, time: Fraction | None = None) -> None:
        """Write what was heard before `time`, or else before `end`."""
        if self._stream is None:
            return
        end = self.end if time is None else time
        if end is not None:
            self._wait(self._zero + float(end))
        self._take()
        if self._graph is not None:
            self._graph.push(None)
            self._pull()
        for sound in self._waiting:
            if end is None or sound.pts * sound.time_base < end:
                self._output.mux(self._stream.encode(sound))
        self._output.mux(self._stream.encode(None))

    def _wait(self, when: float) -> None:
        """Devices deliver late, in portions of up to half a second."""
        ahead = max(0.0, when - time.monotonic())
        self._microphone.wait_until(when, min(ahead, _CLOCK_SECONDS) + 1)

    def _take(self) -> None:
        """Whatever the microphone has heard since."""
        pieces, self._taken = self._microphone.heard(self._taken)
        for piece in pieces:
            self._push(piece)

    def _push(self, piece: Heard) -> None:
        sound = piece.sound
        if piece.time - self._zero + sound.samples / sound.sample_rate <= self._begin:
            return
        if self._graph is None:
            self._graph = self._aligning(sound)
        self._graph.push(sound)
        self._pull()

    def _aligning(self, sound: AudioFrame) -> Any:
        """Sound in, sound out in the encoder's own form and portions, each at its time.

        first_pts: cut or filled with silence so that it starts at `begin`. async: drift is
        stretched away, by at most that many samples a second, and gaps of 0.1 s and over are
        filled.
        """
        context = self._stream.codec_context  # open, as the file is begun: its form is decided
        graph = av.filter.Graph()
        source = graph.add_abuffer(
            sample_rate=sound.sample_rate,
            format=sound.format,
            layout="mono" if self._microphone.channels == 1 else sound.layout,
            time_base=Fraction(1, sound.sample_rate),
        )
        rate = context.sample_rate
        graph.link_nodes(
            source,
            graph.add("asetpts", f"PTS-{round(self._zero * sound.sample_rate)}"),
            graph.add("aresample", f"{rate}:async=1000:first_pts={round(self._begin * rate)}"),
            graph.add(
                "aformat",
                f"sample_fmts={context.format.name}:channel_layouts={context.layout.name}",
            ),
            graph.add("abuffersink"),
        ).configure()
        graph.set_audio_frame_size(context.frame_size)
        return graph

    def _pull(self) -> None:
        while True:
            try:
                self._waiting.append(self._graph.pull())
            except (av.BlockingIOError, av.EOFError):
                return

    def _end_of(self, sound: Any) -> Fraction:
        return sound.pts * sound.time_base + Fraction(sound.samples, sound.sample_rate)


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
