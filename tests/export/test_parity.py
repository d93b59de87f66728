"""The exported graph computes what the network does, at any size."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from export import check_parity, export_onnx
from export.onnx_graph import build_model
from models.classic import ClassicNet
from models.errors import EngineError, ParityError
from models.folding import FoldedNetwork, RenewingNetwork
from models.transform_net import FORMS, TransformNet
from tests.pictures import make_pictures
from tests.reference import measure

NETWORKS = {form: lambda form=form: TransformNet(form) for form in FORMS} | {"classic": ClassicNet}


def make(name: str) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[name]().eval().requires_grad_(False)


@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_and_onnx_runtime_agree(name, tmp_path):
    network = make(name)
    path = export_onnx(network, tmp_path / "style.onnx")
    assert check_parity(network, path) <= 1
    model = onnx.load(path)
    ((frames,), (stylized,)) = model.graph.input, model.graph.output
    for info in (frames, stylized):
        assert info.type.tensor_type.elem_type == onnx.TensorProto.UINT8
        sizes = [d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim]
        assert sizes == ["n", "height", "width", 3]


def test_another_network_is_found_out(tmp_path):
    path = export_onnx(make("fast"), tmp_path / "style.onnx")
    torch.manual_seed(1)
    with pytest.raises(ParityError, match="grey levels"):
        check_parity(TransformNet("fast").eval(), path)


@torch.inference_mode()
def test_carried_statistics_are_inputs():
    network = make("fast")
    frames = make_pictures(2, 61, 83)
    statistics = measure(network, torch.from_numpy(frames[:1]))
    (stylized,) = run(network, "carried", frames, statistics)
    folded = FoldedNetwork(network, torch.float32)
    folded.fold(statistics)
    expected = folded(torch.from_numpy(frames)).numpy()
    assert np.abs(expected.astype(int) - stylized).max() <= 1  # rounding on the other side


@torch.inference_mode()
@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_renewed_statistics_are_outputs(weight):
    network = make("fast")
    frames = make_pictures(1, 61, 83)
    statistics = measure(network, torch.from_numpy(make_pictures(1, 40, 40, seed=3)))
    stylized, mean, variance = run(
        network, "renewed", frames, statistics, weight=np.array(weight, np.float32)
    )
    renewing = RenewingNetwork(network, torch.float32)
    expected, renewed = renewing(torch.from_numpy(frames), statistics, weight)
    assert np.abs(expected.numpy().astype(int) - stylized).max() <= 1  # as above
    np.testing.assert_allclose(mean, renewed.mean, atol=1e-3)
    np.testing.assert_allclose(variance, renewed.variance, atol=1e-3, rtol=1e-3)


def run(network, kind, frames, statistics, **more) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        build_model(network, kind).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    mean, variance = (x.numpy() for x in statistics)
    return session.run(None, {"frames": frames, "mean": mean, "variance": variance, **more})


def test_an_unknown_operation_is_named():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.erf(x)

    with pytest.raises(EngineError, match="erf"):
        build_model(Odd())
