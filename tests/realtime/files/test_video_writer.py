"""The sink for video files: every frame, its time and colours; codecs; what is left behind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.models.errors import SinkError
from impasto.realtime.files.codecs import CODECS, CONTAINERS, EncoderOptions, encoding_for
from impasto.realtime.files.images import IMAGE_SUFFIXES, encode_image, write_image
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.files.video_writer import VideoWriter
from impasto.realtime.frame import ColorTags, Frame, StreamInfo
from impasto.realtime.threads import Background
from tests.media import number_of, numbered_picture

SIZE = (48, 64)
RATE = Fraction(25)
SOFTWARE = [
    (ext, codec)
    for ext, container in CONTAINERS.items()
    for codec in container.codecs
    if not CODECS[codec].hardware
]


def info_of(
    size: tuple[int, int] = SIZE, time_base: Fraction = 1 / RATE, **more: Any
) -> StreamInfo:
    return StreamInfo(*size, time_base=time_base, **{"frame_rate": RATE, **more})


def frames_of(
    count: int = 8,
    size: tuple[int, int] = SIZE,
    time_base: Fraction = 1 / RATE,
    pts: list[int] | None = None,
) -> Iterator[Frame]:
    for index in range(count):
        yield Frame(numbered_picture(index, size), pts[index] if pts else index, time_base)


def write(path: Path, frames: Iterator[Frame], info: StreamInfo, **options: Any) -> VideoWriter:
    with VideoWriter(path, info, encoder=EncoderOptions(**options)) as sink:
        for frame in frames:
            sink.write(frame)
    return sink


def read(path: Path) -> tuple[list[np.ndarray], list[Fraction], Fraction]:
    """Pictures, their times, and the duration, in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        frames = list(container.decode(stream))
        times = [(frame.pts or 0) * stream.time_base for frame in frames]
        duration = Fraction(container.duration or 0, av.time_base)
    return [frame.to_ndarray(format="rgb24") for frame in frames], times, duration


@pytest.fixture(autouse=True)
def no_file_is_left_open() -> Iterator[None]:
    yield
    here = Path("/proc/self/fd")
    if here.exists():
        opened = [os.readlink(fd) for fd in here.iterdir() if fd.exists()]
        assert not [name for name in opened if "partial" in name or "out." in name]


def video(path: Path) -> VideoWriter:
    return VideoWriter(path / "out.mp4", info_of())


def count_in(path: Path) -> int:
    return len(read(path / "out.mp4")[0]) if (path / "out.mp4").exists() else 0


class TestVideoWriter:
    def test_takes_every_frame(self, tmp_path: Path) -> None:
        with video(tmp_path) as sink:
            for frame in frames_of(8):
                sink.write(frame)
        assert count_in(tmp_path) == 8

    def test_shows_nothing_under_the_name_until_complete(self, tmp_path: Path) -> None:
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

    def test_closing_twice_is_closing_once(self, tmp_path: Path) -> None:
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


def test_interrupt_keeps_what_is_done_as_partial(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), video(tmp_path) as sink:
        for frame in frames_of(5):
            sink.write(frame)
        raise KeyboardInterrupt
    (left,) = tmp_path.iterdir()
    pictures, _, _ = read(left)
    assert left.name == "out.partial.mp4"
    assert [number_of(picture) for picture in pictures] == [0, 1, 2, 3, 4]


def test_no_frame_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="no frame came"), video(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


class TestCodecs:
    @pytest.mark.parametrize(("ext", "codec"), SOFTWARE)
    def test_every_pair_is_read_back(self, ext: str, codec: str, tmp_path: Path) -> None:
        path = tmp_path / f"out{ext}"
        sink = write(path, frames_of(12), info_of(), codec=codec)
        pictures, times, duration = read(path)
        assert [number_of(picture) for picture in pictures] == list(range(12))
        assert times == [n / RATE for n in range(12)]
        # MPEG-TS keeps no durations: readers guess that of the last frame.
        assert abs(duration - 12 / RATE) <= (1 / RATE if ext == ".ts" else 0)
        assert sink.notes == []
        error = np.mean(
            [np.abs(numbered_picture(n) - p.astype(float)) for n, p in [(5, pictures[5])]]
        )
        assert error < 6  # of 255: chroma at half size around hard edges, and the codec's own loss

    @pytest.mark.parametrize(("ext", "codec"), SOFTWARE)
    def test_odd_sizes_stay_as_they_are(self, ext: str, codec: str, tmp_path: Path) -> None:
        path = tmp_path / f"out{ext}"
        size = (49, 67)
        sink = write(path, frames_of(3, size), info_of(size), codec=codec)
        pictures, _, _ = read(path)
        assert [picture.shape for picture in pictures] == [(*size, 3)] * 3
        assert [number_of(picture) for picture in pictures] == [0, 1, 2]
        assert len(sink.notes) == (codec in ("h264", "hevc"))

    @pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "prores"])
    def test_ten_bits(self, codec: str, tmp_path: Path) -> None:
        path = tmp_path / "out.mkv"
        write(path, frames_of(3), info_of(), codec=codec, bit_depth=10)
        with av.open(str(path)) as container:
            form = container.streams.video[0].format
            assert form is not None and form.components[0].bits == 10

    def test_ten_bits_are_refused_where_there_are_none(self, tmp_path: Path) -> None:
        with pytest.raises(SinkError, match="10 bits.*choose from.*av1"):
            VideoWriter(
                tmp_path / "out.webm",
                info_of(),
                encoder=EncoderOptions(codec="vp9", bit_depth=10),
            )
        assert list(tmp_path.iterdir()) == []

    def test_extension_chooses(self) -> None:
        chosen = {ext: encoding_for(Path(f"a{ext}"), SIZE).codec for ext in CONTAINERS}
        assert chosen == {
            ".mp4": "h264",
            ".m4v": "h264",
            ".mov": "h264",
            ".mkv": "h264",
            ".ts": "h264",
            ".webm": "vp9",
            ".avi": "mpeg4",
            ".gif": "gif",
        }
        assert encoding_for(Path("A.MP4"), SIZE).codec == "h264"

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("a.mp5", {}, r"'.mp5' is not supported: use .*\.mp4"),
            ("a", {}, r"'a' has none: use .*\.mp4"),
            ("a.mp4", {"codec": "h265"}, "unknown codec 'h265': choose from .*hevc"),
            ("a.webm", {"codec": "h264"}, r"choose from vp9, av1.*\.mp4"),
            ("a.mp4", {"crf": 99}, "crf from 0 to 51, got 99"),
            ("a.mp4", {"preset": "warp"}, "no preset 'warp': choose from ultrafast"),
            ("a.gif", {"preset": "fast"}, "has no presets"),
            ("a.gif", {"crf": 5}, "does not support a crf"),
            ("a.gif", {"bitrate": 100_000}, "does not support a bitrate"),
            ("a.mp4", {"bitrate": 3}, "1000 bits a second or more"),
            ("a.mp4", {"crf": 20, "bitrate": 100_000}, "not both"),
        ],
    )
    def test_what_cannot_be_had_is_said_at_once(
        self, name: str, options: dict[str, Any], message: str, tmp_path: Path
    ) -> None:
        with pytest.raises(SinkError, match=message) as caught:
            VideoWriter(tmp_path / name, info_of(), encoder=EncoderOptions(**options))
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("codec", [c for c in CODECS if CODECS[c].hardware])
    def test_hardware_encoders_work_or_say_what_they_need(self, codec: str, tmp_path: Path) -> None:
        try:
            write(tmp_path / "out.mp4", frames_of(3, (144, 256)), info_of((144, 256)), codec=codec)
        except SinkError as error:
            assert "it needs an NVIDIA GPU" in str(error)
            assert list(tmp_path.iterdir()) == []
        else:
            assert len(read(tmp_path / "out.mp4")[0]) == 3

    @pytest.mark.parametrize(
        ("ext", "options"),
        [
            (".mp4", {"preset": "medium", "crf": 30}),
            (".mp4", {"codec": "hevc", "preset": "superfast"}),
            (".mp4", {"codec": "av1", "preset": "12", "crf": 50}),
            (".webm", {"preset": "5", "bitrate": 200_000}),
            (".mov", {"codec": "prores", "preset": "proxy"}),
            (".avi", {"crf": 20}),
            (".mp4", {"bitrate": 200_000}),
        ],
    )
    def test_settings_reach_the_encoder(
        self, ext: str, options: dict[str, Any], tmp_path: Path
    ) -> None:
        path = tmp_path / f"out{ext}"
        write(path, frames_of(12), info_of(), **options)
        assert [number_of(picture) for picture in read(path)[0]] == list(range(12))

    @pytest.mark.parametrize("codec", ["hevc", "av1"])
    def test_a_size_that_an_encoder_refuses(
        self, codec: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        tiny = [replace(frame, image=frame.image[:2, :2]) for frame in frames_of(3)]
        with pytest.raises(SinkError, match="did not open at 2x2: Invalid argument; try another"):
            write(tmp_path / "out.mp4", tiny, replace(info_of(), height=2, width=2), codec=codec)
        assert list(tmp_path.iterdir()) == [] and capfd.readouterr() == ("", "")

    def test_a_lower_crf_is_a_larger_file(self, tmp_path: Path) -> None:
        sizes = []
        for crf in (10, 40):
            write(tmp_path / f"{crf}.mp4", frames_of(12), info_of(), crf=crf)
            sizes.append((tmp_path / f"{crf}.mp4").stat().st_size)
        assert sizes[0] > 1.5 * sizes[1]


class TestTimes:
    UNEVEN = [0, 7, 8, 100, 101, 260, 1000, 1001]

    @pytest.mark.parametrize(
        ("ext", "codec", "preset"),
        [(*pair, None) for pair in SOFTWARE if pair[0] not in (".avi", ".gif")]
        # These make B-frames, which are stored in another order than shown.
        + [(*pair, "medium") for pair in SOFTWARE if pair[1] in ("h264", "hevc")],
    )
    def test_uneven_times_and_the_length_survive(
        self, ext: str, codec: str, preset: str | None, tmp_path: Path
    ) -> None:
        path, unit = tmp_path / f"out{ext}", Fraction(1, 1000)
        info = info_of(time_base=unit, duration=Fraction(1500, 1000))
        write(path, frames_of(8, pts=self.UNEVEN, time_base=unit), info, codec=codec, preset=preset)
        pictures, times, duration = read(path)
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
        write(path, frames_of(len(pts), (16, 16), unit, pts), info)
        _, times, duration = read(path)
        assert times == [p * unit for p in pts]
        # FFmpeg tells the duration in microseconds, after MP4's own milliseconds.
        assert abs(duration - (pts[-1] + last) * unit) < Fraction(2, 1000)

    def test_ntsc_rate_is_exact(self, tmp_path: Path) -> None:
        rate = Fraction(30000, 1001)
        info = info_of(time_base=1 / rate, frame_rate=rate, duration=60 / rate)
        write(
            tmp_path / "out.mp4",
            frames_of(60, (16, 16), 1 / rate),
            info_of((16, 16), **{"time_base": 1 / rate, "frame_rate": rate, "duration": 60 / rate}),
        )
        with av.open(str(tmp_path / "out.mp4")) as container:
            stream = container.streams.video[0]
            assert stream.average_rate == rate
            assert stream.duration * stream.time_base == info.duration

    @pytest.mark.parametrize(("ext", "step"), [(".gif", Fraction(1, 100)), (".avi", 1 / RATE)])
    def test_containers_with_coarse_clocks_round_and_say_so(
        self, ext: str, step: Fraction, tmp_path: Path
    ) -> None:
        path, unit = tmp_path / f"out{ext}", Fraction(1, 1000)
        pts = [0, 33, 67, 100, 233, 300]
        sink = write(path, frames_of(6, pts=pts, time_base=unit), info_of(time_base=unit))
        pictures, times, _ = read(path)
        assert [number_of(picture) for picture in pictures] == list(range(6))
        assert all(abs(t - p * unit) <= step for t, p in zip(times, pts, strict=True))
        assert len(sink.notes) == 1 and "times rounded" in sink.notes[0]

    def test_times_that_stand_still_move_on(self, tmp_path: Path) -> None:
        write(tmp_path / "out.mp4", frames_of(4, pts=[0, 5, 5, 4]), info_of())
        _, times, _ = read(tmp_path / "out.mp4")
        assert times == [0, 5 / RATE, 6 / RATE, 7 / RATE]

    def test_source_that_ended_early_does_not_freeze(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        with VideoWriter(path, info_of(duration=Fraction(60))) as sink:
            for frame in frames_of(10):
                sink.write(frame)
            sink.ends_at = None
        assert read(path)[2] == 10 / RATE


def test_narrow_hevc_in_10_bits_does_not_end_the_process(tmp_path: Path) -> None:
    """In a process of its own, for x265's vector code would take this one with it."""
    script = (
        "import sys, numpy as np\n"
        "from fractions import Fraction\n"
        "from impasto.realtime.frame import Frame, StreamInfo\n"
        "from impasto.realtime.files.video_writer import VideoWriter\n"
        "from impasto.realtime.files.codecs import EncoderOptions\n"
        "rng, tick = np.random.default_rng(0), Fraction(1, 25)\n"
        "options = EncoderOptions(codec='hevc', bit_depth=10)\n"
        "for width in (34, 40, 48):\n"
        "    info = StreamInfo(64, width, tick)\n"
        "    path = f'{sys.argv[1]}/{width}.mp4'\n"
        "    with VideoWriter(path, info, encoder=options) as sink:\n"
        "        for index in range(12):\n"
        "            image = rng.integers(0, 256, (64, width, 3), dtype=np.uint8)\n"
        "            sink.write(Frame(image, index, tick))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True)
    assert ran.returncode == 0, ran.stderr
    assert [len(read(tmp_path / f"{width}.mp4")[0]) for width in (34, 40, 48)] == [12] * 3


class TestTags:
    @pytest.mark.parametrize(
        ("ext", "codec"),
        [pair for pair in SOFTWARE if pair[1] not in ("gif", "mpeg4")],
    )
    @pytest.mark.parametrize(
        "color", [ColorTags(1, 1, 1), ColorTags(5, 6, 5), ColorTags(9, 16, 9), ColorTags()]
    )
    def test_colour_tags(self, ext: str, codec: str, color: ColorTags, tmp_path: Path) -> None:
        path = tmp_path / f"out{ext}"
        write(path, frames_of(4), info_of(color=color), codec=codec)
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
        assert frame.color_primaries == color.primaries
        assert frame.color_trc == color.transfer
        # An untagged picture may be tagged with what was used for it.
        assert frame.colorspace == color.matrix or (color.matrix == 2 and frame.colorspace == 6)
        assert frame.color_range in (0, 1)

    @pytest.mark.parametrize("ext", [".mp4", ".mkv", ".webm"])
    def test_full_range(self, ext: str, tmp_path: Path) -> None:
        path = tmp_path / f"out{ext}"
        color = ColorTags(1, 1, 1, full_range=True)
        grey = Frame(np.full((*SIZE, 3), 255, np.uint8), 0, 1 / RATE)
        write(path, iter([grey]), info_of(color=color))
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
        assert frame.color_range == 2
        assert np.asarray(frame.planes[0]).reshape(-1)[0] == 255  # limited range ends at 235

    @pytest.mark.parametrize(("ext", "codec"), SOFTWARE)
    @pytest.mark.parametrize(
        "color", [ColorTags(1, 1, 1), ColorTags(1, 1, 1, full_range=True), ColorTags(9, 16, 9)]
    )
    def test_colours_look_the_same_whatever_the_file_can_tell(
        self, ext: str, codec: str, color: ColorTags, tmp_path: Path
    ) -> None:
        path = tmp_path / f"out{ext}"
        red = Frame(np.full((*SIZE, 3), (200, 30, 60), np.uint8), 0, 1 / RATE)
        write(path, iter([red]), info_of(color=color), codec=codec)
        with VideoReader(path) as back:
            (frame,) = back
        # Coded colours are rounded, in lossy codecs by 2 levels and more; a matrix or a range that
        # decoders do not hear of would be 13.
        assert np.abs(frame.image.mean(axis=(0, 1)) - (200, 30, 60)).max() <= 5

    @pytest.mark.parametrize(
        ("ext", "codec"),
        [(".mp4", "h264"), (".mp4", "hevc"), (".mp4", "av1"), (".mp4", "vp9"), (".mov", "prores")]
        + [(".mkv", "h264"), (".ts", "h264"), (".avi", "mpeg4")],
    )
    def test_pixel_shape(self, ext: str, codec: str, tmp_path: Path) -> None:
        path = tmp_path / f"out{ext}"
        info = info_of(sample_aspect_ratio=Fraction(16, 11))
        sink = write(path, frames_of(4), info, codec=codec)
        with av.open(str(path)) as container:
            assert container.streams.video[0].sample_aspect_ratio == Fraction(16, 11)
        assert sink.notes == []

    def test_pixel_shape_that_cannot_be_told_is_noted(self, tmp_path: Path) -> None:
        info = info_of(sample_aspect_ratio=Fraction(16, 11))
        sink = write(tmp_path / "out.webm", frames_of(2), info)
        assert "squeezed" in sink.notes[0]

    def test_hdr_that_cannot_be_told_is_noted(self, tmp_path: Path) -> None:
        sink = write(tmp_path / "out.avi", frames_of(2), info_of(color=ColorTags(9, 16, 9)))
        assert sink.notes == ["out.avi cannot say that its colours are HDR: use .mp4 or .mkv"]

    def test_hevc_in_mp4_is_tagged_for_apple(self, tmp_path: Path) -> None:
        write(tmp_path / "out.mp4", frames_of(2), info_of(), codec="hevc")
        assert b"hvc1" in (tmp_path / "out.mp4").read_bytes()

    def test_mp4_starts_with_its_index(self, tmp_path: Path) -> None:
        write(tmp_path / "out.mp4", frames_of(2), info_of())
        data = (tmp_path / "out.mp4").read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")


class TestNames:
    def test_existing_target_is_refused_and_untouched(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        path.write_text("mine")
        with pytest.raises(SinkError, match="exists"):
            VideoWriter(path, info_of())
        assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]

    def test_overwriting_replaces_it_only_at_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        path.write_text("mine")
        with pytest.raises(RuntimeError), VideoWriter(path, info_of(), overwrite=True) as sink:
            sink.write(next(frames_of()))
            raise RuntimeError
        assert path.read_text() == "mine"
        write(path, frames_of(3), info_of(), overwrite=True)
        assert len(read(path)[0]) == 3

    def test_a_name_taken_meanwhile_is_not_overwritten(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        with pytest.raises(SinkError, match="meanwhile"), VideoWriter(path, info_of()) as sink:
            for frame in frames_of(3):
                sink.write(frame)
            path.write_text("theirs")
        assert path.read_text() == "theirs"
        assert len(read(tmp_path / "out.partial.mp4")[0]) == 3

    def test_an_old_partial_file_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "out.partial.mp4").write_text("old")
        write(tmp_path / "out.mp4", frames_of(3), info_of())
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

    def test_names_that_look_like_something_else(self, tmp_path: Path) -> None:
        for name in ("a:b %03d 'ü'.mp4", "-x.mp4", "a.b.c.mkv"):
            write(tmp_path / name, frames_of(2), info_of())
        assert len(list(tmp_path.iterdir())) == 3

    def test_size_that_changes_is_refused(self, tmp_path: Path) -> None:
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
            pytest.skip(f"needs leave to mount a small file system: {error}")
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


class TestPictures:
    @pytest.mark.parametrize("ext", IMAGE_SUFFIXES)
    @pytest.mark.parametrize("size", [(48, 64), (33, 47)])
    def test_are_read_back(self, ext: str, size: tuple[int, int], tmp_path: Path) -> None:
        image = numbered_picture(77, size)
        write_image(tmp_path / f"a{ext}", image)
        with av.open(str(tmp_path / f"a{ext}")) as container:
            got = next(container.decode(video=0)).to_ndarray(format="rgb24")
        assert got.shape == image.shape and number_of(got) == 77
        error = np.abs(got.astype(int) - image).mean()
        assert error == 0 if ext == ".png" else error < 4  # of 255

    def test_unknown_kind(self, tmp_path: Path) -> None:
        with pytest.raises(SinkError, match=r"use \.png"):
            write_image(tmp_path / "a.xyz", numbered_picture(0))
        assert list(tmp_path.iterdir()) == []

    def test_existing_is_refused(self, tmp_path: Path) -> None:
        write_image(tmp_path / "a.png", numbered_picture(0))
        with pytest.raises(SinkError, match="exists"):
            write_image(tmp_path / "a.png", numbered_picture(1))
        write_image(tmp_path / "a.png", numbered_picture(1), overwrite=True)
        assert (tmp_path / "a.png").read_bytes() == encode_image(numbered_picture(1), ".png")
