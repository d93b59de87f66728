"""ONNX Runtime as an engine on a Mac, by CoreML, or on Windows, by DirectML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from impasto.models.styles import StyleWeights
from impasto.realtime.engines.onnx_engine import OnnxEngine, graph_of
from impasto.realtime.engines.onnx_gpu import FREE, open_session
from impasto.realtime.frame import ColorTags

if TYPE_CHECKING:
    from torch import nn

    from impasto.export.spec import NormMode

PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    "coreml": (
        "CoreMLExecutionProvider",
        # No ModelCacheDirectory: unless told otherwise, it takes a graph for that of another style.
        {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL", "RequireStaticInputShapes": "1"},
    ),
    "directml": ("DmlExecutionProvider", {}),
}
_MAX_SESSIONS = 8  # each is for one shape of batch, and one norm mode


class OnnxDeviceEngine(OnnxEngine):
    """ONNX Runtime by CoreML or DirectML, in float32.

    The graphs are those for the CPU, with all sizes fixed, as both providers want them; what a
    provider does not compute is left to the CPU. Call it from one thread.

    device: "coreml" or "directml". Others as for `OnnxEngine`.
    """

    def __init__(
        self,
        network: nn.Module | StyleWeights,
        *,
        device: str,
        color: ColorTags | None = None,
    ) -> None:
        self.device = device
        super().__init__(network, color=color)

    def _for_yuv420(self, color: ColorTags) -> OnnxDeviceEngine:
        return OnnxDeviceEngine(self.network, device=self.device, color=color)

    def warm_up(self, height: int, width: int, *, first_frame: bool = False) -> None:
        for norm_mode in ("frozen", "running") if self.has_running_statistics else ("instance",):
            self._session(norm_mode, (1, height, width, 3))

    def _session(self, norm_mode: NormMode, shape: tuple[int, ...]) -> Any:
        """The session of a norm mode, for frames of this shape."""
        key = (norm_mode, shape)
        if key not in self._sessions:
            if len(self._sessions) >= _MAX_SESSIONS:
                self._sessions.pop(next(iter(self._sessions)))
            graph = graph_of(self.network, norm_mode, self.color)
            sides = dict(zip(FREE, shape, strict=False))
            self._sessions[key] = open_session(graph, [PROVIDERS[self.device]], sides)
        return self._sessions[key]
