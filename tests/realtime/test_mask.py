"""Masks: exact mixtures of two pictures, and a stylizer around a stylizer."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from impasto.realtime.frame import Frame
from impasto.realtime.mask import MaskedStylizer, masked
from impasto.realtime.pipeline import StylizerFormats


def inverted(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
    """A stylizer that gives the negative."""
    for batch in batches:
        for frame in batch:
            yield Frame(255 - frame.image, frame.pts, frame.time_base)


def test_every_mixture_is_rounded_exactly() -> None:
    """All levels of two pictures by all of a mask, against integers: (o (255 - m) + s m) / 255."""
    original, stylized = np.meshgrid(np.arange(256), np.arange(256))
    pictures = [np.repeat(p[..., None], 3, 2).astype(np.uint8) for p in (original, stylized)]
    for white in range(256):
        mixed = masked(*pictures, np.full(original.shape, white, np.uint8))
        thousandths = original * (255 - white) + stylized * white  # of 255
        expected = (2 * thousandths + 255) // 510  # rounded; never half way, as 255 is odd
        assert np.array_equal(mixed[..., 0], expected)
        assert np.array_equal(mixed[..., 2], expected)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_frames_meet_their_own_mask(batch_size: int) -> None:
    """Stylizers look ahead: here one that takes everything before it gives anything."""

    def hoarding(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        yield from list(inverted(batches))

    asked: list[tuple[Fraction, tuple[int, int]]] = []

    def mask(time: Fraction, size: tuple[int, int]) -> np.ndarray:
        asked.append((time, size))
        white = np.zeros(size, np.uint8)
        white[:, 1], white[:, 2] = 51, 255  # a fifth, and all
        return white

    tick = Fraction(1, 25)
    frames = [Frame(np.full((1, 3, 3), 10 * n, np.uint8), 100 + n, tick) for n in (1, 2, 3)]
    batches = [frames[k : k + batch_size] for k in range(0, 3, batch_size)]
    out = list(MaskedStylizer(hoarding, mask, start=Fraction(4))(iter(batches)))
    assert [(frame.pts, frame.time_base) for frame in out] == [(100 + n, tick) for n in (1, 2, 3)]
    assert asked == [(n * tick, (1, 3)) for n in (1, 2, 3)]
    # 10: 10, 0.8 * 10 + 0.2 * 245 = 57, 245; 20: 20, 16 + 47 = 63, 235; 30: 30, 24 + 45 = 69, 225.
    assert [frame.image[0, :, 0].tolist() for frame in out] == [
        [10, 57, 245],
        [20, 63, 235],
        [30, 69, 225],
    ]


def test_it_asks_for_frames_with_all_of_their_color() -> None:
    """The film itself is shown in places: no chroma is repeated, and nothing stays on a GPU."""

    def stylizer(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        yield from inverted(batches)

    stylizer.formats = StylizerFormats(  # type: ignore[attr-defined]
        output=frozenset({"rgb24", "yuv420p"}),
        input_devices=frozenset({"cpu", "cuda"}),
        lossy_chroma_ok=True,
    )
    mixed = MaskedStylizer(stylizer, lambda time, size: np.zeros(size, np.uint8))
    assert mixed.formats == StylizerFormats()
