"""The stabilization modes inside the Stylizer: batches, scene cuts and state between calls."""

from fractions import Fraction

import numpy as np
import pytest

from impasto.models.fast.norm_statistics import initial_statistics
from impasto.realtime.engines.base import IdentityEngine
from impasto.realtime.frame import Frame
from impasto.realtime.pipeline import batched
from impasto.realtime.stylizer import Stylizer
from tests.pictures import low_contrast, noisy, rms


class WithStatistics(IdentityEngine):
    """Inverts the picture, noise included, so that its output flickers."""

    has_running_statistics = True
    concurrency = 2

    def _stylize_instance(self, frames: np.ndarray) -> np.ndarray:
        return (255 - frames).astype(np.uint8)

    def update(self, frame, statistics, momentum):
        return self._stylize_instance(frame), initial_statistics(1)

    def stylize(self, frames, statistics):
        return self._stylize_instance(frames)


def two_scenes() -> list[np.ndarray]:
    first, second = low_contrast(), 255 - low_contrast(seed=2) // 4
    return [noisy(picture, 3, k) for k, picture in enumerate([first] * 9 + [second] * 8)]


def stylized(engine, images, *, size: int = 1, **options) -> np.ndarray:
    frames = [Frame(image, 5 * k, Fraction(1, 90)) for k, image in enumerate(images)]
    out = list(Stylizer(engine, **options)(batched(iter(frames), size)))
    assert [f.pts for f in out] == [f.pts for f in frames]
    return np.stack([f.image for f in out])


@pytest.mark.parametrize(
    "engine", [WithStatistics(), IdentityEngine()], ids=["running-statistics", "plain"]
)
@pytest.mark.parametrize("steadiness", ["auto", "hold", "flow"])
class TestSteadiness:
    def test_batch_size_and_prefetching_make_no_difference(self, engine, steadiness) -> None:
        images = two_scenes()
        expected = stylized(engine, images, steadiness=steadiness, ahead=False)
        for size in (3, 8, 20):
            for ahead in (True, False):
                result = stylized(engine, images, size=size, steadiness=steadiness, ahead=ahead)
                assert (result == expected).all()

    def test_it_is_steadier(self, engine, steadiness) -> None:
        images = two_scenes()
        plain, steady = (
            stylized(engine, images, steadiness=mode).astype(float) for mode in ("off", steadiness)
        )
        assert rms(np.diff(steady[:9], axis=0)) < 0.65 * rms(np.diff(plain[:9], axis=0))

    def test_a_scene_cut_resets(self, engine, steadiness) -> None:
        images = two_scenes()
        both = stylized(engine, images, steadiness=steadiness, size=4)
        plain = stylized(engine, images)
        assert (both[9] == plain[9]).all() and (both[0] == plain[0]).all()

    def test_state_is_kept_between_calls(self, engine, steadiness) -> None:
        images = two_scenes()
        frames = [Frame(image, k, Fraction(1)) for k, image in enumerate(images)]
        stylizer = Stylizer(engine, steadiness=steadiness, ahead=False)
        alone = np.stack([next(stylizer([[frame]])).image for frame in frames])
        assert (alone == stylized(engine, images, steadiness=steadiness, size=6)).all()
