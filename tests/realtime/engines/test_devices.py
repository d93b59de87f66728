"""Devices are used only where they are there, paint as the CPU does, and are faster.

The hardware is not here: an engine on the CPU stands for each, and one that fails, lies or crawls.
"""

import re
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from impasto.models import machine_cache
from impasto.models.classic import ClassicNet
from impasto.models.errors import EngineError
from impasto.models.styles import StyleWeights, load_weights, weights_of
from impasto.realtime.engines import devices, fidelity, onnx_device, onnx_engine, select
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.hybrid_engine import HybridEngine, open_hybrid_engine
from impasto.realtime.engines.onnx_engine import OnnxEngine
from impasto.realtime.engines.select import open_engine
from impasto.realtime.engines.torch_engine import TorchEngine
from impasto.realtime.frame import ColorTags
from tests.engines import make_network
from tests.pictures import make_pictures

openvino = pytest.importorskip("openvino")
SIZE = (48, 64)
MEASURED = select.seconds_per_frame


@pytest.fixture(scope="module")
def weights() -> StyleWeights:
    return load_weights("great_wave", network="fast")


@pytest.fixture(autouse=True)
def small_and_unknown(tmp_path, monkeypatch):
    """Nothing is known of this machine; the sample picture is small."""
    monkeypatch.setattr(machine_cache, "user_cache_path", lambda name: tmp_path / name)
    monkeypatch.setattr(fidelity, "_SIZE", SIZE)
    monkeypatch.setattr(OnnxEngine, "_session", same_session)


_sessions: dict[tuple[object, ...], tuple[object, object]] = {}


def same_session(engine: OnnxEngine, mode: str, shape: tuple[int, ...]) -> object:
    """The session of an engine; every engine of a network has the same, to save time."""
    key = (id(engine.network), mode, engine.color)
    if key not in _sessions:
        graph = onnx_engine.graph_of(engine.network, mode, engine.color)
        _sessions[key] = onnx_engine._opened(graph), engine.network  # which keeps its id
    return _sessions[key][0]


class OnDevice(OnnxEngine):
    """The CPU's ONNX Runtime in the name of a device, which changes what it paints."""

    def __init__(self, network, device, precision, change=lambda frames, graph: frames, color=None):
        super().__init__(network, color=color)
        self.name, self.device, self.precision, self.change = "openvino", device, precision, change

    def _for_yuv420(self, color):
        return OnDevice(self.network, self.device, self.precision, self.change, color)

    def _run(self, norm_mode, frames, **given):
        stylized, *new = super()._run(norm_mode, frames, **given)
        graph = "yuv420" if self.color else norm_mode
        return [self.change(stylized, graph), *new]


@pytest.fixture
def machine(monkeypatch) -> Callable[..., list[str]]:
    """A machine with an Intel GPU: `machine(change, seconds=...)` says what it does.

    seconds: a frame's on the GPU, where the CPU takes 1; None: measured. Returns what was opened.
    """
    pretend = devices.Device("gpu", "a GPU", "openvino", ("fp16",), lambda: True, lambda: None)
    monkeypatch.setattr(devices, "EXPERIMENTAL", {"gpu": pretend})

    def make(change=lambda frames, graph: frames, *, seconds: float | None = 0.5, opens=OnDevice):
        opened: list[str] = []

        def open_openvino(network, device, precision):
            if device == "cpu":
                raise EngineError("not here")
            opened.append(precision)
            return opens(network, device, precision, change)

        def timed(engine, size, repeats):
            return [seconds if engine.device == "gpu" else 1.0] * repeats

        monkeypatch.setitem(select._OPENERS, "openvino", open_openvino)
        monkeypatch.delitem(select._OPENERS, "torch", raising=False)
        monkeypatch.setattr(select, "seconds_per_frame", MEASURED if seconds is None else timed)
        return opened

    return make


@pytest.mark.parametrize("device", ["auto", "gpu"])
def test_one_that_paints_alike_and_is_faster_is_used(weights, machine, device):
    opened = machine()
    for times in (2, 3):  # the second time nothing is measured again
        engine = open_engine(weights, device=device, size=SIZE)
        assert (engine.device, engine.precision, engine.notes) == ("gpu", "fp16", [])
        assert len(opened) == times - 1
    assert "when last measured" in engine.reason
    assert open_engine(weights, device="cpu", size=SIZE).device == "cpu"


def fails(*_: object) -> Engine:
    raise ValueError("the driver has lost the device\nand more of it")


def lies_everywhere(frames, graph):
    return frames // 2


def lies(where: str):
    return lambda frames, graph: frames[..., ::-1].copy() if graph == where else frames


def another_size(frames, graph):
    return frames[:, :-1]


def fails_at_a_frame(frames, graph):
    raise RuntimeError("out of resources")


BAD = {
    "does not open": ({"opens": fails}, "the driver has lost the device"),
    "fails at a frame": ({"change": fails_at_a_frame}, "out of resources"),
    "lies everywhere": ({"change": lies_everywhere}, r"differs too much .* \d+\.\d dB, at worst"),
    "lies in one graph": ({"change": lies("frozen")}, "differs too much"),
    "lies in another": ({"change": lies("running")}, "differs too much"),
    "lies in yuv420p": ({"change": lies("yuv420")}, "differs too much"),
    "another size": ({"change": another_size}, "another size"),
    "slower": ({"seconds": 1.5}, "0.7 fps, where the CPU has 1.0"),
    "crawls": ({"seconds": 100}, "0.0 fps, where the CPU has 1.0"),
}


@pytest.mark.parametrize("device", ["auto", "gpu"])
@pytest.mark.parametrize("case", BAD)
def test_one_that_fails_lies_or_crawls_is_left_out_with_a_line(weights, machine, case, device):
    options, reason = BAD[case]
    machine(**options)
    for _ in range(2):  # the reason is remembered, too
        engine = open_engine(weights, device=device, size=SIZE)
        (note,) = engine.notes
        assert engine.device == "cpu" and "\n" not in note
        assert re.match("gpu fp16 is left out: .*" + reason, note)


def test_one_asked_for_is_tried_again_without_the_cpus_other_engines(weights, machine, monkeypatch):
    tried: list[str] = []

    def open_torch(network, device, precision):
        tried.append(device)
        raise EngineError("not here")

    opened = machine(lies_everywhere)
    monkeypatch.setitem(select._OPENERS, "torch", open_torch)
    first = open_engine(weights, device="gpu", size=SIZE)
    again = open_engine(weights, device="gpu", size=SIZE)
    assert (again.name, again.reason, again.notes) == (first.name, first.reason, first.notes)
    assert (len(opened), len(tried)) == (2, 1)


def test_one_that_crawls_is_found_by_its_own_time(weights, machine):
    class Crawls(OnDevice):
        def _run(self, norm_mode, frames, **given):
            for _ in range(30):
                result = super()._run(norm_mode, frames, **given)
            return result

    machine(seconds=None, opens=Crawls)
    engine = open_engine(weights, size=SIZE)
    assert engine.device == "cpu" and "fps, where the CPU has" in engine.notes[0]


def test_it_is_tried_for_each_style(weights, machine):
    """A device may have the range for one style, and not for another."""
    opened = machine()
    assert open_engine(weights, size=SIZE).device == "gpu"
    other = load_weights("the_scream", network="fast")
    machine(lies_everywhere)
    engine = open_engine(other, size=SIZE)
    assert engine.device == "cpu" and engine.notes[0].startswith("gpu fp16 is left out: it differs")
    assert open_engine(weights, size=SIZE).device == "gpu"
    assert opened


def test_one_that_fails_at_another_size_later(weights, machine):
    machine()
    assert open_engine(weights, size=SIZE).device == "gpu"
    machine(fails_at_a_frame, seconds=None)
    engine = open_engine(weights, size=(64, 80))
    assert engine.device == "cpu" and "out of resources" in engine.notes[0]


def test_a_driver_that_ends_the_program_is_tried_once(weights, machine):
    class EndsTheProgramError(BaseException):
        pass

    def ends(*_):
        raise EndsTheProgramError

    machine(opens=ends)
    with pytest.raises(EndsTheProgramError):
        open_engine(weights, size=SIZE)
    engine = open_engine(weights, size=SIZE)
    assert engine.device == "cpu" and "ended the program the last time" in engine.notes[0]
    machine()  # a new driver
    assert open_engine(weights, size=SIZE).device == "cpu"
    assert open_engine(weights, device="gpu", size=SIZE).device == "gpu"  # asked for: tried again
    assert not devices.ended_the_program("gpu")


def test_a_network_without_running_statistics(machine):
    machine(lies("instance"))
    assert open_engine(ClassicNet().eval(), size=SIZE).device == "cpu"
    machine()
    assert open_engine(ClassicNet().eval(), device="gpu", size=SIZE).device == "gpu"


def test_engine_and_precision_of_a_device(weights, machine):
    machine()
    with pytest.raises(EngineError, match="gpu is used by openvino"):
        open_engine(weights, device="gpu", engine="onnxruntime")
    with pytest.raises(EngineError, match="gpu computes in fp16, not int8"):
        open_engine(weights, device="gpu", precision="int8")
    assert open_engine(weights, engine="onnxruntime", size=SIZE).device == "cpu"
    assert open_engine(weights, engine="openvino", size=SIZE).device == "gpu"
    assert open_engine(weights, precision="fp32", size=SIZE).device == "cpu"


def test_live_video_on_a_device_turns_styles_in_pytorch(weights, machine):
    machine()
    engine = open_hybrid_engine(weights, device="gpu", size=SIZE)
    assert isinstance(engine, HybridEngine) and engine.notes == []
    assert (engine.name, engine.device, engine.precision) == ("openvino", "gpu", "fp16")
    assert engine(make_pictures(1, *SIZE)).shape == (1, *SIZE, 3)
    machine(lies_everywhere)
    other = load_weights("udnie", network="fast")
    engine = open_hybrid_engine(other, device="gpu", size=SIZE)
    assert engine.device == "cpu" and engine.notes[0].startswith("gpu fp16 is left out")


@pytest.mark.parametrize("name", devices.EXPERIMENTAL)
def test_a_missing_device_is_refused_in_a_line(weights, monkeypatch, name):
    monkeypatch.setattr(devices, "sys", SimpleNamespace(platform="haiku"))
    with pytest.raises(EngineError, match=f"^{name} cannot be used .*: use --device cpu$"):
        open_engine(weights, device=name)
    assert open_engine(weights, engine="onnxruntime", size=SIZE).notes == []


SYSTEMS = {
    ("linux", "x86_64"): set(),
    ("darwin", "arm64"): {"mps", "coreml"},
    ("darwin", "x86_64"): set(),
    ("win32", "AMD64"): {"gpu", "npu", "directml"},
}


@pytest.mark.parametrize(("platform", "machine"), SYSTEMS)
def test_what_a_system_may_have(monkeypatch, platform, machine):
    monkeypatch.setattr(devices, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr(devices.platform, "machine", lambda: machine)
    monkeypatch.setattr(devices, "_DEVICE_FILES", devices.Path("/none"))
    likely = {name for name, device in devices.EXPERIMENTAL.items() if device.likely()}
    assert likely == SYSTEMS[platform, machine]
    for name in likely:  # this machine has none of them, whatever its system is called
        assert devices.problem_with(name)


@pytest.mark.parametrize(("vendor", "found"), [("0x8086\n", True), ("0x1002\n", False)])
def test_an_intel_gpu_is_told_by_its_vendor(monkeypatch, tmp_path, vendor, found):
    monkeypatch.setattr(devices, "sys", SimpleNamespace(platform="linux"))
    monkeypatch.setattr(devices, "_DEVICE_FILES", tmp_path)
    assert not devices.has_intel_gpu() and not devices.has_intel_npu()
    file = tmp_path / "sys/class/drm/renderD128/device/vendor"
    file.parent.mkdir(parents=True)
    file.write_text(vendor)
    (tmp_path / "dev/accel").mkdir(parents=True)
    assert devices.has_intel_gpu() == found and devices.has_intel_npu()


def test_openvino_lists_its_devices(monkeypatch):
    class TwoGpus:
        available_devices = ("CPU", "GPU.0", "GPU.1")

    monkeypatch.setattr(openvino, "Core", TwoGpus)
    assert devices.openvino_device("GPU")() is None
    assert "Intel's driver" in devices.openvino_device("NPU")()


class CoreWithoutHardware:
    """OpenVINO's CPU in the name of a GPU and an NPU, of which the latter takes no precision."""

    def __init__(self) -> None:
        self._core, self.compiled = _CORE(), []

    def __getattr__(self, name):
        return getattr(self._core, name)

    def get_property(self, device, name):
        if device != "CPU" and name == "OPTIMIZATION_CAPABILITIES":
            return ["FP32", "FP16", "INT8"] if device == "GPU" else ["FP16", "INT8"]
        if device == "NPU" and name == "SUPPORTED_PROPERTIES":
            return {"CACHE_DIR": "RW"}
        return self._core.get_property("CPU", name)

    def compile_model(self, model, device, hints):
        assert model.input("frames").partial_shape.is_static
        _compiled.append((device, sorted(hints)))
        return self._core.compile_model(model, "CPU", hints)


_CORE, _compiled = openvino.Core, []


@pytest.mark.parametrize(("device", "precision"), [("gpu", "fp32"), ("npu", "fp16")])
def test_openvino_on_a_device(weights, monkeypatch, device, precision):
    monkeypatch.setattr(openvino, "Core", CoreWithoutHardware)
    _compiled.clear()
    engine = select._openvino_engine(weights, device, precision)
    assert (engine.device, engine.precision) == (device, precision)
    assert fidelity.device_problem(engine, weights) is None
    assert {name for name, _ in _compiled} == {device.upper()}
    hints = {"CACHE_DIR", "ENABLE_CPU_PINNING", "INFERENCE_PRECISION_HINT", "NUM_STREAMS"}
    assert set(_compiled[0][1]) == (hints if device == "gpu" else {"CACHE_DIR"})
    engine.limit_threads()
    frames, _ = make_pictures(1, *SIZE), _compiled.clear()
    engine(frames)
    assert not _compiled  # half of the cores or all: the device computes
    with pytest.raises(EngineError, match=f"int8 on this {device}"):
        select._openvino_engine(weights, device, "int8")


def test_a_device_without_a_driver_in_openvino(weights):
    with pytest.raises(EngineError, match="OpenVINO cannot use gpu"):
        select._openvino_engine(weights, "gpu", "auto")


@pytest.mark.parametrize("device", onnx_device.PROVIDERS)
def test_onnx_runtime_on_a_device(weights, monkeypatch, device):
    monkeypatch.setitem(onnx_device.PROVIDERS, device, ("CPUExecutionProvider", {}))
    engine = select._onnx_engine(weights, device, "auto")
    assert (engine.name, engine.device, engine.precision) == ("onnxruntime", device, "fp32")
    assert fidelity.device_problem(engine, weights) is None
    assert all(
        side.isdigit()
        for s in engine._sessions.values()
        for side in map(str, s.get_inputs()[0].shape)
    )
    assert engine.for_yuv420(ColorTags(matrix=1)).device == device
    for height in range(49, 57):
        assert engine(make_pictures(2, height, 64)).shape == (2, height, 64, 3)
    assert len(engine._sessions) == onnx_device._MAX_SESSIONS


def test_a_mac_without_memory_means_smaller_batches(monkeypatch):
    def full(frames):
        if len(frames) > 2:
            raise RuntimeError("MPS backend out of memory (MPS allocated: 6 GB)")
        return frames

    monkeypatch.setattr(torch.mps, "empty_cache", lambda: None)
    engine = TorchEngine(make_network())
    frames = make_pictures(4, *SIZE)
    with pytest.raises(RuntimeError):
        engine._in_batches(frames, full)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_: self)
    engine.device = "mps"
    assert np.array_equal(engine._in_batches(frames, full), frames)
    assert engine.notes == ["mps ran out of memory: batches of 2 from here on"]


def test_the_weights_tell_networks_apart():
    network = make_network()
    digest = fidelity._digest(network)
    assert digest == fidelity._digest(weights_of(network))
    with torch.no_grad():
        next(network.parameters()).add_(1)
    assert fidelity._digest(network) != digest
