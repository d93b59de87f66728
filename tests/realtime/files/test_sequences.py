"""Pictures in sequence, read and written as films."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from impasto.models.errors import SinkError, SourceError
from impasto.realtime.files.convert import stylize_video
from impasto.realtime.files.image_files import in_words, number_pattern, runs_of
from impasto.realtime.files.images import read_picture, write_image
from impasto.realtime.files.video_reader import VideoReader
from tests.media import decoded, make_clip, number_of, numbered_picture
from tests.realtime.files.conversion import identity
from tests.realtime.test_mask import inverted


def make_pictures(folder: Path, numbers: list[int], name: str = "{:05d}.png") -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        write_image(folder / name.format(number), numbered_picture(number))
    return folder


def shown(film: Path) -> tuple[list[int], list[Fraction], Fraction]:
    """Numbers and times of the frames of a film, and its duration."""
    pictures, times, duration = decoded(film)
    return [number_of(picture) for picture in pictures], times, duration


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestPatterns:
    @pytest.mark.parametrize(
        ("name", "number", "file"),
        [
            ("%05d.png", 7, "00007.png"),
            ("%5d.png", 7, "00007.png"),
            ("shot_%d_v2.tif", 7, "shot_7_v2.tif"),
            ("100%%_%03d.jpg", 1234, "100%_1234.jpg"),
        ],
    )
    def test_names(self, name: str, number: int, file: str, tmp_path: Path) -> None:
        pattern = number_pattern(tmp_path / name)
        assert pattern is not None and pattern.path(number) == tmp_path / file
        (tmp_path / file).touch()
        assert pattern.files() == {number: tmp_path / file}

    def test_what_is_none(self, tmp_path: Path) -> None:
        for name in ("frame.png", "%s.png", "%05d.mp4", "%05d"):
            assert number_pattern(tmp_path / name) is None
        (tmp_path / "%d.png").touch()
        assert number_pattern(tmp_path / "%d.png") is None  # a file of that name

    def test_only_files_that_fit(self, tmp_path: Path) -> None:
        for name in ("0001.png", "001.png", "1.png", "0002.jpg", "a0003.png", "12345.png"):
            (tmp_path / name).touch()
        exact, any_width = (
            number_pattern(tmp_path / "%04d.png"),
            number_pattern(tmp_path / "%d.png"),
        )
        assert exact is not None and any_width is not None
        assert [path.name for path in exact.files().values()] == ["0001.png", "12345.png"]
        assert list(any_width.files()) == [1, 12345]

    def test_numbers_in_words(self) -> None:
        assert in_words(runs_of([9, 4, 5, 6])) == "4 to 6, 9"
        assert in_words(runs_of(range(0, 40, 2))) == "0, 2, 4, 6, 8, 10 and 14 more"


class TestReading:
    def test_numbers_start_anywhere_and_gaps_take_their_time(self, tmp_path: Path) -> None:
        frames = make_pictures(tmp_path / "frames", [117, 118, 119, 122, 123])
        report = stylize_video(frames / "%05d.png", tmp_path / "out.mp4", identity, frame_rate=10)
        numbers, times, duration = shown(tmp_path / "out.mp4")
        assert numbers == [117, 118, 119, 122, 123]
        assert times == [Fraction(n, 10) for n in (0, 1, 2, 5, 6)] and duration == Fraction(7, 10)
        note = "pictures 120 to 121 are missing; the picture before is shown for their time"
        assert report.notes == (note,) and report.missing_frames == 0

    def test_a_rate_that_is_not_given(self, tmp_path: Path) -> None:
        frames = make_pictures(tmp_path / "frames", [0, 1])
        report = stylize_video(frames / "%05d.png", tmp_path / "out.mkv", identity)
        assert shown(tmp_path / "out.mkv")[1] == [0, Fraction(1, 25)]
        assert report.notes == ("25 pictures a second, as no rate was given",)

    def test_a_folder_in_natural_order(self, tmp_path: Path) -> None:
        frames = make_pictures(tmp_path / "frames", [8, 9, 10, 13], "frame{}.png")
        (frames / "notes.txt").touch()
        report = stylize_video(frames, tmp_path / "out.mp4", identity, frame_rate=25)
        assert shown(tmp_path / "out.mp4")[:2] == (
            [8, 9, 10, 13],
            [Fraction(n, 25) for n in range(4)],
        )
        assert report.notes == ("pictures 11 to 12 are missing",)

    def test_start_and_end(self, tmp_path: Path) -> None:
        frames = make_pictures(tmp_path / "frames", list(range(10, 20)))
        part = {"start": Fraction("0.3"), "end": Fraction("0.7")}
        stylize_video(frames / "%05d.png", tmp_path / "out.mkv", identity, frame_rate=10, **part)  # type: ignore[arg-type]
        assert shown(tmp_path / "out.mkv")[0] == [13, 14, 15, 16]
        with pytest.raises(SourceError, match="cannot start at 9 s: .* is 1 s long"):
            stylize_video(frames, tmp_path / "late.mkv", identity, frame_rate=10, start=9)

    def test_another_size_is_fitted_and_a_broken_picture_is_missing(self, tmp_path: Path) -> None:
        frames = make_pictures(tmp_path / "frames", [1, 2, 3, 4])
        write_image(frames / "00002.png", np.full((48, 32, 3), 200, np.uint8), overwrite=True)
        (frames / "00003.png").write_bytes((frames / "00004.png").read_bytes()[:50])
        report = stylize_video(frames / "%05d.png", tmp_path / "out.mkv", identity, frame_rate=25)
        pictures, times, _ = decoded(tmp_path / "out.mkv")
        assert times == [0, Fraction(1, 25), Fraction(3, 25)] and report.missing_frames == 1
        assert (
            pictures[1][24, 4].max() < 20 and pictures[1][24, 32].min() > 180
        )  # bars at the sides
        assert report.notes[0] == "00002.png is 32x48: fitted into 64x48 with bars"
        assert report.notes[1].startswith(f"cannot read {frames / '00003.png'}: ")

    def test_transparency_over_black_or_kept(self, tmp_path: Path) -> None:
        pixels = np.full((48, 64, 4), 200, np.uint8)
        pixels[..., 3] = np.where(np.arange(64) < 32, 0, 255)
        for number in (1, 2):
            write_image(tmp_path / f"{number}.png", pixels)
        report = stylize_video(tmp_path / "%d.png", tmp_path / "out.mkv", identity, frame_rate=25)
        assert report.notes == ("transparency: composited over black",)
        (first, _), _, _ = decoded(tmp_path / "out.mkv")
        assert first[24, 8].max() < 20 and first[24, 56].min() > 180
        stylize_video(tmp_path / "%d.png", tmp_path / "out.apng", identity, frame_rate=25)
        with Image.open(tmp_path / "out.apng") as film:
            alpha = np.asarray(film.convert("RGBA"))[24, [8, 56], 3]
        assert alpha.tolist() == [0, 255]

    @pytest.mark.parametrize("source", ["none/%d.png", "%03d.png"])
    def test_no_pictures(self, source: str, tmp_path: Path) -> None:
        (tmp_path / "1.png").touch()
        with pytest.raises(SourceError, match="no file matches"):
            stylize_video(tmp_path / source, tmp_path / "out.mp4", identity)

    def test_none_that_can_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "1.png").write_text("no picture")
        with pytest.raises(SourceError, match="1.png: it is not an image"):
            stylize_video(tmp_path / "%d.png", tmp_path / "out.mp4", identity)


class TestWriting:
    def test_every_frame_is_a_file(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4", frames=12, audio=["eng"])
        report = stylize_video(clip, tmp_path / "out" / "%03d.png", inverted)
        assert names(tmp_path / "out") == [f"{n:03d}.png" for n in range(1, 13)]
        with VideoReader(clip) as film:
            for number, frame in enumerate(film, start=1):
                written = read_picture(tmp_path / "out" / f"{number:03d}.png").image
                assert np.array_equal(written, 255 - frame.image)  # PNG: without loss
        assert report.notes == ("audio stream 1 (aac, eng) was left out: pictures have none",)
        assert report.frames == 12

    def test_another_rate_repeats_pictures(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4", frames=3)
        stylize_video(clip, tmp_path / "out" / "%d.png", identity, frame_rate=50)
        files = [tmp_path / "out" / f"{n}.png" for n in range(1, 7)]
        assert [number_of(read_picture(file).image) for file in files] == [0, 0, 1, 1, 2, 2]

    def test_a_sequence_keeps_numbers_depth_alpha_and_metadata(self, tmp_path: Path) -> None:
        deep = np.random.default_rng(0).integers(0, 65536, (48, 64, 4), np.uint16)
        exif = Image.Exif()
        exif[0x010F] = "Camera"
        for number in (1001, 1004):
            write_image(tmp_path / f"in{number}.png", deep)
        Image.new("RGB", (64, 48)).save(tmp_path / "in1002.png", exif=exif)
        report = stylize_video(tmp_path / "in%d.png", tmp_path / "out" / "%05d.tif", identity)
        assert names(tmp_path / "out") == ["01001.tif", "01002.tif", "01004.tif"]
        before, after = (
            read_picture(path, alpha=True)
            for path in (tmp_path / "in1001.png", tmp_path / "out" / "01001.tif")
        )
        assert before.remainder is not None and after.remainder is not None
        assert np.array_equal(before.image, after.image)
        assert np.array_equal(before.remainder, after.remainder)
        with Image.open(tmp_path / "out" / "01002.tif") as written:
            assert written.getexif()[0x010F] == "Camera"
        assert report.notes == ("pictures 1003 are missing",)

    def test_what_the_format_cannot_keep_is_said(self, tmp_path: Path) -> None:
        write_image(tmp_path / "1.png", np.full((48, 64, 4), 300 * 100, np.uint16))
        report = stylize_video(tmp_path / "%d.png", tmp_path / "out" / "%d.jpg", identity)
        assert set(report.notes) == {
            "16 bits: rounded to 8, all that .jpg has",
            "transparency: composited over white, as .jpg has none",
        }

    def test_existing_files_are_not_destroyed(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4", frames=2)
        there = make_pictures(tmp_path / "out", [2, 3, 7], "{}.png")
        kept = (there / "2.png").read_bytes()

        def never(batches: Any) -> Any:
            raise AssertionError("a frame was stylized")

        with pytest.raises(SinkError, match=r"2\.png exists"):
            stylize_video(clip, there / "%d.png", never)
        assert (there / "2.png").read_bytes() == kept and names(there) == [
            "2.png",
            "3.png",
            "7.png",
        ]
        report = stylize_video(clip, there / "%d.png", inverted, overwrite=True)
        assert (there / "2.png").read_bytes() != kept
        assert report.notes == ("older pictures are still there: 3, 7",)

    def test_the_source_itself(self, tmp_path: Path) -> None:
        frames = make_pictures(tmp_path / "frames", [1, 2], "{}.png")
        with pytest.raises(SinkError, match="is the source"):
            stylize_video(frames / "%d.png", frames / "%d.png", identity, overwrite=True)
        with pytest.raises(SinkError, match="is the source"):
            stylize_video(frames, frames / "%d.png", identity, overwrite=True)
