"""Keyframe propagation through frames whose motion is known."""

from collections.abc import Iterator

import numpy as np
import pytest

from impasto.realtime.frame import Frame
from impasto.realtime.keyframes.propagate import KeyframePropagation, WarpedKeyframe, composite
from tests.realtime.keyframes.views import frames_of, panned, texture


def black(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
    """Fills in with black."""
    for batch in batches:
        for frame in batch:
            yield Frame(np.zeros_like(frame.image), frame.pts, frame.time_base)


def propagated(
    images: list[np.ndarray], keys: dict[int, np.ndarray], **more: int
) -> list[np.ndarray]:
    propagation = KeyframePropagation(keys, keys.__getitem__, {0}, black, **more)
    frames = frames_of(images)
    out = list(propagation(iter([frame] for frame in frames)))
    assert [frame.pts for frame in out] == [frame.pts for frame in frames]
    return [frame.image for frame in out]


def test_paint_moves_with_the_view() -> None:
    images = panned(11)
    # Painted pixel by pixel, so the propagated painting is known exactly.
    keys = {0: 255 - images[0], 10: 255 - images[10]}
    for image, painted in zip(images, propagated(images, keys), strict=True):
        apart = np.abs(painted.astype(int) - (255 - image))[8:-8, 8:-8]
        assert apart.mean() < 3  # levels, of interpolation twice


def test_keyframes_are_unchanged() -> None:
    images = panned(6)
    keys = {0: texture(96, 128, 5), 5: texture(96, 128, 6)}
    out = propagated(images, keys)
    np.testing.assert_array_equal(out[0], keys[0])
    np.testing.assert_array_equal(out[5], keys[5])


def test_a_still_video_does_not_change() -> None:
    images = [texture(96, 128)] * 7
    key = texture(96, 128, 3)
    for painted in propagated(images, {0: key, 6: key})[1:-1]:
        np.testing.assert_allclose(painted, key.astype(int), atol=2)


def test_the_first_keyframe_is_propagated_backwards() -> None:
    images = [texture(96, 128)] * 5
    key = texture(96, 128, 3)
    np.testing.assert_allclose(propagated(images, {4: key})[0], key.astype(int), atol=2)


@pytest.mark.parametrize("max_pending", [1, 2, 3, 100])
def test_every_frame_comes_however_few_may_wait(max_pending: int) -> None:
    images = panned(10)
    assert len(propagated(images, {0: images[0]}, max_pending=max_pending)) == 10


def test_paint_ends_at_a_cut() -> None:
    images = [texture(96, 128)] * 4 + [texture(96, 128, 9)] * 4
    propagation = KeyframePropagation(
        {0}, {0: np.full((96, 128, 3), 200, np.uint8)}.__getitem__, {0, 4}, black
    )
    out = list(propagation(iter([frame] for frame in frames_of(images))))
    assert propagation.filled == pytest.approx(4, abs=0.2)
    assert out[3].image.mean() > 190


def test_what_is_filled_in_has_no_seam() -> None:
    image = np.full((40, 60, 3), 180, np.uint8)
    trust = np.tile(np.linspace(1, 0, 60, dtype=np.float32), (40, 1))
    out, share = composite(
        [WarpedKeyframe(image, np.zeros_like(trust), trust, trust, 1.0)], np.full_like(image, 60)
    )
    assert share == pytest.approx(0.5, abs=0.01)
    # What fills in has taken the tone of the keyframe around it.
    assert np.abs(np.diff(out[..., 0].astype(int), axis=1)).max() <= 5
    assert out[:, :5].min() >= 175


def test_without_confidence_the_similar_keyframe_is_shown() -> None:
    none, all_ = np.zeros((40, 60), np.float32), np.ones((40, 60), np.float32)
    similar, not_ = (np.full((40, 60, 3), level, np.uint8) for level in (180, 90))
    for nearness in (0.1, 0.5, 0.9):
        sources = [
            WarpedKeyframe(similar, none, 0.01 * all_, all_, nearness),
            WarpedKeyframe(not_, none, none, none, 1 - nearness),
        ]
        out, share = composite(sources, np.full_like(similar, 20))
        assert share == 1
        np.testing.assert_array_equal(out, similar)


def test_confidence_counts_more_than_nearness() -> None:
    none, all_ = np.zeros((40, 60), np.float32), np.ones((40, 60), np.float32)
    trusted, near = (np.full((40, 60, 3), level, np.uint8) for level in (180, 90))
    sources = [
        WarpedKeyframe(trusted, none, all_, all_, 0.4),
        WarpedKeyframe(near, none, 0.01 * all_, all_, 0.6),
    ]
    out, _ = composite(sources, trusted)
    assert out.min() >= 178
