"""Records live frames to video files with their own timing, and the microphone's audio."""

import shutil
from collections.abc import Callable
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Self

from impasto.models.errors import SinkError
from impasto.realtime.atomic import check_target
from impasto.realtime.files.codecs import DEFAULT_ENCODER, EncoderOptions, container_for
from impasto.realtime.files.video_writer import ExtraStreams, VideoWriter
from impasto.realtime.frame import Frame, StreamInfo
from impasto.realtime.live.audio_track import AudioTrack
from impasto.realtime.live.microphone import Microphone

# Kept free on the disk: a full disk would cost the whole recording, whose index is written last.
_RESERVE_BYTES = 64 << 20
# 9.9 ms of CPU time a frame at 1280x720, where the preset of converted files takes 16.8.
_FAST_H264 = EncoderOptions(preset="ultrafast")


class Recorder:
    """Records frames by their pts, to a new file after each pause.

    Files play at the original speed, whatever frames were dropped: each frame is shown until the
    pts of the next. The first file is `path`, later ones take the next free numbers: out.mp4,
    out-2.mp4 ... A frame of another size also begins a new file.
    Names, codecs and errors are those of `VideoWriter`: a file gets its name once it is complete;
    odd sizes are kept, with full chroma.

    frame_rate: declared; the last frame lasts 1 / frame_rate. microphone: recorded too; then epoch
    is required, the `time.monotonic()` at pts 0. It is not closed. overwrite: of `path` only.
    log: gets a line for each file begun and completed, and each thing a user should know.
    reserve_bytes: with less than this free on the disk, the file is completed and SinkError raised.
    Raises SinkError at once if `path` cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        frame_rate: Fraction | None = None,
        microphone: Microphone | None = None,
        epoch: float = 0.0,
        overwrite: bool = False,
        log: Callable[[str], None] = lambda line: None,
        reserve_bytes: int = _RESERVE_BYTES,
    ) -> None:
        self.path = Path(path)
        self.paths: list[Path] = []  # of the complete files
        self._rate = frame_rate or Fraction(30)
        self._microphone = microphone
        self._epoch = epoch
        self._overwrite = overwrite
        self._log = log
        self._reserve = reserve_bytes
        self._container = container_for(self.path)
        check_target(self.path, overwrite=overwrite)
        self._files = 0  # begun so far
        self._writer: VideoWriter | None = None
        self._audio: AudioTrack | None = None
        self._size = (0, 0)
        self._first_pts = 0  # of this file
        self._last = Fraction(0)  # time of the last frame, seconds in this file
        self._count = 0  # of frames in this file

    def write(self, frame: Frame) -> None:
        """Write one frame. SinkError for a full disk or a lost folder; then a new file begins."""
        size = (frame.image.shape[0], frame.image.shape[1])
        if self._writer is not None and size != self._size:
            self._log(f"{self._writer.path.name} ends: the picture is now {size[1]}x{size[0]}")
            self.pause()
        self._check_free_space()
        if self._writer is None:
            self._begin(frame, size)
        assert self._writer is not None
        try:
            self._writer.write(Frame(frame.image, frame.pts - self._first_pts, frame.time_base))
        except SinkError as error:
            self._writer.__exit__(type(error), error, None)  # removes the incomplete file
            self._writer = None
            raise
        if not self._count:  # what the file cannot hold is known once it is begun
            for note in self._writer.notes + (self._audio.notes if self._audio else []):
                self._log(note)
        self._last = (frame.pts - self._first_pts) * frame.time_base
        self._count += 1

    def pause(self) -> None:
        """Complete the file, if one is open; the next frame begins a new one."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        end = self._last + 1 / self._rate
        if self._audio is not None:
            self._audio.end = end
        writer.close(end_time=end)
        self.paths.append(Path(str(writer.path)))
        self._log(f"{writer.path}: {float(end):.1f} s, {self._count} frames")

    def close(self) -> None:
        """Complete the file. A second call does nothing."""
        self.pause()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Complete the file, also after an error: a recording cannot be repeated."""
        self.close()

    def _begin(self, frame: Frame, size: tuple[int, int]) -> None:
        path = self._next_path()
        self._first_pts, self._last, self._count, self._size = frame.pts, Fraction(0), 0, size
        extra_streams: ExtraStreams | None = None
        if self._microphone is not None:
            epoch = self._epoch + float(frame.pts * frame.time_base)
            extra_streams = self._audio = AudioTrack(self._microphone, epoch)
        self._writer = VideoWriter(
            path,
            StreamInfo(*size, time_base=frame.time_base, frame_rate=self._rate),
            encoder=_FAST_H264 if self._container.codecs[0] == "h264" else DEFAULT_ENCODER,
            extra_streams=extra_streams,
            overwrite=self._overwrite and path == self.path,
            index_first=False,
        )
        self._files += 1
        self._log(f"recording {path}")

    def _next_path(self) -> Path:
        """`path` for the first file, then the next free number."""
        if not self._files:
            return self.path
        names = (self.path.with_stem(f"{self.path.stem}-{n}") for n in count(self._files + 1))
        return next(path for path in names if not path.exists())

    def _check_free_space(self) -> None:
        try:
            free = shutil.disk_usage(self.path.parent).free
        except OSError as error:
            raise SinkError(f"cannot write to {self.path.parent}: {error.strerror}") from error
        if free >= self._reserve:
            return
        recorded = self._writer.path.name if self._writer else None
        self.pause()
        raise SinkError(
            f"less than {self._reserve >> 20} MiB free in {self.path.parent}: make room"
            + (f" ({recorded} is complete)" if recorded else "")
        )
