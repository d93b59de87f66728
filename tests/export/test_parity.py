"""The exported graph computes the same as the network, at any size; differences are reported."""

import math

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from impasto.export import check_parity
from impasto.export.graphs.cpu import build_cpu_model
from impasto.export.graphs.portable import build_portable_model
from impasto.export.parity import Difference, open_session
from impasto.models.architectures import ARCHITECTURES
from impasto.models.classic import ClassicNet
from impasto.models.errors import EngineError, ParityError
from impasto.models.fast.norm_folding import FoldedNetwork, RunningNormNetwork
from impasto.models.fast.uint8_io import Uint8Wrapper
from impasto.models.transform_net import TransformNet
from tests.pictures import make_pictures
from tests.reference import measure

NETWORKS = {name: lambda name=name: TransformNet(name) for name in ARCHITECTURES} | {
    "classic": ClassicNet
}
SMALL = ((1, 64, 96), (3, 61, 83), (1, 16, 16))


def make(name: str) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[name]().eval().requires_grad_(False)


@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_and_onnx_runtime_agree(name):
    network = make(name)
    model = build_portable_model(network)
    found = list(check_parity(network, model.SerializeToString(), shapes=SMALL))
    assert [(f.shape, f.frames) for f in found] == [
        (shape, kind) for shape in SMALL for kind in ("rendered", "random")
    ]
    assert max(f.max for f in found) <= 1
    ((frames,), (stylized,)) = model.graph.input, model.graph.output
    assert (frames.name, stylized.name) == ("frames", "stylized")
    for info in (frames, stylized):
        assert info.type.tensor_type.elem_type == onnx.TensorProto.UINT8
        sizes = [d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim]
        assert sizes == ["n", "height", "width", 3]


@settings(max_examples=12, deadline=None)  # how long one takes depends on what else runs
@given(batch=st.integers(1, 3), height=st.integers(16, 70), width=st.integers(16, 70))
def test_any_size_agrees(agreeing, batch, height, width):
    network, session = agreeing
    frames = make_pictures(batch, height, width)
    (got,) = session.run(["stylized"], {"frames": frames})
    # By another way than the check's own: the engines' rule, row after row by hand.
    rows = [min(i, height - 1) for i in range(max(height, 32))]
    columns = [min(i, width - 1) for i in range(max(width, 32))]
    with torch.inference_mode():
        expected = Uint8Wrapper(network)(torch.from_numpy(frames[:, rows][:, :, columns])).numpy()
    assert got.shape == frames.shape
    assert np.abs(expected[:, :height, :width].astype(int) - got).max() <= 1  # rounding


@pytest.fixture(scope="module")
def agreeing():
    network = make("fast")
    return network, open_session(build_portable_model(network).SerializeToString())


def test_a_different_network_fails_the_check():
    model = build_portable_model(make("fast")).SerializeToString()
    torch.manual_seed(1)
    with pytest.raises(ParityError, match=r"gray levels, .* on rendered frames of 1x64x96"):
        list(check_parity(TransformNet("fast").eval(), model, shapes=SMALL))


def difference(**figures: float) -> Difference:
    found = {"max": 0.0, "mean": 0.0, "psnr": math.inf, "within_two": 1.0} | figures
    return Difference(frames="random", shape=(1, 16, 16), **found)


@pytest.mark.parametrize(
    "precision, within, beyond",
    [
        ("fp32", {"max": 1.0}, {"max": 2.0}),
        ("fp16", {"max": 9.0, "within_two": 0.9991}, {"within_two": 0.998}),
        ("int8", {"max": 90.0, "psnr": 30.1}, {"psnr": 29.9}),
    ],
)
def test_limits(precision, within, beyond):
    assert difference(**within).fault(precision) is None
    assert difference(**beyond).fault(precision)


def test_figures_are_those_of_numpy():
    class Brighter(TransformNet):
        def forward(self, images):
            return images + 3 / 255

    class Same(TransformNet):
        def forward(self, images):
            return images * 1.0

    model = build_portable_model(Same("fast")).SerializeToString()
    (found, _) = check_parity(Brighter("fast"), model, precision="int8", shapes=((1, 16, 16),))
    assert found.max == 3 and 2.5 < found.mean <= 3 and found.within_two < 0.2
    # All pixels but the saturated ones are off by three: 10 log10(255^2 / 9), or a little more.
    assert 38.58 < found.psnr < 39.5


def test_a_graph_that_cannot_run_is_reported():
    with pytest.raises(EngineError, match="does not load the graph"):
        open_session(b"no graph")


@torch.inference_mode()
def test_frozen_statistics_are_inputs():
    network = make("fast")
    frames = make_pictures(2, 61, 83)
    statistics = measure(network, torch.from_numpy(frames[:1]))
    (stylized,) = run(network, "frozen", frames, statistics)
    folded = FoldedNetwork(network, torch.float32)
    folded.fold(statistics)
    expected = folded(torch.from_numpy(frames)).numpy()
    assert np.abs(expected.astype(int) - stylized).max() <= 1  # rounding on the other side


@torch.inference_mode()
@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_running_statistics_are_outputs(weight):
    network = make("fast")
    frames = make_pictures(1, 61, 83)
    statistics = measure(network, torch.from_numpy(make_pictures(1, 40, 40, seed=3)))
    stylized, mean, variance = run(
        network, "running", frames, statistics, weight=np.array(weight, np.float32)
    )
    running = RunningNormNetwork(network, torch.float32)
    expected, updated = running(torch.from_numpy(frames), statistics, weight)
    assert np.abs(expected.numpy().astype(int) - stylized).max() <= 1  # as above
    np.testing.assert_allclose(mean, updated.mean, atol=1e-3)
    np.testing.assert_allclose(variance, updated.variance, atol=1e-3, rtol=1e-3)


def run(network, kind, frames, statistics, **more) -> list[np.ndarray]:
    session = open_session(build_cpu_model(network, kind).SerializeToString())
    mean, variance = (x.numpy() for x in statistics)
    return session.run(None, {"frames": frames, "mean": mean, "variance": variance, **more})


def test_an_unknown_operation_is_named():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.erf(x)

    with pytest.raises(EngineError, match="erf"):
        build_portable_model(Odd())
