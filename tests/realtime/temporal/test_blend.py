"""Output blending: flicker is reduced along the motion, without ghosts and without smearing."""

from itertools import islice

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.realtime.measure.warping import remaining_detail
from impasto.realtime.samples import SAMPLE_VIDEO
from impasto.realtime.temporal.blend import FLOW_SHARE, STILL_SHARE, FlowBlend, StillBlend
from tests.pictures import low_contrast, noisy, rms, texture

HEIGHT, WIDTH = 120, 160


class TestStillBlend:
    def test_flicker_over_a_still_scene_is_reduced(self) -> None:
        blend, picture, stylized = StillBlend(), texture(), texture(1)
        flickering = [noisy(stylized, 20, seed) for seed in range(30)]
        # As compression does: single levels, here and there.
        out = [blend(noisy(picture, 0.5, n), frame) for n, frame in enumerate(flickering)]
        before, after = (
            rms(np.diff(np.stack(x[15:]).astype(float), axis=0)) for x in (flickering, out)
        )
        # By the formula: a share s leaves (1 - s) sqrt(2 / (1 + s)) / sqrt(2) of white noise.
        assert after / before == pytest.approx(
            (1 - STILL_SHARE) / np.sqrt(1 + STILL_SHARE), rel=0.1
        )
        # The stylized picture, with a fifth more detail: flicker counts as detail to be restored.
        shown = np.mean(out[15:], axis=0)
        assert rms(shown - stylized) < 10
        assert np.corrcoef(shown.ravel(), stylized.ravel())[0, 1] > 0.98

    def test_changed_pixels_are_those_of_the_new_frame(self) -> None:
        blend, ground, stylized = StillBlend(), low_contrast(), texture(1)
        for number in range(6):
            image = ground.copy()
            if number % 2:  # an object that comes and goes
                image[40:60, 60:90] = (220, 40, 30)
            fresh = noisy(stylized, 30, number)
            shown = blend(image, fresh)
            if number:
                assert (shown[42:58, 62:88] == fresh[42:58, 62:88]).all()
                assert (shown[90:] != fresh[90:]).mean() > 0.5

    def test_a_moving_object_leaves_no_trail(self) -> None:
        blend, ground, trail = StillBlend(), texture(), []
        for number in range(8):
            image = ground.copy()
            image[40:60, 15 * number : 15 * number + 20] = (250, 20, 20)
            trail.append(np.abs(blend(image, image).astype(int) - image)[40:60, : 15 * number])
        # Except at the rim, as pixels are compared together with their neighborhood.
        assert np.median(trail[-1]) <= 2 and trail[-1].mean() < 5

    @pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (400, 560)])
    def test_flicker_of_a_moving_region_is_reduced(self, size: tuple[int, int]) -> None:
        """A region that moves by two pixels a frame in a still scene; its stylization flickers."""
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

    @pytest.mark.parametrize(("across", "down"), [(5, 0), (-5, 0), (0, 4), (0, -4), (4, -3)])
    def test_what_a_moving_camera_uncovers_is_not_drawn_out(self, across: int, down: int) -> None:
        """Input so even that a border repeated beyond the frame looks like what is there."""
        frames, margin = 12, 60
        size = {"height": HEIGHT + 2 * margin, "width": WIDTH + 2 * margin}
        scene, painted = (texture(seed, **size) for seed in (0, 1))
        scene = (128 + (scene.astype(np.float32) - 128) / 6).astype(np.uint8)
        blend = StillBlend()
        for number in range(frames):
            rows = slice(margin + down * number, margin + down * number + HEIGHT)
            columns = slice(margin + across * number, margin + across * number + WIDTH)
            stylized = painted[rows, columns].copy()
            shown = blend(scene[rows, columns].copy(), stylized)
        for axis, step in ((1, across), (0, down)):
            if step:
                band = [slice(None), slice(None)]
                band[axis] = slice(-24, None) if step > 0 else slice(24)
                left, of = (
                    np.abs(np.diff(picture[tuple(band)].astype(float), axis=axis)).mean()
                    for picture in (shown, stylized)
                )
                assert left > 0.85 * of

    @settings(max_examples=20, deadline=None)
    @given(step=st.floats(0.05, 3), seed=st.integers(0, 3))
    def test_a_slow_fade_leaves_no_ghost(self, step: float, seed: int) -> None:
        """A fade at any speed: the output lags by no more than the limit of a change."""
        blend, picture = StillBlend(), low_contrast(seed=seed).astype(float)
        for number in range(30):
            image = (picture * 0.7 + step * number).round().clip(0, 255).astype(np.uint8)
            shown = blend(image, image)  # the identity as the style
        # From 12 levels on it is kept less and less; 5 more, as blending rounds to whole levels.
        assert np.abs(cv2.blur(shown.astype(float) - image, (9, 9))).max() < 12 + 5

    def test_unchanged_frames_are_returned_as_they_are(self) -> None:
        blend, picture, stylized = StillBlend(), texture(), texture(1)
        for _ in range(4):
            assert (blend(picture, stylized) == stylized).all()

    def test_another_scene_or_size_resets(self) -> None:
        blend = StillBlend()
        blend(texture(0), texture(1))
        stylized = texture(3)
        assert (blend(texture(2), stylized) == stylized).mean() > 0.99
        small = texture(2, height=51, width=41)
        assert (blend(small, small) == small).all()
        blend.reset()
        stylized = texture(3, height=51, width=41)
        assert (blend(small, stylized) == stylized).all()


class Flickering:
    """A camera that pans over a texture by `step` pixels a frame; the strokes flicker."""

    def __init__(self, step: int, *, frames: int = 12, strokes: float = 25) -> None:
        wide = texture(height=HEIGHT, width=WIDTH + step * frames)
        self.inputs = [wide[:, step * k :][:, :WIDTH].copy() for k in range(frames)]
        self.stylized = [noisy(image, strokes, k) for k, image in enumerate(self.inputs)]
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
    def test_a_panning_scene_is_steadier_and_stays_sharp(self, step: int) -> None:
        flickering, blend = Flickering(step), FlowBlend()
        frames = list(map(blend, flickering.inputs, flickering.stylized))
        before, after = flickering.errors(flickering.stylized), flickering.errors(frames)
        assert after[-1] < 0.5 * before[-1]
        assert max(after[-4:]) < 1.2 * max(after[3:7])  # it does not grow
        sharp, soft = (
            cv2.Laplacian(x, cv2.CV_32F).std() for x in (flickering.stylized[-1], frames[-1])
        )
        assert soft > 0.8 * sharp

    def test_repeated_warping_does_not_smear(self) -> None:
        steady = Flickering(3, frames=60, strokes=0)
        blend = FlowBlend()
        frames = list(map(blend, steady.inputs, steady.stylized))
        errors = [
            rms((a.astype(float) - b)[8:-8, 8:-16])
            for a, b in zip(frames, steady.stylized, strict=True)
        ]
        # It settles within some 30 frames: a share of 0.85 averages over about 7.
        assert errors[-1] < 4 and errors[-1] < 1.3 * max(errors[20:35])

    def test_unchanged_frames_are_returned_as_they_are(self) -> None:
        blend, picture, stylized = FlowBlend(), texture(), texture(1)
        assert (blend(picture, stylized) == stylized).all()
        for _ in range(5):
            assert np.abs(blend(picture, stylized).astype(int) - stylized).max() <= 1

    def test_still_pixels_are_blended_by_the_share(self) -> None:
        blend, picture = FlowBlend(), texture()
        flat = np.full_like(picture, 100)
        blend(picture, flat)
        assert np.abs(blend(picture, flat + 50) - (100 + 50 * (1 - FLOW_SHARE))).max() <= 1

    def test_uncovered_pixels_are_those_of_the_new_frame(self) -> None:
        ground, stylized = texture(), texture(1)
        blend = FlowBlend()
        covered = ground.copy()
        covered[40:80, 40:80] = (250, 20, 20)
        old = np.zeros_like(stylized)
        blend(covered, old)
        result = blend(ground, stylized)
        # Except for the restored contrast, inside the window over which change is measured.
        plain = result[44:76, 44:76].astype(float) - stylized[44:76, 44:76]
        assert np.abs(plain).mean() < 12
        assert (
            rms(result[:20, :20].astype(float) - stylized[:20, :20]) > 60
        )  # unchanged, and so blended

    def test_another_scene_or_size_resets(self) -> None:
        blend = FlowBlend()
        blend(texture(0), texture(1))
        small = texture(2, height=50, width=40)
        assert (blend(small, small) == small).all()
        blend.reset()
        stylized = texture(3, height=50, width=40)
        assert (blend(small, stylized) == stylized).all()

    @pytest.mark.parametrize("share", [-0.1, 1.0])
    def test_a_share_out_of_range_is_refused(self, share: float) -> None:
        with pytest.raises(ValueError, match="from 0"):
            FlowBlend(share)


@pytest.mark.parametrize("blend", [StillBlend, FlowBlend])
@pytest.mark.parametrize(("across", "down"), [(0, 0), (3, 0), (0, 2)])
def test_detail_stays_in_every_region(
    blend: type[StillBlend] | type[FlowBlend], across: int, down: int
) -> None:
    """Strokes that flicker over a panned scene keep the gradients that they have, both ways."""
    frames, size = 14, {"height": HEIGHT + 40, "width": WIDTH + 60}
    scene, strokes = texture(**size), texture(1, **size).astype(np.float32)
    blended, plain, shown = blend(), [], []
    for number in range(frames):
        part = (
            slice(down * number, down * number + HEIGHT),
            slice(across * number, across * number + WIDTH),
        )
        flicker = texture(9 + number).astype(np.float32) - 128
        plain.append(np.clip(strokes[part] + 0.7 * flicker, 0, 255).astype(np.uint8))
        shown.append(blended(scene[part].copy(), plain[-1]))
    left = remaining_detail(shown[6:], plain[6:], (2, 3))
    assert left.least > 0.9 and left.most < 1.1


def test_a_flat_region_keeps_its_detail_beside_a_busy_one() -> None:
    """As a road below a car: by the gain of both together, 0.70 of its energy was left."""
    scene, strokes, blend = texture(), texture(1).astype(float), FlowBlend()
    plain, shown, busy = [], [], slice(0, HEIGHT // 2)
    for number in range(14):
        stylized = 128 + 0.2 * (strokes + texture(9 + number) - 256)  # which flickers
        stylized[busy] = strokes[busy]
        plain.append(stylized.round().astype(np.uint8))
        shown.append(blend(scene, plain[-1]))
    beside = remaining_detail(shown[6:], plain[6:], (8, 1)).regions[:, 5]
    assert beside.min() > 0.8


@pytest.mark.parametrize("blend", [StillBlend, FlowBlend])
@pytest.mark.parametrize("size", [(2, 2), (9, 200), (301, 333), (720, 1280)])
def test_any_size(size: tuple[int, int], blend: type[StillBlend] | type[FlowBlend]) -> None:
    image, blended = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8), blend()
    assert all(blended(image, image).shape == image.shape for _ in range(2))


def fine_detail(picture: np.ndarray) -> np.ndarray:
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return gray - cv2.blur(gray, (3, 3))


def test_restored_detail_is_that_of_the_frame_and_no_hatching() -> None:
    """On a pan; before, what was amplified again and again had a correlation of 0.6 to 0.75."""
    blend = FlowBlend()
    with av.open(str(SAMPLE_VIDEO)) as clip:
        for frame in islice(clip.decode(video=0), 46):
            image = frame.to_ndarray(format="rgb24")[:240, :320]
            blended = blend(image, image)
    correlation = np.corrcoef(fine_detail(blended).ravel(), fine_detail(image).ravel())[0, 1]
    assert correlation > 0.85
