"""Where decoder, network and encoder mean the same planes, nothing is converted between them."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from impasto.models.transform_net import TransformNet
from impasto.realtime import stylize_video
from impasto.realtime.engines.select import open_engine
from impasto.realtime.engines.torch_engine import TorchEngine
from impasto.realtime.files.codecs import EncoderOptions
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import ColorTags, Frame
from impasto.realtime.pipeline import batched
from impasto.realtime.pixels import planar_video_frame, planes_color, to_planes, to_video_frame
from impasto.realtime.stylizer import UPDATE_INTERVAL, Stylizer
from impasto.realtime.temporal.cuts import CutDetector
from tests.media import make_clip, numbered_picture
from tests.pictures import make_pictures

BT709 = ColorTags(1, 1, 1)
SIZE = (48, 64)


def moving_picture(number: int, size: tuple[int, int]) -> np.ndarray:
    return make_pictures(8, *size)[number % 8]


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    torch.manual_seed(0)
    return TorchEngine(TransformNet("fast").eval())


class Watch:
    """Hands frames through, and remembers in which form they came."""

    takes_planes = True

    def __init__(self, stylize: Any = None) -> None:
        self.stylize = stylize or (lambda batches: (frame for batch in batches for frame in batch))
        self.colors: set[ColorTags | None] = set()

    def __call__(self, batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        for frame in self.stylize(batches):
            self.colors.add(frame.color)
            yield frame


def planes_in(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray() for frame in container.decode(video=0)])


def framed(images: np.ndarray, color: ColorTags = BT709) -> list[Frame]:
    """RGB pictures as frames of planes."""
    return [
        Frame(to_planes(to_video_frame(image, "yuv420p", color), color), k, Fraction(1, 25), color)
        for k, image in enumerate(images)
    ]


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_planes_reach_the_file_untouched(tmp_path, matrix, full_range):
    color = ColorTags(1, 1, matrix, full_range)
    clip = make_clip(tmp_path / "in.mp4", size=SIZE, color=color, options={"qp": "0"})
    watch = Watch()
    stylize_video(clip, tmp_path / "out.mp4", watch, encoder=EncoderOptions(crf=0))
    assert watch.colors == {color}
    assert np.array_equal(planes_in(tmp_path / "out.mp4"), planes_in(clip))
    with VideoReader(tmp_path / "out.mp4") as written:
        assert written.info.color == color


def test_an_untagged_clip_stays_untagged(tmp_path):
    clip = make_clip(tmp_path / "in.mp4", size=SIZE, options={"qp": "0"})
    watch = Watch()
    stylize_video(clip, tmp_path / "out.mp4", watch, encoder=EncoderOptions(crf=0))
    assert watch.colors == {ColorTags(matrix=6)}  # below 720 lines
    assert np.array_equal(planes_in(tmp_path / "out.mp4"), planes_in(clip))
    with VideoReader(tmp_path / "out.mp4") as written:
        assert written.info.color == ColorTags()


@pytest.mark.parametrize(
    ("made", "asked"),
    [
        ({"rotation": 90}, {}),
        ({"size": (47, 64), "pix_fmt": "yuv444p"}, {}),
        ({"pix_fmt": "yuv420p10le"}, {}),
        ({}, {"bit_depth": 10}),
        ({}, {"size": (47, 64)}),
        ({}, {"codec": "prores"}),
    ],
)
def test_what_would_lose_something_comes_as_rgb(tmp_path, made, asked):
    clip = make_clip(tmp_path / "in.mp4", **{"size": SIZE, **made})
    watch = Watch()
    target = tmp_path / ("out.mov" if "codec" in asked else "out.mp4")
    stylize_video(clip, target, watch, **asked)
    assert watch.colors == {None}


def test_who_does_not_ask_gets_rgb(tmp_path):
    clip = make_clip(tmp_path / "in.mp4", size=SIZE)
    watch = Watch()
    stylize_video(clip, tmp_path / "out.mp4", lambda batches: watch(batches))
    assert watch.colors == {None}


def test_resized_planes_are_the_resized_picture(tmp_path):
    clip = make_clip(tmp_path / "in.mp4", size=(96, 128), picture=moving_picture)
    kept: list[Frame] = []

    def keep(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        for batch in batches:
            kept.extend(batch)
            yield from batch

    for name, stylize in (("planes.mp4", Watch(keep)), ("rgb.mp4", keep)):
        stylize_video(clip, tmp_path / name, stylize, size=48)
    half = len(kept) // 2
    for planes, rgb in zip(kept[:half], kept[half:], strict=True):
        assert (planes.size, planes.pts) == (rgb.size, rgb.pts) == ((48, 64), planes.pts)
        assert planes.color is not None
        expected = to_planes(to_video_frame(rgb.image, "yuv420p", planes.color), planes.color)
        error = planes.image[:48].astype(float) - expected[:48]  # luma
        assert 10 * np.log10(255**2 / np.square(error).mean()) > 30


def test_frame_rate_changes_keep_the_form(tmp_path):
    clip = make_clip(tmp_path / "in.mp4", size=SIZE, rate=25, frames=10)
    watch = Watch()
    report = stylize_video(clip, tmp_path / "out.mp4", watch, frame_rate=50)
    assert report.frames == 20 and None not in watch.colors


def test_painted_from_planes_is_painted_from_rgb(tmp_path, engine):
    """But for chroma, which is read without interpolation, and the mirror at the border."""
    clip = make_clip(tmp_path / "in.mp4", size=(96, 128), picture=moving_picture, color=BT709)
    stylize_video(clip, tmp_path / "planes.mp4", Stylizer(engine), encoder=EncoderOptions(crf=1))
    rgb_only = Stylizer(engine)
    rgb_only.takes_planes = False
    stylize_video(clip, tmp_path / "rgb.mp4", rgb_only, encoder=EncoderOptions(crf=1))
    inside = (slice(None), slice(16, 80), slice(16, 112))  # luma
    ours, theirs = (planes_in(tmp_path / name)[inside] for name in ("planes.mp4", "rgb.mp4"))
    error = ours.astype(float) - theirs
    assert 10 * np.log10(255**2 / np.square(error).mean()) > 30


@pytest.mark.parametrize("ahead", [False, True])
def test_batches_make_no_difference(engine, ahead):
    frames = framed(np.concatenate([make_pictures(9, *SIZE), 255 - make_pictures(6, *SIZE) // 3]))
    one, four = (
        np.stack([f.image for f in Stylizer(engine, ahead=ahead)(batched(frames, size))])
        for size in (1, 4)
    )
    assert one.shape == (15, 72, 64)
    assert np.abs(one.astype(int) - four).max() <= 1


def test_who_needs_rgb_gets_rgb(engine):
    frames = framed(make_pictures(UPDATE_INTERVAL + 2, *SIZE))
    for options in ({"keep_color": True}, {"carry": False}, {"steadiness": "hold"}):
        stylizer = Stylizer(engine, **options)
        assert not stylizer.takes_planes
        painted = list(stylizer(batched(frames, 1)))
        assert all(f.color is None and f.image.shape == (*SIZE, 3) for f in painted)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("color", [BT709, ColorTags(matrix=6, full_range=True)])
def test_engines_agree_on_planes(engine, name, color):
    """But at the border, where they see other mirrors, and but for cut-off fractions of colours."""
    if name == "openvino":
        pytest.importorskip("openvino")
    frames = np.stack([frame.image for frame in framed(make_pictures(2, 96, 128), color)])
    network = engine._renewing.network
    other = open_engine(network, engine=name, device="cpu", precision="fp32")
    painted = []
    for planar in (engine.for_yuv420(color), other.for_yuv420(color)):
        first, statistics = planar.update(frames[:1], None, 1.0)
        carried = planar.stylize(frames, statistics)
        assert first.shape == (1, 144, 128) and carried.shape == frames.shape
        assert np.abs(carried[:1].astype(int) - first).max() <= 1
        painted.append(carried[:, 24:72, 24:104].astype(float))  # luma
    error = painted[0] - painted[1]
    assert 10 * np.log10(255**2 / np.square(error).mean()) > 30


def test_pictures_below_the_networks_smallest_are_enlarged(engine):
    (painted,) = Stylizer(engine)([framed(make_pictures(1, 10, 12))])
    assert painted.color is None and painted.image.shape == (10, 12, 3)


@pytest.mark.parametrize("size", [(40, 50), (90, 120), (360, 640), (130, 2)])
def test_cuts_are_seen_in_planes_as_in_rgb(size):
    pictures = make_pictures(2, *size)
    before, after = framed(pictures)
    (scene,) = framed(make_pictures(1, *size, seed=1) // 2)
    in_rgb = Frame(pictures[0], 0, Fraction(1))
    begins_scene = CutDetector()
    found = [begins_scene(frame) for frame in (before, after, in_rgb, scene)]
    assert found == [True, False, False, True]


def test_only_8_bit_420_of_even_sides_has_planes():
    picture = numbered_picture(3, SIZE)
    for form in ("yuv420p", "yuvj420p", "nv12"):
        frame = to_video_frame(picture, form, BT709)
        color = planes_color(frame)
        assert color is not None and color.matrix == 1
        assert to_planes(frame, color).shape == (72, 64)
    for form in ("yuv422p", "yuv444p", "yuv420p10le", "rgb24", "gray"):
        assert planes_color(to_video_frame(picture, form, BT709)) is None


def test_planes_are_brought_to_the_colours_of_the_first_frame():
    """A stream may change its matrix and range on the way."""
    picture = numbered_picture(5, SIZE)
    wanted = to_planes(to_video_frame(picture, "yuv420p", BT709), BT709)
    for color in (replace(BT709, matrix=6), replace(BT709, full_range=True)):
        got = to_planes(to_video_frame(picture, "yuv420p", color), BT709)
        difference = np.abs(got.astype(int) - wanted)
        assert difference.max() <= 6 and difference.mean() < 0.3


def test_planes_carry_their_tags_to_the_encoder():
    color = ColorTags(9, 16, 9, True)
    (frame,) = framed(make_pictures(1, *SIZE), color)
    video = planar_video_frame(frame.image, color)
    tags = (video.color_primaries, video.color_trc, video.colorspace, video.color_range)
    assert tags == (9, 16, 9, 2)
