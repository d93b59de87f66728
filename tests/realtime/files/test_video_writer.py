"""Video files: every frame, its time and color tags; nothing incomplete gets the final name."""

import os
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.models.errors import SinkError
from impasto.realtime.files.animation import plays_of
from impasto.realtime.files.codecs import CODECS, EncoderOptions
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.files.video_writer import VideoWriter
from impasto.realtime.frame import ColorTags, Frame, HdrMetadata
from impasto.realtime.threads import Background
from tests.media import (
    RATE,
    SIZE,
    SOFTWARE_CODECS,
    decoded,
    frames_of,
    info_of,
    number_of,
    write_video,
)

pytestmark = pytest.mark.usefixtures("no_file_is_left_open")


def video(path: Path) -> VideoWriter:
    return VideoWriter(path / "out.mp4", info_of())


def count_in(path: Path) -> int:
    return len(decoded(path / "out.mp4")[0]) if (path / "out.mp4").exists() else 0


class TestVideoWriter:
    def test_writes_every_frame(self, tmp_path: Path) -> None:
        with video(tmp_path) as sink:
            for frame in frames_of(8):
                sink.write(frame)
        assert count_in(tmp_path) == 8

    def test_the_name_appears_when_complete(self, tmp_path: Path) -> None:
        with video(tmp_path) as sink:
            for frame in frames_of(3):
                sink.write(frame)
            assert count_in(tmp_path) == 0

    def test_error_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match="half-way"), video(tmp_path) as sink:
            for frame in frames_of(3):
                sink.write(frame)
            raise RuntimeError("half-way")
        assert list(tmp_path.iterdir()) == []

    def test_error_before_the_first_frame_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError), video(tmp_path):
            raise RuntimeError
        assert list(tmp_path.iterdir()) == []

    def test_closing_twice(self, tmp_path: Path) -> None:
        with video(tmp_path) as sink:
            for frame in frames_of(2):
                sink.write(frame)
            sink.close()
        sink.close()
        assert count_in(tmp_path) == 2

    def test_works_from_a_thread(self, tmp_path: Path) -> None:
        with video(tmp_path) as sink, Background(sink, 2) as out:
            for frame in frames_of(8):
                out.write(frame)
        assert count_in(tmp_path) == 8


def test_an_interrupt_keeps_a_playable_partial_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), video(tmp_path) as sink:
        for frame in frames_of(5):
            sink.write(frame)
        raise KeyboardInterrupt
    (left,) = tmp_path.iterdir()
    pictures, _, _ = decoded(left)
    assert left.name == "out.partial.mp4"
    assert [number_of(picture) for picture in pictures] == [0, 1, 2, 3, 4]


@pytest.mark.skipif(not hasattr(os, "SCHED_FIFO"), reason="needs Linux's scheduling")
def test_no_thread_gets_real_time_priority(tmp_path: Path) -> None:
    """SVT-AV1 gives it to its threads and ours, if root runs it."""
    before = os.sched_getscheduler(0)
    with VideoWriter(tmp_path / "out.mkv", info_of(), encoder=EncoderOptions(codec="av1")) as sink:
        for frame in frames_of(3):
            sink.write(frame)
        threads = [int(thread) for thread in os.listdir("/proc/self/task")]
        assert len(threads) > 1
        policies = {os.sched_getscheduler(thread) for thread in threads}
        # Threads of earlier tests may have another policy, none of them real time.
        assert os.sched_getscheduler(0) == before
        assert not policies & {os.SCHED_FIFO, os.SCHED_RR}


def test_no_frame_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="has no frames"), video(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


COARSE = (".avi", ".gif", ".webp", ".apng", ".y4m")  # containers that cannot store any times


class TestTimes:
    UNEVEN = [0, 7, 8, 100, 101, 260, 1000, 1001]

    @pytest.mark.parametrize(
        ("ext", "codec", "preset"),
        [(*pair, None) for pair in SOFTWARE_CODECS if pair[0] not in COARSE]
        # These make B-frames, which are stored in another order than shown.
        + [(*pair, "medium") for pair in SOFTWARE_CODECS if pair[1] in ("h264", "hevc")],
    )
    def test_uneven_times_and_the_duration_are_kept(
        self, ext: str, codec: str, preset: str | None, tmp_path: Path
    ) -> None:
        path, unit = tmp_path / f"out{ext}", Fraction(1, 1000)
        info = info_of(time_base=unit, duration=Fraction(1500, 1000))
        write_video(
            path, frames_of(8, pts=self.UNEVEN, time_base=unit), info, codec=codec, preset=preset
        )
        pictures, times, duration = decoded(path)
        assert [number_of(picture) for picture in pictures] == list(range(8))
        if ext == ".ts":  # which starts where its first decoding time fits
            times = [time - times[0] for time in times]
        else:
            assert duration == Fraction(1500, 1000)
        assert times == [pts * unit for pts in self.UNEVEN]

    @given(
        gaps=st.lists(st.integers(1, 4000), min_size=1, max_size=12),
        unit=st.sampled_from(
            [Fraction(1, 90000), Fraction(1001, 30000), Fraction(1, 12800), Fraction(1, 600)]
        ),
        last=st.integers(1, 5000),
    )
    @settings(deadline=None, max_examples=25)
    def test_mp4_keeps_any_times(
        self, gaps: list[int], unit: Fraction, last: int, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        pts = [sum(gaps[:n]) for n in range(len(gaps) + 1)]
        path = tmp_path_factory.mktemp("any") / "out.mp4"
        info = info_of((16, 16), unit, duration=(pts[-1] + last) * unit)
        write_video(path, frames_of(len(pts), (16, 16), unit, pts), info)
        _, times, duration = decoded(path)
        assert times == [p * unit for p in pts]
        # FFmpeg gives the duration in microseconds, after MP4's own milliseconds.
        assert abs(duration - (pts[-1] + last) * unit) < Fraction(2, 1000)

    def test_ntsc_rate_is_exact(self, tmp_path: Path) -> None:
        rate = Fraction(30000, 1001)
        info = info_of(time_base=1 / rate, frame_rate=rate, duration=60 / rate)
        write_video(
            tmp_path / "out.mp4",
            frames_of(60, (16, 16), 1 / rate),
            info_of((16, 16), **{"time_base": 1 / rate, "frame_rate": rate, "duration": 60 / rate}),
        )
        with av.open(str(tmp_path / "out.mp4")) as container:
            stream = container.streams.video[0]
            assert stream.average_rate == rate
            assert stream.duration * stream.time_base == info.duration

    @pytest.mark.parametrize(("ext", "step"), [(".gif", Fraction(1, 100)), (".avi", 1 / RATE)])
    def test_containers_with_coarse_clocks_round_with_a_note(
        self, ext: str, step: Fraction, tmp_path: Path
    ) -> None:
        path, unit = tmp_path / f"out{ext}", Fraction(1, 1000)
        pts = [0, 33, 67, 100, 233, 300]
        sink = write_video(path, frames_of(6, pts=pts, time_base=unit), info_of(time_base=unit))
        pictures, times, _ = decoded(path)
        assert [number_of(picture) for picture in pictures] == list(range(6))
        assert all(abs(t - p * unit) <= step for t, p in zip(times, pts, strict=True))
        assert len(sink.notes) == 1 and "times rounded" in sink.notes[0]

    @pytest.mark.parametrize(("rate", "kept"), [(60, 50), (120, 50), (50, 50), (30, 30)])
    def test_no_frame_of_a_gif_is_shorter_than_two_hundredths(
        self, rate: int, kept: int, tmp_path: Path
    ) -> None:
        path, unit = tmp_path / "out.gif", Fraction(1, rate)
        info = info_of(time_base=unit, frame_rate=Fraction(rate), duration=Fraction(1))
        sink = write_video(path, frames_of(rate, time_base=unit), info)
        pictures, times, duration = decoded(path)
        assert len(pictures) == kept == rate - sink.frames_left_out and duration == 1
        assert min(b - a for a, b in pairwise(times)) >= Fraction(1, 50)
        # A hundredth early or late at most.
        for picture, time in zip(pictures, times, strict=True):
            assert abs(time - number_of(picture) * unit) <= Fraction(1, 100)
        left_out = [f".gif plays at most 50 frames a second: {rate - kept} left out"]
        rounded = [".gif stores times in steps of 1/100 s: times rounded"]
        assert sink.notes == (left_out if rate > 50 else rounded if rate == 30 else [])

    def test_uneven_times_in_a_gif(self, tmp_path: Path) -> None:
        """A burst at a thousandth of a second, a pause, and two frames at the end."""
        path, unit = tmp_path / "out.gif", Fraction(1, 1000)
        pts = [*range(100, 110), 500, 510, 1000, 1001]
        info = info_of(time_base=unit, duration=Fraction(1))
        sink = write_video(path, frames_of(14, pts=pts, time_base=unit), info)
        pictures, times, duration = decoded(path)
        assert [number_of(picture) for picture in pictures] == [9, 10, 11, 13]
        assert [round(100 * (time - times[0])) for time in times] == [0, 40, 42, 90]
        assert duration == 1 and sink.frames_left_out == 10

    @pytest.mark.parametrize(("plays", "stored"), [(None, 0), (0, 0), (1, None), (4, 3)])
    def test_how_often_a_gif_is_shown(
        self, plays: int | None, stored: int | None, tmp_path: Path
    ) -> None:
        path = tmp_path / "out.gif"
        write_video(path, frames_of(3), info_of(plays=plays))
        block = path.read_bytes().partition(b"NETSCAPE2.0\x03\x01")[2]
        assert (int.from_bytes(block[:2], "little") if block else None) == stored
        assert plays_of(path) == (plays or 0)
        with VideoReader(path) as back:
            assert back.info.plays == (plays or 0)

    def test_equal_times_are_increased(self, tmp_path: Path) -> None:
        write_video(tmp_path / "out.mp4", frames_of(4, pts=[0, 5, 5, 4]), info_of())
        _, times, _ = decoded(tmp_path / "out.mp4")
        assert times == [0, 5 / RATE, 6 / RATE, 7 / RATE]

    def test_a_source_that_ends_early_does_not_freeze(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        with VideoWriter(path, info_of(duration=Fraction(60))) as sink:
            for frame in frames_of(10):
                sink.write(frame)
            sink.close(truncated=True)
        assert decoded(path)[2] == 10 / RATE


class TestMetadata:
    @pytest.mark.parametrize(
        ("ext", "codec"),
        [pair for pair in SOFTWARE_CODECS if CODECS[pair[1]].color_tags],
    )
    @pytest.mark.parametrize(
        "color", [ColorTags(1, 1, 1), ColorTags(5, 6, 5), ColorTags(9, 14, 9), ColorTags()]
    )
    def test_color_tags(self, ext: str, codec: str, color: ColorTags, tmp_path: Path) -> None:
        path = tmp_path / f"out{ext}"
        write_video(path, frames_of(4), info_of(color=color), codec=codec)
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
        assert frame.color_primaries == color.primaries
        assert frame.color_trc == color.transfer
        # An untagged picture may be tagged with the matrix that was used.
        assert frame.colorspace == color.matrix or (color.matrix == 2 and frame.colorspace == 6)
        assert frame.color_range in (0, 1)

    @pytest.mark.parametrize("ext", [".mp4", ".mkv", ".webm"])
    def test_full_range(self, ext: str, tmp_path: Path) -> None:
        path = tmp_path / f"out{ext}"
        color = ColorTags(1, 1, 1, full_range=True)
        white = Frame(np.full((*SIZE, 3), 255, np.uint8), 0, 1 / RATE)
        write_video(path, iter([white]), info_of(color=color))
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
        assert frame.color_range == 2
        assert np.asarray(frame.planes[0]).reshape(-1)[0] == 255  # limited range ends at 235

    @pytest.mark.parametrize(("ext", "codec"), SOFTWARE_CODECS)
    @pytest.mark.parametrize(
        "color", [ColorTags(1, 1, 1), ColorTags(1, 1, 1, full_range=True), ColorTags(9, 14, 9)]
    )
    def test_colors_look_the_same_in_every_file(
        self, ext: str, codec: str, color: ColorTags, tmp_path: Path
    ) -> None:
        path = tmp_path / f"out{ext}"
        red = Frame(np.full((*SIZE, 3), (200, 30, 60), np.uint8), 0, 1 / RATE)
        write_video(path, iter([red]), info_of(color=color), codec=codec)
        with VideoReader(path, keep_hdr=True) as back:  # and wide gamuts
            (frame,) = back
        # Coded colors are rounded, in lossy codecs by 2 levels and more; a wrong matrix or range
        # would be 13 off.
        assert np.abs(frame.image.mean(axis=(0, 1)) - (200, 30, 60)).max() <= 5

    @pytest.mark.parametrize(
        ("ext", "codec"),
        [(".mp4", "h264"), (".mp4", "hevc"), (".mp4", "av1"), (".mp4", "vp9"), (".mov", "prores")]
        + [(".mkv", "h264"), (".ts", "h264"), (".avi", "mpeg4")],
    )
    def test_sample_aspect_ratio(self, ext: str, codec: str, tmp_path: Path) -> None:
        path = tmp_path / f"out{ext}"
        info = info_of(sample_aspect_ratio=Fraction(16, 11))
        sink = write_video(path, frames_of(4), info, codec=codec)
        with av.open(str(path)) as container:
            assert container.streams.video[0].sample_aspect_ratio == Fraction(16, 11)
        assert sink.notes == []

    def test_an_unsupported_pixel_shape_is_noted(self, tmp_path: Path) -> None:
        info = info_of(sample_aspect_ratio=Fraction(16, 11))
        sink = write_video(tmp_path / "out.webm", frames_of(2), info)
        assert "squeezed" in sink.notes[0]

    def test_a_pixel_shape_that_nobody_sees_is_not(self, tmp_path: Path) -> None:
        info = info_of(sample_aspect_ratio=Fraction(1281, 1280))
        assert write_video(tmp_path / "out.webm", frames_of(2), info).notes == []

    @pytest.mark.parametrize("transfer", [16, 18])
    @pytest.mark.parametrize(("ext", "codec"), SOFTWARE_CODECS)
    def test_hdr_in_8_bits_is_refused(
        self, ext: str, codec: str, transfer: int, tmp_path: Path
    ) -> None:
        if codec == "prores":
            return  # always 10 bits
        with pytest.raises(SinkError, match="use a bit depth of 10"):
            VideoWriter(
                tmp_path / f"out{ext}",
                info_of(color=ColorTags(9, transfer, 9)),
                encoder=EncoderOptions(codec=codec),
            )
        assert list(tmp_path.iterdir()) == []

    DISPLAY = HdrMetadata(
        chromaticities=tuple(
            Fraction(value, 50_000)
            for value in (34_000, 16_000, 13_250, 34_500, 7_500, 3_000, 15_635, 16_450)
        ),
        luminance=(Fraction(1, 1000), Fraction(1000)),
        light_level=(953, 241),
    )

    @pytest.mark.parametrize(
        ("ext", "codec"), [(".mp4", "hevc"), (".mkv", "hevc"), (".mp4", "h264"), (".mkv", "av1")]
    )
    def test_hdr_in_10_bits_keeps_its_tags_and_metadata(
        self, ext: str, codec: str, tmp_path: Path
    ) -> None:
        path, color = tmp_path / f"out{ext}", ColorTags(9, 16, 9)
        info = info_of((64, 96), color=color, hdr=self.DISPLAY, bit_depth=10)
        frames = frames_of(12, (64, 96))
        sink = write_video(path, frames, info, codec=codec, bit_depth=10)
        with VideoReader(path, keep_hdr=True) as back:
            assert back.info.color == color and back.info.bit_depth == 10
            found = back.info.hdr
        assert found is not None and found.chromaticities is not None and found.luminance
        assert found.light_level == (953, 241) and sink.notes == []
        expected = (*self.DISPLAY.chromaticities, *self.DISPLAY.luminance)
        # AV1 stores them in 1/65536, and the lowest luminance in 1/16384 cd/m2.
        for value, right in zip((*found.chromaticities, *found.luminance), expected, strict=True):
            assert abs(value - right) <= Fraction(1, 16384)

    def test_metadata_of_hdr_that_a_codec_cannot_store_is_noted(self, tmp_path: Path) -> None:
        info = info_of(color=ColorTags(9, 16, 9), hdr=self.DISPLAY, bit_depth=10)
        options = {"codec": "prores", "bit_depth": 10}
        sink = write_video(tmp_path / "out.mov", frames_of(2), info, **options)
        assert len(sink.notes) == 1 and "mastering display" in sink.notes[0]

    @pytest.mark.parametrize(("ext", "codec"), SOFTWARE_CODECS)
    def test_more_bits_than_are_written_are_noted(
        self, ext: str, codec: str, tmp_path: Path
    ) -> None:
        info, encoder = info_of(bit_depth=10), EncoderOptions(codec=codec)
        sink = VideoWriter(tmp_path / f"out{ext}", info, encoder=encoder)
        expected = "10 bits a channel become 8; a bit depth of 10 keeps 10"
        assert sink.notes == ([] if codec == "prores" else [expected])

    def test_hevc_in_mp4_is_tagged_for_apple(self, tmp_path: Path) -> None:
        write_video(tmp_path / "out.mp4", frames_of(2), info_of(), codec="hevc")
        assert b"hvc1" in (tmp_path / "out.mp4").read_bytes()

    def test_mp4_starts_with_its_index(self, tmp_path: Path) -> None:
        write_video(tmp_path / "out.mp4", frames_of(2), info_of())
        data = (tmp_path / "out.mp4").read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")


class TestNames:
    def test_an_existing_target_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        path.write_text("mine")
        with pytest.raises(SinkError, match="exists"):
            VideoWriter(path, info_of())
        assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]

    def test_overwriting_replaces_at_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        path.write_text("mine")
        with pytest.raises(RuntimeError), VideoWriter(path, info_of(), overwrite=True) as sink:
            sink.write(next(frames_of()))
            raise RuntimeError
        assert path.read_text() == "mine"
        write_video(path, frames_of(3), info_of(), overwrite=True)
        assert len(decoded(path)[0]) == 3

    def test_a_name_taken_meanwhile_is_not_overwritten(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        with pytest.raises(SinkError, match="meanwhile"), VideoWriter(path, info_of()) as sink:
            for frame in frames_of(3):
                sink.write(frame)
            path.write_text("theirs")
        assert path.read_text() == "theirs"
        assert len(decoded(tmp_path / "out.partial.mp4")[0]) == 3

    def test_an_old_partial_file_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "out.partial.mp4").write_text("old")
        write_video(tmp_path / "out.mp4", frames_of(3), info_of())
        assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]

    def test_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(SinkError, match="no folder"):
            VideoWriter(tmp_path / "not" / "out.mp4", info_of())

    def test_folder_as_target(self, tmp_path: Path) -> None:
        (tmp_path / "out.mp4").mkdir()
        with pytest.raises(SinkError, match="is a folder"):
            VideoWriter(tmp_path / "out.mp4", info_of(), overwrite=True)

    def test_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        # /proc lets nobody make files, not even root, whom modes do not stop.
        target = Path("/proc") if os.geteuid() == 0 else tmp_path
        if target == tmp_path:
            tmp_path.chmod(0o500)
        with pytest.raises(SinkError, match="cannot write to"):
            VideoWriter(target / "out.mp4", info_of())

    def test_names_that_look_like_protocols_or_patterns(self, tmp_path: Path) -> None:
        for name in ("a:b %03d 'ü'.mp4", "-x.mp4", "a.b.c.mkv"):
            write_video(tmp_path / name, frames_of(2), info_of())
        assert len(list(tmp_path.iterdir())) == 3

    def test_a_changed_frame_size_is_refused(self, tmp_path: Path) -> None:
        with (
            pytest.raises(SinkError, match="64x48, got a frame of 32x32"),
            VideoWriter(tmp_path / "out.mp4", info_of()) as sink,
        ):
            sink.write(next(frames_of(1)))
            sink.write(next(frames_of(1, (32, 32))))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("ext", [".mp4", ".mkv"])
    def test_full_disk(self, ext: str, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
        try:
            subprocess.run(mount, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"needs permission to mount a small file system: {error}")
        noise, best = np.random.default_rng(0), EncoderOptions(crf=5)
        try:
            with (
                pytest.raises(SinkError, match="the disk is full"),
                VideoWriter(disk / f"out{ext}", info_of((144, 192)), encoder=best) as sink,
            ):
                for n in range(40):
                    image = noise.integers(0, 256, (144, 192, 3), np.uint8)
                    sink.write(Frame(image, n, 1 / RATE))
            assert list(disk.iterdir()) == []
        finally:
            subprocess.run(["umount", str(disk)], check=True)
