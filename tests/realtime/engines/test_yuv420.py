"""Networks give yuv420p, as encoders take it: nothing is converted in between."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from impasto.models.transform_net import TransformNet
from impasto.realtime import stylize_video
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.select import open_engine
from impasto.realtime.engines.torch_engine import TorchEngine
from impasto.realtime.files.codecs import EncoderOptions
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import ColorTags, Frame, PixelFormat
from impasto.realtime.pipeline import StylizerFormats, batched
from impasto.realtime.pixels import to_video_frame, yuv420p_video_frame
from impasto.realtime.stylizer import UPDATE_INTERVAL, Stylizer
from tests.media import make_clip
from tests.pictures import make_pictures

BT709 = ColorTags(1, 1, 1)
SIZE = (48, 64)
BOTH: frozenset[PixelFormat] = frozenset({"rgb24", "yuv420p"})


def moving_picture(number: int, size: tuple[int, int]) -> np.ndarray:
    return make_pictures(8, *size)[number % 8]


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    torch.manual_seed(0)
    return TorchEngine(TransformNet("fast").eval())


class Converting:
    """Gives the frames back, in the pixel format asked for, and keeps what was asked for."""

    formats = StylizerFormats(output=BOTH)

    def __init__(self) -> None:
        self.color: ColorTags | None = None
        self.given: list[np.ndarray] = []

    def __call__(
        self, batches: Iterator[list[Frame]], *, yuv420: ColorTags | None = None
    ) -> Iterator[Frame]:
        self.color = yuv420
        for frame in (frame for batch in batches for frame in batch):
            assert frame.pixel_format == "rgb24"
            if yuv420 is not None:
                image = to_video_frame(frame.image, "yuv420p", yuv420).to_ndarray()
                frame = replace(frame, image=image, pixel_format="yuv420p", color=yuv420)
            self.given.append(frame.image)
            yield frame


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray() for frame in container.decode(video=0)])


def frames_of(images: np.ndarray) -> list[Frame]:
    return [Frame(image, k, Fraction(1, 25)) for k, image in enumerate(images)]


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_yuv420p_reaches_the_file_unchanged(tmp_path, matrix, full_range):
    color = ColorTags(1, 1, matrix, full_range)
    clip = make_clip(tmp_path / "in.mp4", size=SIZE, color=color, options={"qp": "0"})
    stylizer = Converting()
    stylize_video(clip, tmp_path / "out.mp4", stylizer, encoder=EncoderOptions(crf=0))
    assert stylizer.color == color
    assert np.array_equal(decoded(tmp_path / "out.mp4"), stylizer.given)
    with VideoReader(tmp_path / "out.mp4") as written:
        assert written.info.color == color


def test_untagged_video_stays_untagged(tmp_path):
    clip = make_clip(tmp_path / "in.mp4", size=SIZE, options={"qp": "0"})
    stylizer = Converting()
    stylize_video(clip, tmp_path / "out.mp4", stylizer, encoder=EncoderOptions(crf=0))
    assert stylizer.color == ColorTags(matrix=6)  # below 720 lines
    assert np.array_equal(decoded(tmp_path / "out.mp4"), stylizer.given)
    with VideoReader(tmp_path / "out.mp4") as written:
        assert written.info.color == ColorTags()


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"encoder": EncoderOptions(bit_depth=10)}, "out.mp4"),
        ({"encoder": EncoderOptions(codec="prores")}, "out.mov"),
        ({"size": (47, 64)}, "out.mp4"),
        ({}, "out.gif"),
    ],
)
def test_encoders_of_other_formats_get_rgb(tmp_path, options, target):
    clip = make_clip(tmp_path / "in.mp4", size=SIZE)
    stylizer = Converting()
    stylize_video(clip, tmp_path / target, stylizer, **options)
    assert stylizer.color is None


@pytest.mark.parametrize(
    "made", [{"rotation": 90}, {"size": (47, 64), "pix_fmt": "yuv444p"}, {"pix_fmt": "yuv420p10le"}]
)
def test_sources_of_all_formats_come_as_rgb(tmp_path, made):
    clip = make_clip(tmp_path / "in.mp4", **{"size": SIZE, **made})
    stylizer = Converting()
    stylize_video(clip, tmp_path / "out.mp4", stylizer)
    assert (stylizer.color is None) == (made.get("size") is not None)  # an odd one


def test_a_plain_function_is_called_without_keywords(tmp_path):
    clip = make_clip(tmp_path / "in.mp4", size=SIZE)
    report = stylize_video(clip, tmp_path / "out.mp4", lambda batches: Converting()(batches))
    assert report.frames == len(decoded(tmp_path / "out.mp4"))


def test_yuv420p_is_the_rgb_result(tmp_path, engine):
    clip = make_clip(tmp_path / "in.mp4", size=(96, 128), picture=moving_picture, color=BT709)
    encoder = EncoderOptions(crf=1)
    stylize_video(clip, tmp_path / "yuv420p.mp4", Stylizer(engine), encoder=encoder)
    stylizer = Stylizer(engine)
    stylize_video(clip, tmp_path / "rgb.mp4", lambda batches: stylizer(batches), encoder=encoder)
    ours, theirs = (decoded(tmp_path / name)[:, :96] for name in ("yuv420p.mp4", "rgb.mp4"))
    error = ours.astype(float) - theirs  # of luma; chroma was interpolated for a plain function
    assert 10 * np.log10(255**2 / np.square(error).mean()) > 30


@pytest.mark.parametrize("ahead", [False, True])
def test_batches_make_no_difference(engine, ahead):
    images = np.concatenate([make_pictures(9, *SIZE), 255 - make_pictures(6, *SIZE) // 3])
    one, four = (
        list(Stylizer(engine, ahead=ahead)(batched(frames_of(images), size), yuv420=BT709))
        for size in (1, 4)
    )
    assert {(f.pixel_format, f.color, f.size) for f in one} == {("yuv420p", BT709, SIZE)}
    one, four = (np.stack([frame.image for frame in frames]) for frames in (one, four))
    assert one.shape == (15, 72, 64)
    assert np.abs(one.astype(int) - four).max() <= 1


@pytest.mark.parametrize(
    "options", [{"keep_color": True}, {"is_video": False}, {"steadiness": "hold"}]
)
def test_what_works_on_rgb_gives_rgb(engine, options):
    stylizer = Stylizer(engine, **options)
    assert stylizer.formats.output == {"rgb24"}
    frames = frames_of(make_pictures(UPDATE_INTERVAL + 2, *SIZE))
    for frame in stylizer(batched(frames, 1)):
        assert frame.pixel_format == "rgb24" and frame.image.shape == (*SIZE, 3)


@pytest.mark.parametrize("name", ["torch", "onnxruntime", "openvino"])
@pytest.mark.parametrize("color", [BT709, ColorTags(matrix=6, full_range=True)])
def test_every_engine_gives_what_its_rgb_becomes(engine, name, color):
    if name == "openvino":
        pytest.importorskip("openvino")
    rgb: Engine = engine
    if name != "torch":
        network = engine._running.network
        rgb = open_engine(network, engine=name, device="cpu", precision="fp32")
    frames = make_pictures(2, 96, 128)
    yuv = rgb.for_yuv420(color)
    first, statistics = yuv.update(frames[:1], None, 1.0)
    stylized = yuv.stylize(frames, statistics)
    assert first.shape == (1, 144, 128) and stylized.shape == (2, 144, 128)
    assert np.abs(stylized[:1].astype(int) - first).max() <= 1
    for image, expected in zip(stylized, rgb.stylize(frames, statistics), strict=True):
        luma = to_video_frame(expected, "yuv420p", color).to_ndarray()[:96]
        # RGB is clipped and rounded before it becomes luma.
        assert np.abs(image[:96].astype(int) - luma).mean() < 1


def test_frames_below_the_networks_minimum_stay_rgb(engine):
    (stylized,) = Stylizer(engine)([frames_of(make_pictures(1, 10, 12))], yuv420=BT709)
    assert stylized.pixel_format == "rgb24" and stylized.image.shape == (10, 12, 3)


def test_yuv420p_has_its_tags_for_the_encoder():
    color = ColorTags(9, 16, 9, True)
    video = yuv420p_video_frame(np.zeros((72, 64), np.uint8), color)
    tags = (video.color_primaries, video.color_trc, video.colorspace, video.color_range)
    assert tags == (9, 16, 9, 2)
