"""Masks from files: pictures, films and sequences, aligned by time with the film."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from impasto.models.errors import SourceError
from impasto.realtime.files.convert import stylize_video
from impasto.realtime.files.masks import open_mask, whiteness
from impasto.realtime.pipeline import StylizerFormats
from impasto.realtime.pixels import to_rgb
from tests.media import decoded, make_audio_only, make_clip, text_file
from tests.realtime.test_mask import inverted

HERE = Fraction(0)
SIZE = (48, 64)


def gray(level: int) -> Any:
    """A picture of one gray, for `make_clip`."""
    return lambda number, size: np.full((*size, 3), level, np.uint8)


def save(path: Path, array: np.ndarray, mode: str) -> Path:
    image = Image.fromarray(array)
    assert image.mode == mode
    image.save(path)
    return path


def lossless_clip(path: Path, levels: list[int], rate: int = 25, late: int = 0) -> Path:
    """Frames of one gray each, without loss."""
    pts = [late + n for n in range(len(levels))]
    return make_clip(
        path,
        frames=len(levels),
        rate=rate,
        codec="ffv1",
        pix_fmt="bgr0",
        picture=lambda n, size: np.full((*size, 3), levels[n], np.uint8),
        pts=pts,
        time_base=Fraction(1, rate),
    )


def levels_of(mask: Any, times: list[Fraction]) -> list[int]:
    """The level of a mask of one gray at these times."""
    with mask:
        found = [mask(time, SIZE) for time in times]
    assert all(white.shape == SIZE and white.dtype == np.uint8 for white in found)
    assert all((white == white[0, 0]).all() for white in found)
    return [int(white[0, 0]) for white in found]


class TestPictures:
    def test_gray_is_its_own_whiteness(self) -> None:
        ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
        assert np.array_equal(whiteness(ramp)[0], np.arange(256))

    @pytest.mark.parametrize(
        ("mode", "pixel", "white"),
        [
            ("L", 200, 200),
            ("1", True, 255),
            ("RGB", (255, 255, 255), 255),
            ("RGB", (255, 0, 0), 76),  # 0.299 * 255 = 76.2: BT.601
            ("LA", (255, 128), 128),
            ("RGBA", (255, 255, 255, 0), 0),
            ("RGBA", (200, 200, 200, 51), 40),  # a fifth of 200
            ("RGBA", (0, 0, 0, 255), 0),
        ],
    )
    def test_kinds(self, mode: str, pixel: Any, white: int, tmp_path: Path) -> None:
        path = tmp_path / "mask.png"
        Image.new(mode, (64, 48), pixel).save(path)
        assert levels_of(open_mask(path), [HERE]) == [white]

    def test_16_bits(self, tmp_path: Path) -> None:
        path = save(tmp_path / "mask.png", np.full(SIZE, 257 * 100, np.uint16), "I;16")
        assert levels_of(open_mask(path), [HERE]) == [100]

    def test_it_is_scaled_to_the_frame(self, tmp_path: Path) -> None:
        halves = np.zeros((8, 16), np.uint8)
        halves[:, 8:] = 255
        mask = open_mask(save(tmp_path / "mask.png", halves, "L"))
        white = mask(HERE, (48, 96))
        assert (white[:, :40] == 0).all() and (white[:, 56:] == 255).all()
        assert mask.notes == []
        mask(HERE, (48, 48))
        assert mask.notes == ["mask.png is 16x8: stretched to 48x48"]


class TestFilms:
    def test_the_picture_on_show_at_the_time(self, tmp_path: Path) -> None:
        path = lossless_clip(tmp_path / "mask.mkv", [0, 50, 100, 250], rate=10)
        times = [Fraction(n, 100) for n in (0, 5, 10, 19, 21, 30, 39)]
        assert levels_of(open_mask(path), times) == [0, 0, 50, 100, 100, 250, 250]
        # 0.19 shows the picture of 0.2: up to a quarter of a frame early is on time.

    def test_rounded_times_are_on_time(self, tmp_path: Path) -> None:
        """Matroska rounds 30000/1001 to milliseconds, late and early."""
        path = lossless_clip(tmp_path / "mask.mkv", list(range(0, 240, 4)), rate=30)
        times = [Fraction(n, 30) for n in range(60)]
        assert levels_of(open_mask(path), times) == list(range(0, 240, 4))

    def test_its_clock_need_not_start_at_zero(self, tmp_path: Path) -> None:
        path = lossless_clip(tmp_path / "mask.mkv", [10, 20], late=75)
        assert levels_of(open_mask(path), [HERE, Fraction(1, 25)]) == [10, 20]

    def test_after_its_end_the_last_picture_stays(self, tmp_path: Path) -> None:
        mask = open_mask(lossless_clip(tmp_path / "mask.mkv", [10, 20]))
        assert levels_of(mask, [HERE, Fraction(1, 25), Fraction(9)]) == [10, 20, 20]
        assert mask.notes == ["mask.mkv ends after 0.08 s: its last picture stays"]

    def test_or_it_begins_again(self, tmp_path: Path) -> None:
        mask = open_mask(lossless_clip(tmp_path / "mask.mkv", [10, 20, 30]), loop=True)
        assert levels_of(mask, [Fraction(n, 25) for n in range(8)]) == [
            10,
            20,
            30,
            10,
            20,
            30,
            10,
            20,
        ]
        assert mask.notes == []

    def test_alpha_of_a_film(self, tmp_path: Path) -> None:
        frames = [Image.new("RGBA", (64, 48), (255, 255, 255, alpha)) for alpha in (0, 102, 255)]
        path = tmp_path / "mask.webp"
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=40, lossless=True)
        assert levels_of(open_mask(path), [Fraction(n, 25) for n in range(3)]) == [0, 102, 255]

    def test_pictures_in_sequence(self, tmp_path: Path) -> None:
        for number, level in ((8, 10), (9, 20), (11, 30)):
            save(tmp_path / f"m{number:03d}.png", np.full(SIZE, level, np.uint8), "L")
        times = [Fraction(n, 50) for n in range(4)]
        mask = open_mask(tmp_path / "m%03d.png", rate=Fraction(50))
        assert levels_of(mask, times) == [10, 20, 20, 30]  # 10 is missing: 9 stays
        assert levels_of(open_mask(tmp_path, rate=Fraction(50)), times) == [10, 20, 30, 30]


class TestConversion:
    def stylized(self, tmp_path: Path, film: Path, mask: Path, **more: Any) -> list[list[int]]:
        """The levels at left, middle and right of every frame of the inverted film."""
        out = tmp_path / "out.mkv"
        self.report = stylize_video(film, out, inverted, mask=mask, overwrite=True, **more)
        return [image[24, [8, 32, 56], 0].tolist() for image in decoded(out)[0]]

    def test_a_picture_as_mask(self, tmp_path: Path) -> None:
        film = make_clip(tmp_path / "in.mkv", frames=3, picture=gray(100))
        thirds = np.zeros(SIZE, np.uint8)
        thirds[:, 21:43], thirds[:, 43:] = 102, 255
        mask = save(tmp_path / "mask.png", thirds, "L")
        found = self.stylized(tmp_path, film, mask)
        # 100; two fifths of 155 and three of 100: 122; 155. H.264 may miss by a level.
        assert np.abs(np.array(found) - [100, 122, 155]).max() <= 1
        assert self.report.notes == ()

    def test_a_film_as_mask_is_aligned_by_time(self, tmp_path: Path) -> None:
        """From a start in the middle, at twice the frame rate, of a film that starts late."""
        film = make_clip(
            tmp_path / "in.mkv",
            frames=20,
            picture=gray(40),
            pts=[75 + n for n in range(20)],
            time_base=Fraction(1, 25),
            audio=["eng"],
        )
        mask = lossless_clip(tmp_path / "mask.mkv", [0] * 10 + [255] * 10)
        whole = [left for left, _, _ in self.stylized(tmp_path, film, mask)]
        assert np.abs(np.array(whole) - np.array([40] * 10 + [215] * 10)).max() <= 1
        part = self.stylized(tmp_path, film, mask, start=Fraction(82, 25), frame_rate=50)
        shown = [left for left, _, _ in part]
        assert np.abs(np.array(shown) - np.array([40] * 6 + [215] * 20)).max() <= 1

    @pytest.mark.parametrize("kind", ["missing", "text", "text.png", "audio", "empty folder"])
    def test_the_wrong_kind_is_refused_before_the_first_frame(
        self, kind: str, tmp_path: Path
    ) -> None:
        film = make_clip(tmp_path / "in.mkv", frames=2)
        mask = tmp_path / ("mask.png" if kind == "text.png" else "mask.mp4")
        if kind == "audio":
            make_audio_only(mask)
        elif kind.startswith("text"):
            text_file(mask)
        elif kind == "empty folder":
            mask.mkdir()

        def never(batches: Any) -> Any:
            raise AssertionError("a frame was stylized")

        with pytest.raises(SourceError, match="mask"):
            stylize_video(film, tmp_path / "out.mkv", never, mask=mask)
        assert not (tmp_path / "out.mkv").exists()

    def test_no_file_stays_open(self, tmp_path: Path, no_file_is_left_open: None) -> None:
        film = make_clip(tmp_path / "in.mkv", frames=2)
        stylize_video(
            film,
            tmp_path / "out.mkv",
            inverted,
            mask=make_clip(tmp_path / "mask.mp4", frames=9, audio=["eng"]),
        )


def test_black_keeps_the_color_of_the_film(tmp_path: Path) -> None:
    """Chroma is interpolated as without a stylizer, not repeated as for one."""

    def stripes(number: int, size: tuple[int, int]) -> np.ndarray:
        image = np.full((*size, 3), 90, np.uint8)
        image[:, ::8] = (200, 40, 40)
        return image

    film = make_clip(tmp_path / "in.mkv", frames=2, picture=stripes)
    black = save(tmp_path / "mask.png", np.zeros(SIZE, np.uint8), "L")
    seen: list[np.ndarray] = []

    def watching(batches: Any) -> Any:
        for batch in batches:
            seen.extend(frame.image for frame in batch)
            yield from batch

    watching.formats = StylizerFormats(lossy_chroma_ok=True)  # type: ignore[attr-defined]
    stylize_video(film, tmp_path / "out.mkv", watching, mask=black)
    with av.open(str(film)) as container:
        frame = next(container.decode(video=0))
        assert np.array_equal(seen[0], to_rgb(frame))
