"""What was written is read back before it takes its name."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from impasto.models.errors import SinkError
from impasto.realtime.files import video_writer
from impasto.realtime.files.codecs import CONTAINERS
from impasto.realtime.files.convert import stylize_video
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.files.video_writer import VideoWriter
from impasto.realtime.files.written import WrittenVideo
from tests.media import (
    SIZE,
    SOFTWARE_CODECS,
    decoded,
    frames_of,
    info_of,
    make_audio_only,
    make_clip,
    stored_pts,
    text_file,
    truncated,
    write_video,
)
from tests.realtime.files.conversion import identity

MUXERS = {".m4v": "mp4", ".mkv": "matroska", ".ts": "mpegts"}
ONE_SECOND = WrittenVideo("mp4", SIZE, 25, Fraction(0), Fraction(24, 25))


def expected(path: Path) -> WrittenVideo:
    return replace(ONE_SECOND, muxer=MUXERS.get(path.suffix, path.suffix[1:]))


@pytest.mark.parametrize(("ext", "codec"), SOFTWARE_CODECS)
def test_what_is_whole_passes_and_half_of_it_does_not(ext: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ext}"
    write_video(path, frames_of(25), info_of(), codec=codec)
    expected(path).check(path)
    with pytest.raises(SinkError, match="the picture is 64x48 instead of 32x16"):
        replace(expected(path), size=(16, 32)).check(path)
    if ext in (".webp", ".apng"):
        return
    with pytest.raises(SinkError, match="last frame is at|frames instead of"):
        replace(expected(path), packets=250, last=Fraction(10)).check(path)
    if ext != ".gif":
        with pytest.raises(SinkError, match="cannot be read back|is at"):
            expected(path).check(truncated(path, 0.6))


def test_the_audio_must_be_there(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=25, audio=("eng",))
    replace(expected(path), audio=1).check(path)
    with pytest.raises(SinkError, match="has 1 audio streams instead of 2"):
        replace(expected(path), audio=2).check(path)


def test_there_must_be_a_picture(tmp_path: Path) -> None:
    for path in (make_audio_only(tmp_path / "a.mp4"), text_file(tmp_path / "b.mp4")):
        with pytest.raises(SinkError, match="cannot be read back") as caught:
            ONE_SECOND.check(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_cannot_be_read_back_takes_no_name(
    interrupted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_half(path: Path) -> None:  # as a disk does that fails after the last write
        truncated(path)

    monkeypatch.setattr(video_writer, "fill_room", lose_half)
    with (
        pytest.raises(KeyboardInterrupt if interrupted else SinkError),
        VideoWriter(tmp_path / "out.mp4", info_of()) as sink,
    ):
        for frame in frames_of(5):
            sink.write(frame)
        if interrupted:
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ext", sorted(CONTAINERS))
def test_one_frame_is_enough(ext: str, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=1, audio=("eng",), audio_seconds=2)
    stylize_video(clip, tmp_path / f"out{ext}", identity)
    with VideoReader(tmp_path / f"out{ext}") as source:
        assert len(list(source)) == 1


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("ext", [".mp4", ".mkv", ".ts"])
def test_few_frames_have_decoding_times(ext: str, frames: int, tmp_path: Path) -> None:
    """x265 with B-frames leaves those of one or two frames to chance."""
    path = tmp_path / f"out{ext}"
    write_video(path, frames_of(frames), info_of(), codec="hevc", preset="slow")
    assert len(stored_pts(path)) == frames
    with av.open(str(path)) as container:
        decoding = [p.dts * p.time_base for p in container.demux(video=0) if p.dts is not None]
    assert all(abs(time) < 2 for time in decoding)


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_a_short_mpeg_ts_is_known_by_its_content(frames: int, tmp_path: Path) -> None:
    write_video(tmp_path / "out.ts", frames_of(frames), info_of())
    path = (tmp_path / "out.ts").rename(tmp_path / "out")
    assert len(decoded(path)[0]) == frames
