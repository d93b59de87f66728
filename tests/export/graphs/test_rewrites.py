"""The modules that graphs are built from, in PyTorch, against the networks they rewrite."""

from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.export.graphs.cpu import CpuNet, build_cpu_model
from impasto.export.graphs.gpu import GpuNet, build_gpu_model
from impasto.export.graphs.norms import count_channels
from impasto.export.graphs.portable import PortableNet, build_portable_model
from impasto.export.graphs.rewrites import pad_by_reflection
from impasto.export.parity import open_session
from impasto.models.architectures import ARCHITECTURES, ConvLayer, NetworkConfig
from impasto.models.colors import ycc_to_rgb
from impasto.models.fast.norm_folding import FoldedNetwork, RunningNormNetwork
from impasto.models.fast.norm_statistics import NormStatistics
from impasto.models.fast.uint8_io import Uint8Wrapper
from impasto.models.layers import reflect_pad
from impasto.models.transform_net import TransformNet
from tests.pictures import make_pictures

SIZE = (41, 58)
Statistics = tuple[Tensor, Tensor]


# No rewrite knows the layers of an architecture: another one is an entry in ARCHITECTURES, no more.
OTHER = NetworkConfig(
    down=(
        ConvLayer("stem", 16, kernel=5, stride=2),
        ConvLayer("middle", 24, stride=2),
        ConvLayer("down", 32, stride=2),
    ),
    blocks=1,
    up=(
        ConvLayer("up", 24, upsample=True, skip="middle"),
        ConvLayer("between", 24),
        ConvLayer("refine", 16, upsample=True, skip="stem"),
    ),
)


@pytest.fixture(scope="module", params=[*ARCHITECTURES, "other"])
def network(request: pytest.FixtureRequest) -> TransformNet:
    torch.manual_seed(0)
    with patch.dict(ARCHITECTURES, other=OTHER):
        network = TransformNet(request.param).eval()
    with torch.no_grad():  # as after training: no bias is 0, no gain 1
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def frames() -> Tensor:
    return torch.from_numpy(make_pictures(2, *SIZE))


@pytest.fixture(scope="module")
def statistics(network: TransformNet, frames: Tensor) -> Statistics:
    """Of the first frame, by the networks for PyTorch."""
    channels = count_channels(network)
    start = NormStatistics(torch.zeros(channels), torch.ones(channels))
    with torch.inference_mode():
        _, statistics = RunningNormNetwork(network, torch.float32)(frames[:1], start, 1.0)
    return statistics.mean, statistics.variance


def off(one: Tensor, other: Tensor) -> float:
    """The largest difference."""
    assert one.shape == other.shape
    return float((one.float() - other.float()).abs().max())


@pytest.mark.parametrize("form", [CpuNet, PortableNet])
def test_frames_are_those_of_the_network(network, frames, form: Callable[..., nn.Module]):
    rewritten = form(network, "instance" if form is CpuNet else "nhwc-uint8")
    assert off(rewritten(frames), Uint8Wrapper(network)(frames)) <= 1  # rounding


def test_floats_are_those_of_the_network(network, frames):
    images = frames.permute(0, 3, 1, 2) / 255
    assert off(PortableNet(network, "nchw-float")(images), network(images)) < 1e-4


@pytest.mark.parametrize(
    "form", [CpuNet, GpuNet, lambda network, mode: GpuNet(network, mode, fold=False)]
)
def test_statistics_are_those_of_the_networks_for_pytorch(network, frames, statistics, form):
    """Frozen on two frames; moved by 0.3 towards the second."""
    given = NormStatistics(*statistics)
    folded = FoldedNetwork(network, torch.float32)
    folded.fold(given)
    assert off(form(network, "frozen")(frames, *statistics), folded(frames)) <= 1
    stylized, *new = form(network, "running")(frames[1:], *statistics, torch.tensor(0.3))
    expected, moved = RunningNormNetwork(network, torch.float32)(frames[1:], given, 0.3)
    assert off(stylized, expected) <= 1
    for one, other in zip(new, moved, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def test_yuv420_is_that_of_the_rgb_picture(network, statistics):
    frames = torch.from_numpy(make_pictures(1, 40, 56))
    images = frames.permute(0, 3, 1, 2) / 255
    to_rgb, black = (torch.from_numpy(x).float() for x in ycc_to_rgb(1, False))
    rgb = 255 * network(images)
    ycc = torch.einsum("yc,nchw->nyhw", torch.linalg.inv(to_rgb), rgb) + black.view(1, 3, 1, 1)
    chroma = F.avg_pool2d(ycc[:, 1:], 2).reshape(1, -1, 56)
    expected = torch.cat([ycc[:, 0], chroma], 1).clamp(0, 255)
    got = CpuNet(network, "instance", yuv420=True)(frames)
    assert off(got, expected) < 0.51
    on_cpu = CpuNet(network, "frozen", yuv420=True)(frames, *statistics)
    assert off(GpuNet(network, "frozen", yuv420=True)(frames, *statistics), on_cpu) <= 1


@pytest.mark.parametrize("network", ["other"], indirect=True)  # more tests have the others
def test_a_graph_computes_what_its_module_does(network, frames, statistics):
    mean, variance = (x.numpy() for x in statistics)
    given = {"frames": frames[1:].numpy(), "mean": mean, "variance": variance}
    given["weight"] = np.array(0.3, np.float32)
    for form, build in ((CpuNet, build_cpu_model), (GpuNet, build_gpu_model)):
        got = open_session(build(network, "running").SerializeToString()).run(None, given)
        expected = form(network, "running")(*(torch.from_numpy(x) for x in given.values()))
        assert off(torch.from_numpy(got[0]), expected[0]) <= 1
        for one, other in zip(got[1:], expected[1:], strict=True):
            assert np.allclose(one, other, rtol=1e-3, atol=1e-4)
    session = open_session(build_portable_model(network).SerializeToString())
    (picture,) = session.run(None, {"frames": frames.numpy()})
    assert off(torch.from_numpy(picture), PortableNet(network)(frames)) <= 1


def test_a_rewrite_leaves_its_network_as_it_was(network, frames):
    names = list(network.state_dict())
    expected = Uint8Wrapper(network)(frames)
    for rewritten in (CpuNet(network, "frozen"), PortableNet(network), GpuNet(network, "frozen")):
        assert list(rewritten.state_dict()) == names
    assert torch.equal(Uint8Wrapper(network)(frames), expected)


@pytest.mark.parametrize("size", [(16, 50), (32, 33)])
def test_small_pictures_are_padded_as_bytes_too(size):
    x = torch.from_numpy(make_pictures(1, *size)).permute(0, 3, 1, 2)
    padded = pad_by_reflection(x, 8, 24)
    lack = [max(0, 32 - side) for side in size]
    enlarged = F.pad(x.float(), (0, lack[1], 0, lack[0]), mode="replicate")
    assert padded.dtype == torch.uint8 and off(padded, reflect_pad(enlarged, 8, 24)) == 0
