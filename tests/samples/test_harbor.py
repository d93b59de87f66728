"""The sample clip and its exact motion: against each other, and against the committed file."""

from fractions import Fraction
from functools import cache, partial
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

import harbor
from impasto.models.flow import occlusion_mask, warp
from scenery import sound

SAMPLES = Path(harbor.__file__).parent
HEIGHT, WIDTH = 180, 320  # half the size of the clip: large enough for boats and gulls to count
FRAME = 1 / 30
MOMENTS = [0.5, 6.0]


def as_tensor(array: np.ndarray) -> Tensor:
    """(H, W, C) to (1, C, H, W) float32."""
    return torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)[None]


def psnr(error: np.ndarray) -> float:
    return float(10 * np.log10(1 / np.square(error).mean()))


@cache
def picture(t: float) -> np.ndarray:
    """(H, W, 3) float64 in [0, 1]."""
    return harbor.render(t, HEIGHT, WIDTH) / 255


flow = cache(partial(harbor.flow, height=HEIGHT, width=WIDTH))
occlusion = cache(partial(harbor.occlusion, height=HEIGHT, width=WIDTH))
on_water = cache(partial(harbor.on_water, height=HEIGHT, width=WIDTH))


@cache
def rebuilt_error(t0: float, t1: float) -> np.ndarray:
    """The picture at t1 warped to t0, less the picture at t0: (H, W, 3), in [-1, 1]."""
    rebuilt = warp(as_tensor(picture(t1)), as_tensor(flow(t0, t1)))
    return rebuilt[0].permute(1, 2, 0).numpy() - picture(t0)


def steady(t0: float, t1: float) -> np.ndarray:
    """(H, W) bool: where a point seen at t0 is seen at t1, and looks the same."""
    return ~occlusion(t0, t1) & ~on_water(t0)


@pytest.mark.parametrize("t", MOMENTS)
def test_the_exact_flow_rebuilds_a_frame_from_a_later_one(t: float) -> None:
    near, far = t + FRAME, t + 10 * FRAME
    rebuilt = psnr(rebuilt_error(t, far)[steady(t, far)])
    unmoved = psnr((picture(far) - picture(t))[steady(t, far)])
    # What remains is interpolation: a bilinear lookup softens window frames and rigging, one pixel
    # wide, by 0.03 RMS (30 dB). It does not grow with time, as the error of a wrong flow would.
    assert rebuilt > 29
    assert rebuilt > unmoved + 10
    assert rebuilt > psnr(rebuilt_error(t, near)[steady(t, near)]) - 2


@pytest.mark.parametrize("t", MOMENTS)
def test_occlusion_is_where_warping_fails(t: float) -> None:
    later = t + 10 * FRAME
    hidden = occlusion(t, later)
    error = np.square(rebuilt_error(t, later)).mean(-1)
    seen = steady(t, later)
    assert 0.002 < hidden.mean() < 0.2
    # Nothing makes a wrong surface look right: its error is that of unrelated colors.
    hidden = hidden & ~on_water(t)
    assert error[hidden].mean() > 10 * error[seen].mean()


@pytest.mark.parametrize("t", MOMENTS)
def test_going_there_and_back_ends_where_it_began(t: float) -> None:
    later = t + 5 * FRAME
    there = as_tensor(flow(t, later))
    back = as_tensor(flow(later, t))
    left_over = (there + warp(back, there)).norm(dim=1)[0].numpy()
    seen = ~occlusion(t, later)
    # The median is exact to float32 and interpolation; outlines mix two motions in one lookup.
    assert np.median(left_over[seen]) < 0.002
    assert (left_over[seen] < 0.1).mean() > 0.93


def test_the_rule_of_sundaram_finds_what_is_exactly_occluded() -> None:
    t0, t1 = 3.5, 3.5 + 10 * FRAME
    hidden = torch.from_numpy(occlusion(t0, t1))
    there = as_tensor(flow(t0, t1))
    back = as_tensor(flow(t1, t0))
    found = occlusion_mask(back, there)[0, 0]
    # It misses slivers where what covers moves within sqrt(0.5) px of what is covered.
    assert found[hidden].float().mean() > 0.85
    assert found.float().mean() < 0.35  # and does not do so by distrusting everything


def test_no_time_no_motion() -> None:
    assert np.abs(harbor.flow(2.0, 2.0, 36, 64)).max() < 1e-4
    assert not harbor.occlusion(2.0, 2.0, 36, 64).any()


def test_flow_of_the_sky_is_the_turning_of_the_camera() -> None:
    """By hand, at the middle of the picture: d(column) = focal * tan(turn of the sky seen)."""
    t0, t1 = 2.0, 2.5
    seen = harbor.camera(t0, 90, 160)
    turn = -(harbor.camera(t1, 90, 160).yaw - seen.yaw) + 0.0035 * (t1 - t0)
    u, _ = harbor.flow(t0, t1, 90, 160)[2, 80]
    x = (80 - 79.5) / (0.98 * 160)
    expected = 0.98 * 160 * (np.tan(np.arctan(x) + turn) - x)
    assert u == pytest.approx(expected, abs=1e-3)


def test_rendering_depends_on_nothing_but_its_seed() -> None:
    first = harbor.render(1.0, 54, 96)
    harbor.scene.cache_clear()
    assert np.array_equal(harbor.render(1.0, 54, 96), first)


def test_the_soundtrack_is_heard_and_never_clips() -> None:
    waves = sound.soundtrack(7.0)
    assert waves.shape == (2, 7 * sound.RATE) and waves.dtype == np.float32
    level = np.sqrt(np.square(waves).mean(1))
    assert (level > 0.01).all() and np.abs(waves).max() < 1.0
    assert not np.array_equal(waves[0], waves[1])


def test_the_committed_clip_is_what_the_script_describes() -> None:
    path = SAMPLES / "harbor.mp4"
    assert path.stat().st_size < 1_700_000
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height) == (640, 360)
        assert video.average_rate == 30 and video.codec_context.name == "h264"
        assert container.metadata["title"] == "Harbor"
        assert audio.metadata["language"] == "zxx" and audio.codec_context.name == "aac"
        assert audio.layout.nb_channels == 2
        times, middle = [], None
        for frame in container.decode(video):
            assert frame.pts is not None and frame.time_base is not None
            times.append(frame.pts * frame.time_base)
            if len(times) == 106:
                middle = frame.to_ndarray(format="rgb24")
    assert times == [Fraction(k, 30) for k in range(harbor.FRAME_COUNT)]
    with av.open(str(path)) as container:
        heard = sum(frame.samples for frame in container.decode(audio=0)) / sound.RATE
    assert heard == pytest.approx(7.0, abs=0.05)  # AAC pads to whole packets of 1,024
    # The clip is the script's: H.264 at this rate, with halved chroma, keeps 30 dB and more.
    assert middle is not None
    assert psnr((middle - harbor.render(105 / 30).astype(float)) / 255) > 29
