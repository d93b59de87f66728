"""Hold keeps what only noise changed, and no more; flow blends what moved, and does not smear."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.models import flow as tensor_flow
from impasto.models.fast.norm_statistics import initial_statistics
from impasto.realtime.engines.base import IdentityEngine
from impasto.realtime.frame import Frame
from impasto.realtime.pipeline import batched
from impasto.realtime.stylizer import Stylizer
from impasto.realtime.temporal.blend import FLOW_SHARE, STILL_SHARE, FlowBlend, StillBlend
from impasto.realtime.temporal.flow import occlusion_mask, warp
from impasto.realtime.temporal.hold import PixelHold, noise_level
from tests.pictures import make_pictures

HEIGHT, WIDTH = 120, 160


def noisy(picture: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).round().astype(np.uint8)


def scene(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> np.ndarray:
    """One picture that keeps clear of black and white, where noise would be cut off."""
    return (40 + 0.68 * make_pictures(1, height, width, seed=seed)[0]).astype(np.uint8)


def texture(seed: int = 0, *, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Colour with structure at the size of a few pixels, as optical flow needs it."""
    grain = np.random.default_rng(seed).normal(0, 1, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(grain, (0, 0), 2.0)
    return np.clip(128 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def rms(difference: np.ndarray) -> float:
    return float(np.sqrt(np.square(difference.astype(float)).mean()))


class TestNoiseLevel:
    @settings(max_examples=25, deadline=None)
    @given(sigma=st.floats(0.4, 15), seed=st.integers(0, 1000))
    def test_is_that_of_the_noise(self, sigma: float, seed: int) -> None:
        picture = scene(seed=seed % 5)
        found = noise_level(noisy(picture, sigma, seed), noisy(picture, sigma, seed + 1))
        # Some 3,000 differences, the level of which is known to 2 %; rounding adds 1/12 to each
        # frame's variance.
        assert found == pytest.approx(np.hypot(sigma, 12**-0.5), rel=0.15, abs=0.15)

    def test_is_nothing_where_nothing_changes(self) -> None:
        picture = texture()
        assert noise_level(picture, picture) == 0
        assert noise_level(picture[:15], noisy(picture, 5, 0)[:15]) == 0  # too small to tell

    def test_motion_is_not_taken_for_noise(self) -> None:
        wide = scene(HEIGHT, WIDTH + 8)
        before, after = noisy(wide[:, :-8], 2, 0), noisy(wide[:, 8:], 2, 1)
        assert rms(before - after.astype(float)) > 20
        assert 1 < noise_level(before, after) < 4


class TestHold:
    @pytest.mark.parametrize("sigma", [0.5, 1, 2, 5, 10])
    def test_noise_on_a_scene_at_rest_is_gone(self, sigma: float) -> None:
        hold, picture = PixelHold(), scene()
        held = [hold(noisy(picture, sigma, seed)) for seed in range(8)]
        changed = [np.any(a != b, axis=2).mean() for a, b in zip(held[:-1], held[1:], strict=True)]
        assert max(changed) < 0.005  # all of it, but for a spot
        assert hold.noise == pytest.approx(np.hypot(sigma, 12**-0.5), rel=0.15, abs=0.1)

    def test_what_moves_leaves_no_trail(self) -> None:
        hold, ground = PixelHold(), noisy(scene(), 0, 0)
        for number in range(10):
            clean = ground.copy()
            clean[40:60, 10 * number : 10 * number + 20] = (220, 40, 30)
            image = noisy(clean, 2, number)
            held = hold(image)
            # Nowhere is anything left that is not there: less than the noise apart, by region.
            apart = cv2.blur(held.astype(np.float32) - clean, (5, 5))
            assert np.abs(apart).max() < 3.5 * 2
            changed = slice(40, 60), slice(10 * number, 10 * number + 20)
            if number:
                fresh = held[changed] == image[changed]
                assert fresh[:, 10:].all()  # the new half of it: exact, and at once

    def test_a_slow_fade_is_followed(self) -> None:
        hold, picture = PixelHold(), scene()
        for step in range(40):
            faded = picture + 0.5 * step
            held = hold(noisy(faded, 1, step))
            assert abs((held - faded).mean()) < 3  # levels, of 20 in all
        assert np.abs(cv2.blur(held - faded, (9, 9))).max() < 5

    def test_nothing_is_held_of_another_scene_or_size(self) -> None:
        hold = PixelHold()
        for image in (texture(0), texture(1), texture(2, height=50, width=70), texture(3)):
            held = hold(image)
            assert held.shape == image.shape and rms(held.astype(float) - image) < 1

    def test_reset_forgets_the_picture(self) -> None:
        hold, picture = PixelHold(), scene()
        for seed in range(3):
            hold(noisy(picture, 3, seed))
        image = noisy(picture, 3, 9)
        assert (hold(image) != image).any()
        hold.reset()
        assert (hold(image) == image).all()

    def test_given_and_returned_pictures_are_left_alone(self) -> None:
        hold, images = PixelHold(), [noisy(scene(), 3, seed) for seed in range(4)]
        copies = [image.copy() for image in images]
        held = [hold(image) for image in images]
        first = held[0].copy()
        hold(texture())
        assert (held[0] == first).all()
        assert all((a == b).all() for a, b in zip(images, copies, strict=True))


class TestStillBlend:
    def test_paint_that_flickers_over_a_scene_at_rest_is_steadied(self) -> None:
        blend, picture, painted = StillBlend(), texture(), texture(1)
        flickering = [noisy(painted, 20, seed) for seed in range(30)]
        # What compression does: a level here and there.
        out = [blend(noisy(picture, 0.5, n), frame) for n, frame in enumerate(flickering)]
        before, after = (
            rms(np.diff(np.stack(x[15:]).astype(float), axis=0)) for x in (flickering, out)
        )
        # By the formula: a share s leaves (1 - s) sqrt(2 / (1 + s)) / sqrt(2) of white noise.
        assert after / before == pytest.approx(
            (1 - STILL_SHARE) / np.sqrt(1 + STILL_SHARE), rel=0.1
        )
        # The paint itself, a fifth of its detail stronger: flicker is taken for detail to restore.
        shown = np.mean(out[15:], axis=0)
        assert rms(shown - painted) < 10
        assert np.corrcoef(shown.ravel(), painted.ravel())[0, 1] > 0.98

    def test_what_has_changed_is_the_new_frames_at_once(self) -> None:
        blend, ground, painted = StillBlend(), scene(), texture(1)
        for number in range(6):
            image = ground.copy()
            if number % 2:  # it comes and goes
                image[40:60, 60:90] = (220, 40, 30)
            fresh = noisy(painted, 30, number)
            shown = blend(image, fresh)
            if number:
                assert (shown[42:58, 62:88] == fresh[42:58, 62:88]).all()
                assert (shown[90:] != fresh[90:]).mean() > 0.5

    def test_where_something_was_it_leaves_nothing(self) -> None:
        blend, ground, trail = StillBlend(), texture(), []
        for number in range(8):
            image = ground.copy()
            image[40:60, 15 * number : 15 * number + 20] = (250, 20, 20)
            trail.append(np.abs(blend(image, image).astype(int) - image)[40:60, : 15 * number])
        # But for the rim, where a place is judged together with what is beside it.
        assert np.median(trail[-1]) <= 2 and trail[-1].mean() < 5

    @pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (400, 560)])
    def test_what_moves_is_steadied_in_what_stands_still(self, size: tuple[int, int]) -> None:
        """A window onto a scene that moves by two pixels a frame; its paint flickers."""
        height, width = size
        inside = slice(height // 4, height // 2), slice(width // 4, width // 2)
        wide = texture(1, height=height, width=width + 40)
        plain, out, blend = [], [], StillBlend()
        for number in range(16):
            image = texture(height=height, width=width)
            image[inside] = wide[:, 2 * number :][inside]
            plain.append(noisy(image, 25, number))
            out.append(blend(image, plain[-1]))

        def error(frames: list[np.ndarray]) -> float:
            before, after = (x[inside].astype(float) for x in frames[-2:])
            return rms((after[:, :-2] - before[:, 2:])[12:-12, 12:-12])

        assert error(out) < 0.5 * error(plain)

    @settings(max_examples=20, deadline=None)
    @given(step=st.floats(0.05, 3), seed=st.integers(0, 3))
    def test_what_drifts_slowly_leaves_no_ghost(self, step: float, seed: int) -> None:
        """A fade of any speed: what is shown is nowhere further behind than a change may be."""
        blend, picture = StillBlend(), scene(seed=seed).astype(float)
        for number in range(30):
            image = (picture * 0.7 + step * number).round().clip(0, 255).astype(np.uint8)
            shown = blend(image, image)  # a painting as bright as the picture
        # At 12 levels behind it is kept less and less; and 5 where blending stops at whole numbers.
        assert np.abs(cv2.blur(shown.astype(float) - image, (9, 9))).max() < 12 + 5

    def test_what_does_not_change_comes_out_as_it_went_in(self) -> None:
        blend, picture, painted = StillBlend(), texture(), texture(1)
        for _ in range(4):
            assert (blend(picture, painted) == painted).all()

    def test_another_scene_or_size_shows_nothing_of_the_last(self) -> None:
        blend = StillBlend()
        blend(texture(0), texture(1))
        painted = texture(3)
        assert (blend(texture(2), painted) == painted).mean() > 0.99
        small = texture(2, height=51, width=41)
        assert (blend(small, small) == small).all()
        blend.reset()
        painted = texture(3, height=51, width=41)
        assert (blend(small, painted) == painted).all()


def flow_of(height: int, width: int, seed: int) -> np.ndarray:
    """A smooth flow of up to two pixels: (H, W, 2) float32."""
    coarse = np.random.default_rng(seed).uniform(-2, 2, (4, 5, 2)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).permute(2, 0, 1)[None].float()


class TestFlow:
    @pytest.mark.parametrize("seed", range(4))
    def test_agrees_with_the_reference(self, seed: int) -> None:
        forward, backward = flow_of(60, 80, seed), -flow_of(60, 80, seed)
        expected = tensor_flow.occlusion_mask(tensor(forward), tensor(backward))[0, 0].numpy()
        assert 0.05 < expected.mean() < 0.95
        # OpenCV rounds places to 1/32 of a pixel: only what lies on the verge may differ.
        assert (occlusion_mask(forward, backward) == expected).mean() > 0.99

    def test_a_shift_is_trusted_but_where_it_leaves_the_frame(self) -> None:
        forward = np.full((40, 50, 2), (3, 0), np.float32)
        found = occlusion_mask(forward, -forward)
        assert found[:, :3].all() and not found[:, 3:].any()
        assert not occlusion_mask(np.zeros_like(forward), np.zeros_like(forward)).any()

    def test_fetches_as_the_reference_does(self) -> None:
        picture, flow = texture().astype(np.float32), flow_of(HEIGHT, WIDTH, 1)
        expected = tensor_flow.warp(tensor(picture), tensor(flow))[0].permute(1, 2, 0).numpy()
        assert np.abs(warp(picture, flow) - expected).max() < 1.5  # levels: 1/64 px, steep texture


class Flickering:
    """A wide textured scene that the view moves over, painted with strokes that flicker."""

    def __init__(self, step: int, *, frames: int = 12, strokes: float = 25) -> None:
        wide = texture(height=HEIGHT, width=WIDTH + step * frames)
        self.inputs = [wide[:, step * k :][:, :WIDTH].copy() for k in range(frames)]
        self.painted = [noisy(image, strokes, k) for k, image in enumerate(self.inputs)]
        self.step = step

    def errors(self, frames: list[np.ndarray]) -> list[float]:
        """E_warp by the exact motion, in levels, away from the border."""
        inside = slice(8, -8), slice(8, WIDTH - 8 - self.step)
        moved = [frame[:, self.step :] for frame in frames]
        return [
            rms((b[:, : WIDTH - self.step].astype(float) - a)[inside])
            for a, b in zip(moved[:-1], frames[1:], strict=True)
        ]


class TestFlowBlend:
    @pytest.mark.parametrize("step", [0, 1, 3, 6])
    def test_a_moving_scene_is_steadier_and_stays_as_sharp(self, step: int) -> None:
        flickering, blend = Flickering(step), FlowBlend()
        frames = list(map(blend, flickering.inputs, flickering.painted))
        before, after = flickering.errors(flickering.painted), flickering.errors(frames)
        assert after[-1] < 0.5 * before[-1]
        assert max(after[-4:]) < 1.2 * max(after[3:7])  # it does not grow
        sharp, soft = (
            cv2.Laplacian(x, cv2.CV_32F).std() for x in (flickering.painted[-1], frames[-1])
        )
        assert soft > 0.8 * sharp

    def test_repeated_warping_does_not_smear(self) -> None:
        steady = Flickering(3, frames=60, strokes=0)
        blend = FlowBlend()
        frames = list(map(blend, steady.inputs, steady.painted))
        errors = [
            rms((a.astype(float) - b)[8:-8, 8:-16])
            for a, b in zip(frames, steady.painted, strict=True)
        ]
        # It settles within some 30 frames: a share of 0.85 remembers for about 7.
        assert errors[-1] < 4 and errors[-1] < 1.3 * max(errors[20:35])

    def test_what_does_not_change_comes_out_as_it_went_in(self) -> None:
        blend, picture, painted = FlowBlend(), texture(), texture(1)
        assert (blend(picture, painted) == painted).all()
        for _ in range(5):
            assert np.abs(blend(picture, painted).astype(int) - painted).max() <= 1

    def test_a_place_at_rest_is_blended_by_the_share(self) -> None:
        blend, picture = FlowBlend(), texture()
        flat = np.full_like(picture, 100)
        blend(picture, flat)
        assert np.abs(blend(picture, flat + 50) - (100 + 50 * (1 - FLOW_SHARE))).max() <= 1

    def test_what_was_hidden_or_is_new_is_the_new_frame(self) -> None:
        ground, painted = texture(), texture(1)
        blend = FlowBlend()
        covered = ground.copy()
        covered[40:80, 40:80] = (250, 20, 20)
        old = np.zeros_like(painted)
        blend(covered, old)
        result = blend(ground, painted)
        # But for what restoring the contrast adds, within the window that change is seen in.
        plain = result[44:76, 44:76].astype(float) - painted[44:76, 44:76]
        assert np.abs(plain).mean() < 12
        assert rms(result[:20, :20].astype(float) - painted[:20, :20]) > 60  # which is blended

    def test_another_scene_or_size_shows_nothing_of_the_last(self) -> None:
        blend = FlowBlend()
        blend(texture(0), texture(1))
        small = texture(2, height=50, width=40)
        assert (blend(small, small) == small).all()
        blend.reset()
        painted = texture(3, height=50, width=40)
        assert (blend(small, painted) == painted).all()

    @pytest.mark.parametrize("size", [(2, 2), (9, 200), (301, 333), (720, 1280)])
    def test_any_size(self, size: tuple[int, int]) -> None:
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        for blend in (FlowBlend(), StillBlend()):
            assert all(blend(image, image).shape == image.shape for _ in range(2))
        hold = PixelHold()
        assert all(hold(image).shape == image.shape for _ in range(2))

    @pytest.mark.parametrize("share", [-0.1, 1.0])
    def test_a_share_out_of_range_is_refused(self, share: float) -> None:
        with pytest.raises(ValueError, match="from 0"):
            FlowBlend(share)


class WithStatistics(IdentityEngine):
    """Flickers: what it gives back depends on the picture's own noise."""

    has_running_statistics = True
    concurrency = 2

    def _stylize_instance(self, frames: np.ndarray) -> np.ndarray:
        return (255 - frames).astype(np.uint8)

    def update(self, frame, statistics, momentum):
        return self._stylize_instance(frame), initial_statistics(1)

    def stylize(self, frames, statistics):
        return self._stylize_instance(frames)


def two_scenes() -> list[np.ndarray]:
    first, second = scene(), 255 - scene(seed=2) // 4
    return [noisy(picture, 3, k) for k, picture in enumerate([first] * 9 + [second] * 8)]


def stylized(engine, images, *, size: int = 1, **options) -> np.ndarray:
    frames = [Frame(image, 5 * k, Fraction(1, 90)) for k, image in enumerate(images)]
    out = list(Stylizer(engine, **options)(batched(iter(frames), size)))
    assert [f.pts for f in out] == [f.pts for f in frames]
    return np.stack([f.image for f in out])


@pytest.mark.parametrize("engine", [WithStatistics(), IdentityEngine()], ids=["carrying", "plain"])
@pytest.mark.parametrize("steadiness", ["hold", "flow"])
class TestStylizer:
    def test_batches_and_order_of_work_make_no_difference(self, engine, steadiness) -> None:
        images = two_scenes()
        expected = stylized(engine, images, steadiness=steadiness, ahead=False)
        for size in (3, 8, 20):
            for ahead in (True, False):
                found = stylized(engine, images, size=size, steadiness=steadiness, ahead=ahead)
                assert (found == expected).all()

    def test_it_is_steadier(self, engine, steadiness) -> None:
        images = two_scenes()
        plain, steady = (
            stylized(engine, images, steadiness=mode).astype(float) for mode in ("off", steadiness)
        )
        assert rms(np.diff(steady[:9], axis=0)) < 0.5 * rms(np.diff(plain[:9], axis=0))

    def test_a_cut_starts_anew(self, engine, steadiness) -> None:
        images = two_scenes()
        both = stylized(engine, images, steadiness=steadiness, size=4)
        plain = stylized(engine, images)
        assert (both[9] == plain[9]).all() and (both[0] == plain[0]).all()

    def test_memory_lasts_from_call_to_call(self, engine, steadiness) -> None:
        images = two_scenes()
        frames = [Frame(image, k, Fraction(1)) for k, image in enumerate(images)]
        stylizer = Stylizer(engine, steadiness=steadiness, ahead=False)
        alone = np.stack([next(stylizer([[frame]])).image for frame in frames])
        assert (alone == stylized(engine, images, steadiness=steadiness, size=6)).all()
