"""What the window shows, without one: which pixels are whose."""

from itertools import combinations

import numpy as np
import pytest

from impasto.realtime.live.controls import KEYS, Controls
from impasto.realtime.live.overlay import (
    Layer,
    _baseline,
    _help,
    caption_opacity,
    compose,
    letterbox,
)

HEIGHT, WIDTH = 360, 640
PLAIN = {"mirror": False, "readouts": False}


def noise(seed: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


ORIGINAL, STYLIZED = noise(0), noise(1)


def changed(drawn: np.ndarray, picture: np.ndarray) -> tuple[slice, slice]:
    """The box in which two pictures differ."""
    rows, columns = np.nonzero((drawn != picture).any(axis=2))
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def test_with_nothing_to_draw_it_is_the_stylized_picture_itself() -> None:
    shown = compose(
        ORIGINAL, STYLIZED, Controls(**PLAIN), lines=["30 fps"], caption="gone", opacity=0
    )
    assert shown is STYLIZED


def test_mirrored_it_is_flipped() -> None:
    shown = compose(ORIGINAL, STYLIZED, Controls(readouts=False))
    np.testing.assert_array_equal(shown, STYLIZED[:, ::-1])


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.5, 1.0])
def test_the_original_is_left_of_the_bar_and_the_stylized_right(mirror: bool, place: float) -> None:
    controls = Controls(mirror=mirror, readouts=False, compare=place)
    shown = compose(ORIGINAL, STYLIZED, controls)
    bar, handle = round(place * (WIDTH - 1)), 20  # px, more than the handle's radius
    left, right = (x[:, ::-1] if mirror else x for x in (ORIGINAL, STYLIZED))
    if bar > handle:
        np.testing.assert_array_equal(shown[:, : bar - handle], left[:, : bar - handle])
    np.testing.assert_array_equal(shown[:, bar + handle :], right[:, bar + handle :])
    assert (shown[:20, bar] == 255).all()


def test_a_higher_window_has_black_above_and_below() -> None:
    picture = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    shown = compose(picture, picture, Controls(**PLAIN), size=(500, WIDTH))
    assert shown.shape == (500, WIDTH, 3)
    assert (shown[70:430] == 200).all()  # (500 - 360) / 2 = 70
    assert not shown[:70].any() and not shown[430:].any()


@pytest.mark.parametrize("size", [(180, 320), (720, 1280), (360, 1280), (1, 1)])
@pytest.mark.parametrize("mirror", [False, True])
def test_at_another_size_halves_stay_halves(size: tuple[int, int], mirror: bool) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:, : WIDTH // 2] = (250, 20, 10)
    controls = Controls(mirror=mirror, readouts=False)
    shown = compose(ORIGINAL, picture, controls, size=size)
    assert shown.shape == (*size, 3)
    if size == (1, 1):
        return
    top, left, height, width = letterbox(picture.shape, size)
    inner = shown[top : top + height, left : left + width]
    red = inner[:, width // 2 + 1 :] if mirror else inner[:, : width // 2 - 1]
    assert (red == (250, 20, 10)).all()
    black = inner[:, : width // 2 - 1] if mirror else inner[:, width // 2 + 1 :]
    assert not black.any()


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((360, 640), (360, 640), (0, 0, 360, 640)),
        ((360, 640), (1080, 1920), (0, 0, 1080, 1920)),
        ((360, 640), (1200, 1920), (60, 0, 1080, 1920)),
        ((480, 640), (1080, 1920), (0, 240, 1080, 1440)),
        ((640, 360), (320, 320), (0, 70, 320, 180)),
    ],
)
def test_a_picture_is_as_large_as_fits_and_in_the_middle(
    shape: tuple[int, int], size: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    assert letterbox((*shape, 3), size) == expected


def test_each_thing_drawn_stays_in_its_own_part_of_the_picture() -> None:
    drawings = {
        "readouts": compose(
            ORIGINAL, STYLIZED, Controls(mirror=False), lines=["30.0 fps", "48 ms"]
        ),
        "caption": compose(ORIGINAL, STYLIZED, Controls(**PLAIN), caption="The Great Wave"),
        "marks": compose(ORIGINAL, STYLIZED, Controls(recording=True, frozen=True, **PLAIN)),
    }
    boxes = {name: changed(shown, STYLIZED) for name, shown in drawings.items()}
    upper, left = slice(0, HEIGHT // 3), slice(0, WIDTH // 2)
    lower, right = slice(2 * HEIGHT // 3, HEIGHT), slice(WIDTH // 2, WIDTH)
    corners = {"readouts": (upper, left), "caption": (lower, left), "marks": (upper, right)}
    for name, box in boxes.items():
        for found, allowed in zip(box, corners[name], strict=True):
            assert allowed.start <= found.start < found.stop <= allowed.stop, name
    for one, other in combinations(boxes.values(), 2):
        assert any(a.stop <= b.start or b.stop <= a.start for a, b in zip(one, other, strict=True))


def test_the_pictures_are_not_drawn_on() -> None:
    original, stylized = ORIGINAL.copy(), STYLIZED.copy()
    controls = Controls(mirror=False, compare=0.4, help=True, recording=True)
    compose(original, stylized, controls, lines=["30.0 fps"], caption="Udnie")
    np.testing.assert_array_equal(original, ORIGINAL)
    np.testing.assert_array_equal(stylized, STYLIZED)


def test_letters_are_legible_on_white_and_never_mirrored() -> None:
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    plain = compose(white, white, Controls(mirror=False), lines=["R"])
    mirrored = compose(white, white, Controls(), lines=["R"])
    np.testing.assert_array_equal(plain, mirrored)
    box = plain[changed(plain, white)]
    assert box[len(box) // 3 : -len(box) // 3].max() > 250  # the letter; around it:
    luminance = (box.min() / 255) ** 2.2
    assert (1 + 0.05) / (luminance + 0.05) > 7  # WCAG 2 asks for 4.5, and 7 where it is strict
    assert (plain == plain[..., :1]).all()  # nothing is tinted


def test_a_caption_comes_and_goes() -> None:
    assert [caption_opacity(age) for age in (-1, 0, 0.1, 0.2, 1.1, 1.6, 9)] == pytest.approx(
        [0, 0, 0.5, 1, 1, 0, 0]
    )
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    half, full = (
        compose(black, black, Controls(**PLAIN), caption="Udnie", opacity=o) for o in (0.5, 1)
    )
    np.testing.assert_allclose(half, full / 2, atol=1)  # rounding


def test_the_help_has_a_row_for_every_key_and_shows_what_is_set() -> None:
    size, pad = 20, 24  # px; the padding is 1.2 font sizes
    layer = _help((), size)
    keys, settings = np.array_split(layer.color, [layer.color.shape[1] * 2 // 5], axis=1)
    for row, key in enumerate(KEYS):
        base = layer.feather + pad + _baseline(row, size)
        for side in (keys, settings):
            assert side[base - size // 2 : base].max() > 250, key
    shown = [
        compose(ORIGINAL, STYLIZED, Controls(help=True, strength=strength, **PLAIN))
        for strength in (1.0, 0.3)
    ]
    assert (shown[0] != shown[1]).any()


def test_what_lies_outside_is_cut_off() -> None:
    layer = Layer(np.full((4, 4, 3), 255, np.uint8), np.zeros((4, 4, 3), np.uint8))
    picture = np.zeros((6, 6, 3), np.uint8)
    for left, top in ((-2, -2), (4, 4), (-4, 0), (6, 6), (0, -9)):
        layer.blend(picture, left, top)
    expected = np.zeros((6, 6), np.uint8)
    expected[:2, :2] = expected[4:, 4:] = 255
    np.testing.assert_array_equal(picture[..., 0], expected)


@pytest.mark.parametrize("size", [(2, 2), (16, 400), (400, 16), (48, 64), (2160, 3840)])
def test_any_size_can_be_drawn_on(size: tuple[int, int]) -> None:
    picture = noise(2, size)
    controls = Controls(compare=0.5, help=True, recording=True, frozen=True)
    shown = compose(picture, picture, controls, lines=["30 fps"], caption="The Great Wave")
    assert shown.shape == picture.shape
