"""Engines for tests, by name. Build them in fixtures of the session: some compile a network."""

from importlib.util import find_spec

import torch

from impasto.models.architectures import ARCHITECTURES
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines.base import Engine, IdentityEngine
from impasto.realtime.engines.onnx_engine import OnnxEngine
from impasto.realtime.engines.torch_engine import TorchEngine, precisions

_KINDS = ("torch", "openvino") if find_spec("openvino") else ("torch",)
NAMES = [f"{kind}-{precision}" for kind in _KINDS for precision in precisions("cpu")]
NAMES += ["onnxruntime", "identity"]


def make_network() -> TransformNet:
    torch.manual_seed(0)
    return TransformNet(next(iter(ARCHITECTURES))).eval()


def make_engine(name: str) -> Engine:
    """An engine of `NAMES`, with the network of `make_network`."""
    kind, _, precision = name.partition("-")
    if kind == "identity":
        return IdentityEngine()
    if kind == "torch":
        return TorchEngine(make_network(), precision=precision)
    if kind == "onnxruntime":
        return OnnxEngine(make_network())
    from impasto.realtime.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(make_network(), precision=precision)
