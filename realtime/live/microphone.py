"""The microphone: audio with the timestamps of the frames' clock."""

import os
import platform
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Self

import av
from av.audio.frame import AudioFrame

from impasto.models.errors import SourceError
from impasto.realtime.threads import History

_KEPT_SECONDS = 30  # of audio that nobody takes: pictures may be late, or nothing is recorded
_CLOCK_SECONDS = 5  # a timestamp at most this far behind a clock is of that clock
_ARRIVALS = (
    400  # packets whose earliest arrival gives the offset of a device's own clock: 1 to 10 s
)
_CLOSE_SECONDS = 2  # a device that delivers nothing cannot be interrupted
_FORMATS = {"linux": ("pulse", "alsa"), "darwin": ("avfoundation",), "win32": ("dshow",)}
_PLUGIN_FOLDERS = (
    f"/usr/lib/{platform.machine()}-linux-gnu/alsa-lib",
    "/usr/lib64/alsa-lib",
    "/usr/lib/alsa-lib",
)


class AudioChunk(NamedTuple):
    """Some audio, and the `time.monotonic()` of its first sample.

    The pts of `samples` is that time in samples. Several readers share it: none may change it.
    """

    time: float
    samples: AudioFrame

    @property
    def end(self) -> float:
        """The `time.monotonic()` after its last sample."""
        return self.time + self.samples.samples / self.samples.sample_rate


class Microphone:
    """Records in a thread from construction until `close`.

        with Microphone() as microphone:
            recorder = Recorder("out.mp4", epoch=source.epoch, microphone=microphone)

    name: the device, by its name in FFmpeg's input `format` ("alsa", "pulse", "avfoundation",
    "dshow", "lavfi"); None: the system's default.
    log: gets one line if the microphone is lost.
    Raises SourceError if there is no microphone.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        format: str | None = None,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._log = log
        self.name, self._container = _open(name, format)
        self._stream = self._container.streams.audio[0]
        context = self._stream.codec_context
        self.rate: int = context.sample_rate
        self.channels: int = context.channels
        self._delays: deque[float] = deque(maxlen=_ARRIVALS)
        self._history = History(
            self._record,
            expired=lambda old, newest: old.time < newest.time - _KEPT_SECONDS,
            name="microphone",
        )

    def chunks(self, since: int = 0) -> tuple[list[AudioChunk], int]:
        """The chunks from number `since` on, of the last 30 seconds; and the next one's number.

        A recording and a stream may read at once.
        """
        return self._history.since(since)

    def wait_until(self, when: float, timeout_seconds: float) -> bool:
        """Wait for all audio before `when` (time.monotonic); whether it has arrived."""
        return self._history.wait_for(lambda chunk: chunk.end >= when, timeout_seconds)

    def close(self) -> None:
        """Stop recording. A second call does nothing."""
        self._history.stop()
        self._history.join(_CLOSE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _record(self) -> Iterator[AudioChunk]:
        reason = "it ended"
        try:
            for packet in self._container.demux(self._stream):
                for samples in packet.decode():
                    yield self._stamped(samples)
        except av.FFmpegError as error:
            reason = error.strerror or str(error)
        finally:
            self._container.close()
        self._log(f"the microphone {self.name} was lost ({reason}): continuing without audio")

    def _stamped(self, samples: AudioFrame) -> AudioChunk:
        start = self._start_of(samples, time.monotonic())
        samples.time_base, samples.pts = Fraction(1, self.rate), round(start * self.rate)
        return AudioChunk(start, samples)

    def _start_of(self, samples: AudioFrame, arrived: float) -> float:
        """The time of the first sample on the monotonic clock.

        ALSA and PulseAudio use timestamps of the wall clock and AVFoundation of the monotonic one,
        both corrected for the device's latency: these are used. Other devices have a clock of
        their own; the packets that arrived with the least delay give its offset.
        """
        length = samples.samples / self.rate
        if samples.pts is None or samples.time_base is None:
            return arrived - length
        stamp = float(samples.pts * samples.time_base)
        for now in (arrived, time.time()):
            if 0 <= now - (stamp + length) + 0.1 < _CLOCK_SECONDS:
                return stamp + arrived - now
        self._delays.append(arrived - (stamp + length))
        return stamp + min(self._delays)


def list_microphones() -> list[str]:
    """The microphones that FFmpeg lists; none of them is opened."""
    for format in _system_formats():  # with a sound server, its names are the meaningful ones
        with suppress(ValueError, av.FFmpegError):
            if devices := _devices(format):
                return [device.description or device.name for device in devices]
    return []


def _devices(format: str) -> list[Any]:
    """The audio inputs of a format, the default one first. Raises ValueError and FFmpegError."""
    devices = av.enumerate_input_devices(format)
    devices = [d for d in devices if not d.media_types or "audio" in d.media_types]
    return sorted(devices, key=lambda device: not device.is_default)


def _open(name: str | None, format: str | None) -> tuple[str, Any]:
    """The first microphone that opens: its name and container. SourceError with every reason."""
    reasons = []
    for its_format, its_name in _candidates(name, format):
        try:
            container = av.open(its_name, format=its_format)
        except (av.FFmpegError, ValueError) as error:
            reasons.append(f"{its_format} {its_name}: {getattr(error, 'strerror', None) or error}")
            continue
        if container.streams.audio:
            return its_name, container
        container.close()
        reasons.append(f"{its_format} {its_name}: no audio")
    reason = "; ".join(reasons) or "this machine has no sound device"
    raise SourceError(f"no microphone ({reason}): connect one, or omit --audio")


def _candidates(name: str | None, format: str | None) -> Iterator[tuple[str, str]]:
    """(input format, device), the likeliest first."""
    for its_format in _system_formats() if format is None else (format,):
        if name is not None:
            yield its_format, name
        elif its_format == "avfoundation":
            yield its_format, ":default"
        elif its_format == "dshow":
            yield from ((its_format, f"audio={device.name}") for device in _devices(its_format))
        else:
            yield its_format, "default"


def _system_formats() -> list[str]:
    """FFmpeg's input formats for this system's microphones, best first; none without a device."""
    if sys.platform == "linux":
        if not _has_sound():
            return []  # ALSA would print errors
        _set_alsa_paths()
    formats = _FORMATS.get(sys.platform, ())
    return [format for format in formats if format != "pulse" or format in av.formats_available]


def _has_sound() -> bool:
    """Whether Linux has a sound card or a sound server."""
    server = Path(os.environ.get("XDG_RUNTIME_DIR", "/run/user/0"), "pulse", "native")
    return Path("/dev/snd").exists() or server.exists() or "PULSE_SERVER" in os.environ


def _set_alsa_paths() -> None:
    """Point ALSA to the system's files: the copy in PyAV's wheels looks where it was built."""
    settings = Path("/usr/share/alsa/alsa.conf")
    if settings.exists():
        os.environ.setdefault("ALSA_CONFIG_PATH", str(settings))
    for folder in _PLUGIN_FOLDERS:
        if Path(folder).is_dir():
            os.environ.setdefault("ALSA_PLUGIN_DIR", folder)
