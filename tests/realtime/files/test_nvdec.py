"""Frames that stay on a GPU: the tensors on a CPU too, NVDEC where there is one."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from impasto.models.errors import EngineError
from impasto.models.styles import load_style, load_weights
from impasto.realtime import stylize_video
from impasto.realtime.engines.onnx_engine import OnnxEngine
from impasto.realtime.engines.options import EngineOptions
from impasto.realtime.engines.torch_gpu import TorchGpuEngine
from impasto.realtime.files.codecs import EncoderOptions
from impasto.realtime.files.nvdec import is_nv12_on_gpu, rgb_on_gpu
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import ColorTags, Frame, on_host, stacked
from impasto.realtime.pixels import to_rgb, to_video_frame
from impasto.realtime.stylizer import UPDATE_INTERVAL, LazyStylizer, Stylizer
from impasto.realtime.temporal.cuts import CutDetector
from tests.media import make_clip
from tests.pictures import make_pictures
from tests.realtime.engines.tape import tape
from tests.realtime.engines.test_yuv420 import frames_of, moving_picture

BT709 = ColorTags(1, 1, 1)


def as_tensors(frames: list[Frame]) -> list[Frame]:
    """The frames as tensors, as if they were on a GPU."""
    return [replace(frame, image=torch.from_numpy(frame.image)) for frame in frames]


@pytest.mark.parametrize("size", [(48, 64), (50, 90), (2, 2), (96, 34)])
@pytest.mark.parametrize("color", [BT709, ColorTags(matrix=6, full_range=True)])
def test_rgb_of_nv12(size, color):
    """Rows of 90 and 34 bytes have others behind them in a frame."""
    frame = to_video_frame(make_pictures(1, *size)[0], "nv12", color)
    rgb = rgb_on_gpu(frame, color.matrix, color.full_range)
    assert rgb.shape == (*size, 3) and rgb.dtype == torch.uint8
    off = np.abs(rgb.numpy().astype(int) - to_rgb(frame, quick=True))
    assert off.max() <= 3  # swscale cuts fractions off at each of three steps
    assert not is_nv12_on_gpu(frame)


def test_rgb_is_a_copy():
    frame = to_video_frame(make_pictures(1, 48, 64)[0], "nv12", BT709)
    rgb = rgb_on_gpu(frame, 1, False)
    before = rgb.clone()
    np.frombuffer(frame.planes[0], np.uint8)[:] = 0
    assert torch.equal(rgb, before)


def test_pictures_are_stacked_where_they_are():
    arrays = list(make_pictures(3, 8, 8))
    tensors = [torch.from_numpy(array) for array in arrays]
    assert isinstance(stacked(arrays), np.ndarray)
    assert isinstance(stacked(tensors), torch.Tensor)
    mixed = stacked([arrays[0], tensors[1], tensors[2]])
    assert isinstance(mixed, np.ndarray) and np.array_equal(mixed, np.stack(arrays))
    assert all(np.array_equal(on_host(x), y) for x, y in zip(tensors, arrays, strict=True))


@pytest.mark.parametrize("size", [(40, 50), (360, 640)])
def test_cuts_are_seen_in_tensors(size):
    scenes = [make_pictures(2, *size), make_pictures(2, *size, seed=5) // 2]
    begins_scene = CutDetector()
    found = [begins_scene(frame) for frame in as_tensors(frames_of(np.concatenate(scenes)))]
    assert found == [True, False, True, False]


@pytest.fixture
def gpu_like(monkeypatch) -> TorchGpuEngine:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    network = load_style("great_wave")
    return TorchGpuEngine(network, device="cpu", precision="fp32", capture=tape)


@pytest.mark.parametrize("batch", [1, 3])
def test_tensors_are_stylized_as_arrays_are(gpu_like, batch):
    frames = frames_of(make_pictures(2 * UPDATE_INTERVAL + 1, 48, 64))

    def stylize(frames: list[Frame]) -> np.ndarray:
        stylizer = Stylizer(gpu_like)
        assert "cuda" in stylizer.formats.input_devices
        batches = [frames[i : i + batch] for i in range(0, len(frames), batch)]
        return np.stack([frame.image for frame in stylizer(batches, yuv420=BT709)])

    assert np.abs(stylize(as_tensors(frames)).astype(int) - stylize(frames)).max() <= 1


def test_who_cannot_read_tensors_gets_arrays(gpu_like):
    frames = frames_of(make_pictures(3, 48, 64))
    for stylizer in (
        Stylizer(OnnxEngine(load_weights("great_wave"))),
        Stylizer(gpu_like, keep_color=True),
        Stylizer(gpu_like, steadiness="hold"),
    ):
        assert stylizer.formats.input_devices == {"cpu"}
        for frame in stylizer([as_tensors(frames)]):
            assert isinstance(frame.image, np.ndarray)
    (small,) = frames_of(make_pictures(1, 10, 12))
    (stylized,) = Stylizer(gpu_like)([as_tensors([small])])
    assert stylized.image.shape == (10, 12, 3)


def test_a_lazy_stylizer_takes_tensors_where_pytorch_may_run(monkeypatch):
    def takes(**options: str) -> bool:
        stylizer = LazyStylizer(EngineOptions("great_wave", **options))
        return "cuda" in stylizer.formats.input_devices

    monkeypatch.setattr("impasto.realtime.stylizer.cuda_devices", lambda: 0)
    assert not takes()
    monkeypatch.setattr("impasto.realtime.stylizer.cuda_devices", lambda: 1)
    assert takes() and takes(engine="torch", device="cuda")
    assert not takes(engine="onnxruntime") and not takes(device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_gpu_nothing_stays_there(tmp_path):
    clip = make_clip(tmp_path / "in.mp4", size=(48, 64))
    with pytest.raises(EngineError, match="decode on the CPU instead"):
        VideoReader(clip, hwaccel="cuda", on_gpu=True)
    with VideoReader(clip, on_gpu=True) as file:  # on a GPU that does not decode
        assert all(isinstance(frame.image, np.ndarray) for frame in file)


@pytest.fixture
def nvdec(tmp_path) -> Iterator[str]:
    """A clip that this machine's GPU decodes."""
    clip = make_clip(
        tmp_path / "in.mp4", size=(256, 320), frames=30, picture=moving_picture, color=BT709
    )
    try:
        VideoReader(clip, hwaccel="cuda").close()
    except EngineError as error:
        pytest.skip(str(error))
    yield str(clip)


@pytest.mark.gpu
@pytest.mark.parametrize("pytorch_first", [False, True])
def test_nvdec_leaves_the_frames_of_the_cpu_on_the_gpu(nvdec, pytorch_first):
    if pytorch_first:
        torch.zeros(1, device="cuda")
    rgb = {}
    for on_gpu in (True, False):
        hwaccel = "cuda" if on_gpu else None
        with VideoReader(nvdec, hwaccel=hwaccel, on_gpu=on_gpu, quick_chroma=True) as file:
            frames = list(file)
        assert all(isinstance(f.image, torch.Tensor) == on_gpu for f in frames)
        rgb[on_gpu] = np.stack([on_host(frame.image) for frame in frames])
        assert file.missing_frames == 0
    assert rgb[True].shape == (30, 256, 320, 3)
    # H.264 decodes exactly; swscale cuts fractions off.
    assert np.abs(rgb[True].astype(int) - rgb[False]).max() <= 4


@pytest.mark.gpu
def test_nvdec_frames_can_be_read_as_resized_rgb(nvdec):
    for options in ({}, {"size": 96}):
        rgb = {}
        for on_gpu in (True, False):
            hwaccel = "cuda" if on_gpu else None
            with VideoReader(nvdec, hwaccel=hwaccel, on_gpu=on_gpu, **options) as file:
                rgb[on_gpu] = np.stack([frame.image for frame in file])
        assert np.abs(rgb[True].astype(int) - rgb[False]).max() <= 2


@pytest.mark.gpu
def test_frames_that_stay_on_the_gpu_are_stylized_the_same(nvdec):
    weights = load_weights("great_wave")
    stylized = {}
    for on_gpu in (True, False):
        stylizer = Stylizer(TorchGpuEngine(weights))
        with VideoReader(nvdec, hwaccel="cuda" if on_gpu else None, on_gpu=on_gpu) as file:
            frames = stylizer([frame] for frame in file)
            stylized[on_gpu] = np.stack([frame.image for frame in frames])
    off = np.abs(stylized[True].astype(int) - stylized[False])
    assert off.max() <= 2  # the same numbers through the same kernels


@pytest.mark.gpu
@pytest.mark.parametrize("codec", ["h264", "h264_nvenc"])
def test_a_whole_conversion(nvdec, tmp_path, codec):
    if codec == "h264_nvenc":
        context = av.CodecContext.create(codec, "w")
        context.width, context.height, context.pix_fmt = 320, 256, "yuv420p"
        context.time_base = Fraction(1, 25)
        try:
            context.open()
        except av.FFmpegError as error:
            pytest.skip(f"this GPU does not encode H.264: {error}")
    lines: list[str] = []
    stylizer = LazyStylizer(
        EngineOptions("great_wave", engine="torch", device="cuda"), log=lines.append
    )
    report = stylize_video(
        *(nvdec, tmp_path / "out.mp4", stylizer),
        encoder=EncoderOptions(codec=codec, crf=18),
        hwaccel="cuda",
    )
    assert (report.frames, report.missing_frames) == (30, 0)
    on_cpu = LazyStylizer(EngineOptions("great_wave", engine="torch"), print)
    expected = stylize_video(nvdec, tmp_path / "cpu.mp4", on_cpu, encoder=EncoderOptions(crf=18))
    assert expected.frames == 30
    pictures = []
    for name in ("out.mp4", "cpu.mp4"):
        with VideoReader(tmp_path / name) as file:
            pictures.append(np.stack([frame.image for frame in file]).astype(float))
    error = np.square(pictures[0] - pictures[1]).mean()
    assert 10 * np.log10(255**2 / error) > 30
