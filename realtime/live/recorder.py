"""Live frames to video files that play at the true speed, with the microphone's sound."""

import shutil
from collections.abc import Callable
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, Self

from impasto.models.errors import SinkError
from impasto.realtime.atomic import check_target
from impasto.realtime.files.codecs import DEFAULT_ENCODER, EncoderOptions, container_for
from impasto.realtime.files.video_writer import VideoWriter
from impasto.realtime.frame import Frame, StreamInfo
from impasto.realtime.live.audio_track import Sound
from impasto.realtime.live.microphone import Microphone

# A disk's last part stays free: a full one would cost the whole recording, whose index comes last.
_RESERVE_BYTES = 64 << 20
# 9.9 ms of CPU time a frame at 1280x720, where the preset of converted files takes 16.8.
_FAST_H264 = EncoderOptions(preset="ultrafast")


class Recorder:
    """Records frames with their own times, in as many files as there are pauses.

    The file plays at the true speed, whatever was dropped on the way: every frame is shown until
    the next one's time, as told by its pts. The first file is `path`, those after it take the next
    free numbers: out.mp4, out-2.mp4 ... A frame of another size begins the next one.
    Names, codecs and errors are those of `VideoWriter`: a file has its name only when it is
    complete; odd sizes are kept, with full chroma.

    frame_rate: declared; the last frame lasts that long. microphone: its sound goes into the file;
    epoch, the `time.monotonic()` at which the frames' time is zero, must then be given. Both stay
    open: they belong to a `with` around this one. overwrite: of `path` only.
    say: gets a line for each file begun and ended, and each thing a user should know.
    reserve_bytes: with less than this free on the disk, the file is completed and SinkError raised.
    Raises SinkError at once where `path` cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        frame_rate: Fraction | None = None,
        microphone: Microphone | None = None,
        epoch: float = 0.0,
        overwrite: bool = False,
        say: Callable[[str], None] = lambda line: None,
        reserve_bytes: int = _RESERVE_BYTES,
    ) -> None:
        self.path = Path(path)
        self.paths: list[Path] = []  # of the files that are complete
        self._rate = frame_rate or Fraction(30)
        self._microphone = microphone
        self._epoch = epoch
        self._overwrite = overwrite
        self._say = say
        self._reserve = reserve_bytes
        self._container = container_for(self.path)
        check_target(self.path, overwrite=overwrite)
        self._begun = 0
        self._writer: VideoWriter | None = None
        self._sound: Sound | None = None
        self._size = (0, 0)
        self._zero = 0  # pts of the first frame of this file
        self._last = Fraction(0)  # seconds in this file
        self._count = 0

    def write(self, frame: Frame) -> None:
        """Write one frame. SinkError for a full disk or a lost folder; the next begins anew."""
        size = (frame.image.shape[0], frame.image.shape[1])
        if self._writer is not None and size != self._size:
            self._say(f"{self._writer.path.name} ends: the picture is now {size[1]}x{size[0]}")
            self.pause()
        self._keep_reserve()
        if self._writer is None:
            self._begin(frame, size)
        assert self._writer is not None
        try:
            self._writer.write(Frame(frame.image, frame.pts - self._zero, frame.time_base))
        except SinkError as error:
            self._writer.__exit__(type(error), error, None)  # which removes what there is
            self._writer = None
            raise
        if not self._count:  # what a file cannot hold is known when it is begun
            self._tell(self._writer.notes + (self._sound.notes if self._sound else []))
        self._last = (frame.pts - self._zero) * frame.time_base
        self._count += 1

    def pause(self) -> None:
        """Complete the file, if there is one; the next frame begins another."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.ends_at = self._last + 1 / self._rate
        if self._sound is not None:
            self._sound.end = writer.ends_at
        writer.close()
        self.paths.append(writer.path)
        self._say(f"{writer.path}: {float(writer.ends_at):.1f} s, {self._count} frames")

    def close(self) -> None:
        """Complete the file. A second call does nothing."""
        self.pause()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """The file is completed whatever came: what was recorded cannot be had again."""
        self.close()

    def _begin(self, frame: Frame, size: tuple[int, int]) -> None:
        path = self._next_path()
        self._zero, self._last, self._count, self._size = frame.pts, Fraction(0), 0, size
        extra_streams: Any = None
        if self._microphone is not None:
            zero = self._epoch + float(frame.pts * frame.time_base)
            extra_streams = self._sound = Sound(self._microphone, zero)
        self._writer = VideoWriter(
            path,
            StreamInfo(*size, time_base=frame.time_base, frame_rate=self._rate),
            encoder=_FAST_H264 if self._container.codecs[0] == "h264" else DEFAULT_ENCODER,
            extra_streams=extra_streams,
            overwrite=self._overwrite and path == self.path,
            index_first=False,
        )
        self._begun += 1
        self._say(f"recording {path}")

    def _tell(self, notes: list[str]) -> None:
        for note in notes:
            self._say(note)

    def _next_path(self) -> Path:
        """The name asked for, then the next number that is free."""
        if not self._begun:
            return self.path
        names = (self.path.with_stem(f"{self.path.stem}-{n}") for n in count(self._begun + 1))
        return next(path for path in names if not path.exists())

    def _keep_reserve(self) -> None:
        try:
            free = shutil.disk_usage(self.path.parent).free
        except OSError as error:
            raise SinkError(f"cannot write to {self.path.parent}: {error.strerror}") from error
        if free >= self._reserve:
            return
        recorded = self._writer.path.name if self._writer else None
        self.pause()
        raise SinkError(
            f"less than {self._reserve >> 20} MiB are free in {self.path.parent}: make room"
            + (f" ({recorded} is complete)" if recorded else "")
        )
