"""ONNX Runtime as an engine on an NVIDIA GPU, by CUDA or TensorRT, without loading PyTorch."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from platformdirs import user_cache_path

from impasto.models import architectures
from impasto.models.errors import EngineError, first_line
from impasto.models.fast.norm_statistics import NormStatistics, initial_statistics
from impasto.models.styles import StyleWeights, build_network
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.batches import DeviceMemoryError, SplitBatches
from impasto.realtime.engines.onnx_engine import as_weights
from impasto.realtime.frame import ColorTags

if TYPE_CHECKING:
    from torch import nn

    from impasto.export.spec import NormMode

PRECISIONS = ("fp16", "fp32")  # the fastest first
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "cpu": "CPUExecutionProvider",  # for tests: the same graphs and the same bindings
}
_MAX_SHAPES = 6  # sessions; each is for one shape of batch, and one norm mode
_TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
FREE = ("n", "height", "width")  # sides of the input, by the graphs' own names


class OnnxGpuEngine(Engine):
    """ONNX Runtime by CUDA or TensorRT, in float16 or float32.

    Every shape of batch has its own session, with all sizes fixed, and its own tensors on
    the GPU, which its CUDA graph uses: a frame is copied in and out, and nothing in between. The
    first run of a shape, in which cuDNN tries its algorithms, comes before its first frame. Call it
    from one thread: CUDA graphs of ONNX Runtime belong to one.

    network: the weights of a `TransformNet`; or a network, which needs PyTorch.
    provider: "cuda" or "tensorrt". color: of the yuv420p frames that it gives (see
    `Engine.for_yuv420`); None: RGB. options: of the provider, in addition to or instead of the
    defaults. Raises EngineError where the provider does not load.
    """

    name = "onnxruntime"

    def __init__(
        self,
        network: nn.Module | StyleWeights,
        *,
        provider: str = "cuda",
        precision: str = "fp16",
        color: ColorTags | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(min_size=architectures.MARGIN + architectures.STRIDE)
        require_provider(provider)
        self.provider, self.precision, self.color = provider, precision, color
        self.device = "cpu" if provider == "cpu" else "cuda"
        if provider == "tensorrt":
            self.name = "tensorrt"
        self._options = dict(options or {})
        self._split = SplitBatches(self)
        self.replace(network)
        self.has_running_statistics = isinstance(self.network, StyleWeights)
        if self.has_running_statistics:
            self.output_formats = frozenset({"rgb24", "yuv420p"})
            assert isinstance(self.network, StyleWeights)
            channels = architectures.count_normed_channels(self.network.architecture)
            self._initial_statistics = initial_statistics(channels)

    def replace(self, network: nn.Module | StyleWeights) -> None:
        self.network = as_weights(network)
        self._bound: dict[tuple[NormMode, tuple[int, ...]], BoundSession] = {}

    def _for_yuv420(self, color: ColorTags) -> Engine:
        return OnnxGpuEngine(
            self.network,
            provider=self.provider,
            precision=self.precision,
            color=color,
            options=self._options,
        )

    def on_device(self, frames: np.ndarray, statistics: NormStatistics) -> Callable[[], None]:
        bound = self._bound_for("frozen", frames.shape)
        bound.put(frames=frames, **statistics._asdict())
        return bound.run

    def _stylize_instance(self, frames: np.ndarray) -> np.ndarray:
        return self._run_split("instance", frames)

    def _stylize_frozen(self, frames: np.ndarray, statistics: NormStatistics) -> np.ndarray:
        return self._run_split("frozen", frames, **statistics._asdict())

    def _stylize_running(
        self, frame: np.ndarray, statistics: NormStatistics, momentum: float
    ) -> tuple[np.ndarray, NormStatistics]:
        new: list[np.ndarray] = []

        def run(frame: np.ndarray) -> np.ndarray:
            inputs = {"frames": frame, "weight": np.float32(momentum), **statistics._asdict()}
            stylized, *new[:] = self._run("running", inputs)
            return stylized

        return self._split(frame, run), NormStatistics(*new)

    def _run_split(
        self, norm_mode: NormMode, frames: np.ndarray, **statistics: np.ndarray
    ) -> np.ndarray:
        return self._split(
            frames, lambda batch: self._run(norm_mode, {"frames": batch, **statistics})[0]
        )

    def _run(self, norm_mode: NormMode, inputs: dict[str, Any]) -> list[np.ndarray]:
        """The graph's outputs. Raises DeviceMemoryError."""
        frames = inputs["frames"]
        try:
            bound = self._bound_for(norm_mode, frames.shape)
            if lack := bound.shape[0] - len(frames):  # the end of a video
                inputs["frames"] = np.concatenate([frames, np.repeat(frames[-1:], lack, axis=0)])
            bound.put(**inputs)
            bound.run()
            stylized, *others = bound.outputs()
        except Exception as error:  # ONNX Runtime's classes have no common base class
            if "memory" not in str(error).lower():
                raise
            self._bound.clear()
            raise DeviceMemoryError from None
        return [stylized[: len(frames)], *others]

    def _bound_for(self, norm_mode: NormMode, shape: tuple[int, ...]) -> BoundSession:
        """The session for this shape, or for a few frames more, as for the last of a video."""
        larger = [
            key
            for key in self._bound
            if key[0] == norm_mode
            and key[1][1:] == shape[1:]
            and shape[0] <= key[1][0] < 2 * shape[0]
        ]
        if larger:
            return self._bound[min(larger)]
        if len(self._bound) >= _MAX_SHAPES:
            self._bound.pop(next(iter(self._bound)))
        bound = self._bound[norm_mode, shape] = self._opened(norm_mode, shape)
        return bound

    def _opened(self, norm_mode: NormMode, shape: tuple[int, ...]) -> BoundSession:
        model = self._graph(norm_mode)
        sides = dict(zip(FREE, shape, strict=False))
        try:
            session = open_session(model, self._provider_options(model, shape), sides)
            return BoundSession(session, shape, self.device)
        except Exception as error:
            graphs = {"cuda": "enable_cuda_graph", "tensorrt": "trt_cuda_graph_enable"}
            option = graphs.get(self.provider, "")
            if "memory" in str(error).lower() or self._options.get(option) == "0" or not option:
                raise
            self._options[option] = "0"
            self.notes.append(f"no CUDA graphs in {self.name}: {first_line(error)}")
            return self._opened(norm_mode, shape)

    def _provider_options(
        self, model: bytes, shape: tuple[int, ...]
    ) -> list[tuple[str, dict[str, str]]]:
        """The providers with their options; what TensorRT does not support is left to CUDA."""
        if self.provider == "cpu":
            return [(PROVIDERS["cpu"], {})]
        cuda = {
            "cudnn_conv_algo_search": "EXHAUSTIVE",
            "cudnn_conv_use_max_workspace": "1",
            "enable_cuda_graph": "1",
        }
        if self.provider == "cuda":
            return [(PROVIDERS["cuda"], cuda | self._options)]
        tensorrt = {
            "trt_fp16_enable": "1" if self.precision == "fp16" else "0",
            "trt_cuda_graph_enable": "1",
        }
        # ONNX Runtime knows an engine by the names in its graph, which all styles and shapes share.
        name = sha256(model + repr(shape).encode()).hexdigest()[:16]
        with suppress(OSError, RuntimeError):  # a user without a home, or with a read-only one
            timings = user_cache_path("impasto") / "tensorrt"
            (timings / name).mkdir(parents=True, exist_ok=True)
            tensorrt |= {
                "trt_engine_cache_enable": "1",  # an engine takes minutes to build
                "trt_engine_cache_path": str(timings / name),
                "trt_timing_cache_enable": "1",
                "trt_timing_cache_path": str(timings),
            }
        providers = [(PROVIDERS["tensorrt"], tensorrt | self._options)]
        return [*providers, (PROVIDERS["cuda"], cuda | {"enable_cuda_graph": "0"})]

    def _graph(self, norm_mode: NormMode) -> bytes:
        half = self.precision == "fp16"
        network = self.network
        if norm_mode == "instance":  # single pictures, custom networks: built by PyTorch
            from impasto.export.graphs.portable import build_portable_model

            network = build_network(network) if isinstance(network, StyleWeights) else network
            return build_portable_model(network, half=half).SerializeToString()
        assert isinstance(network, StyleWeights)
        from impasto.export.graphs.rgb_to_yuv import yuv420_weights
        from impasto.export.graphs.templates import fill_template, set_weights

        colors = yuv420_weights(self.color.matrix, self.color.full_range) if self.color else {}
        if self.provider != "tensorrt":
            return fill_template(network, norm_mode, yuv420=colors or None, gpu=self.precision)
        from impasto.export.graphs.gpu import build_gpu_model

        own = build_network(network)  # a TransformNet: no other has running statistics
        model = build_gpu_model(own, norm_mode, yuv420=bool(colors), half=half, fold=False)  # type: ignore[arg-type]
        return set_weights(model, colors)


class BoundSession:
    """A session for one shape of frames, with its inputs and outputs bound on the device."""

    def __init__(self, session: Any, shape: tuple[int, ...], device: str) -> None:
        import onnxruntime

        self.shape, self._session, self._device = shape, session, device
        self._binding = session.io_binding()
        self._last: dict[str, Any] = {}  # inputs on the device, of those that seldom change

        batch, height, width, _ = shape
        sizes = {"frames": shape, "stylized": shape}
        if len(session.get_outputs()[0].shape) == 3:  # yuv420p
            sizes["stylized"] = batch, height * 3 // 2, width

        def tensor(about: Any) -> Any:
            sides = sizes.get(about.name, about.shape)
            value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                list(sides), _TYPES[about.type], device
            )
            value.update_inplace(np.zeros(sides, _TYPES[about.type]))
            return value

        self._inputs = {about.name: tensor(about) for about in session.get_inputs()}
        self._outputs = [tensor(about) for about in session.get_outputs()]
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for about, value in zip(session.get_outputs(), self._outputs, strict=True):
            self._binding.bind_ortvalue_output(about.name, value)
        self.run()  # to warm up: the search for algorithms, and the capture of a CUDA graph

    def put(self, **inputs: Any) -> None:
        """Copy inputs to the device, but for those that are there already."""
        for name, value in inputs.items():
            if name != "frames" and self._last.get(name) is value:
                continue
            self._last[name] = value if name != "frames" else None
            self._inputs[name].update_inplace(np.asarray(value, order="C"))

    def run(self) -> None:
        """Compute the outputs from the inputs on the device, and wait for them."""
        self._session.run_with_iobinding(self._binding)

    def outputs(self) -> list[np.ndarray]:
        """Copies on the host."""
        arrays = (value.numpy() for value in self._outputs)
        return [array.copy() if self._device == "cpu" else array for array in arrays]


def open_session(
    model: bytes, providers: list[tuple[str, dict[str, str]]], sides: Mapping[str, int]
) -> Any:
    """A session with the graph's free dimensions set to `sides`, and no fallback provider."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, and reported in one line
    for name, size in sides.items():
        options.add_free_dimension_override_by_name(name, size)
    session = onnxruntime.InferenceSession(model, options, providers=providers, enable_fallback=0)
    if providers[0][0] not in session.get_providers():
        raise EngineError(f"ONNX Runtime does not run this graph with {providers[0][0]}")
    return session


def require_provider(provider: str) -> None:
    """Raise EngineError, with the reason, if no session runs with "cuda" or "tensorrt"."""
    if reason := provider_error(provider):
        raise EngineError(
            f"ONNX Runtime cannot use {PROVIDERS[provider]} ({reason}): "
            f"pip install 'impasto[{provider}]', or use --engine torch"
        )


def provider_error(provider: str) -> str | None:
    """Why no session runs with "cuda", "tensorrt" or "cpu", in a line; None if one does.

    A session is opened to see: ONNX Runtime lists the providers it was built with, and if one does
    not load, it only prints a warning and uses the CPU.
    """
    import onnxruntime

    name = PROVIDERS[provider]
    onnxruntime.set_default_logger_severity(4)
    if name not in onnxruntime.get_available_providers():
        return "this build of ONNX Runtime does not include it"
    with redirect_stdout(io.StringIO()):  # it prints the names of missing libraries
        onnxruntime.preload_dlls()  # CUDA and cuDNN from the wheels that PyTorch depends on
    if provider == "tensorrt":
        with suppress(ImportError):
            import_module("tensorrt")  # loads its libraries
    try:
        open_session(_probe(), [(name, {})], {})
    except Exception as error:
        return _library_error(provider) or first_line(error)
    return None


def _library_error(provider: str) -> str:
    """The error from loading the provider's shared library; "" if it loads."""
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent / "capi"
    for library in folder.glob(f"*onnxruntime_providers_{provider}.*"):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            return first_line(error)
    return ""


def _probe() -> bytes:
    """A graph of one node, as small as possible."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "probe", [x], [y])
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
