"""Any image-to-image ONNX file as an engine, to measure it: other people's exports too."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from impasto.models.errors import EngineError, SourceError
from impasto.models.styles import StyleWeights
from impasto.realtime.cpu import computing_threads
from impasto.realtime.engines.base import Engine

if TYPE_CHECKING:
    from torch import nn

_KINDS = {"tensor(uint8)": np.uint8, "tensor(float16)": np.float16, "tensor(float)": np.float32}
_PROBE_SIDE = 128  # px, for graphs of any size


class OnnxModelEngine(Engine):
    """ONNX Runtime on the CPU, for a graph with one picture in and one out.

    It may be uint8 or floating, (N, H, W, 3) or (N, 3, H, W), RGB, of any size or one; frames are
    scaled to the size it has. Whether floats go from 0 to 1, from 0 to 255 or from -1 to 1 is seen
    in what a picture in [0, 1] becomes, and is said in `description`.

    Raises SourceError for a file that cannot be read, and EngineError for a graph of another kind.
    """

    name, device = "onnxruntime", "cpu"

    def __init__(self, path: Path) -> None:
        super().__init__(min_size=16)
        self._session = _opened(path)
        given = self._session.get_inputs()
        if len(given) != 1 or len(given[0].shape) != 4 or given[0].type not in _KINDS:
            kinds = ", ".join(f"{i.name}: {i.type} {i.shape}" for i in given)
            raise EngineError(f"{path} takes {kinds}; expected one batch of pictures")
        self._input, self._dtype = given[0].name, _KINDS[given[0].type]
        shape = given[0].shape
        self._channels_last = shape[3] == 3 and shape[1] != 3
        if 3 not in (shape[1], shape[3]) and isinstance(shape[1], int):
            raise EngineError(f"{path} takes {shape}; expected three channels")
        height, width = shape[1:3] if self._channels_last else shape[2:]
        fixed = isinstance(height, int) and isinstance(width, int)
        self._size: tuple[int, int] | None = (height, width) if fixed else None
        self.precision = np.dtype(self._dtype).name
        self._low, self._high = 0.0, 255.0
        if self._dtype is not np.uint8:
            self._low, self._high = self._range(path)
        floats = f", {self._low:g} to {self._high:g}"
        layout = "NHWC" if self._channels_last else "NCHW"
        size = f"{width}x{height}" if fixed else "any size"
        self.description = f"{path.name}: {self.precision} {layout}{floats}, {size}"

    def replace(self, network: "nn.Module | StyleWeights") -> None:
        raise EngineError("an ONNX file holds one network")

    def _range(self, path: Path) -> tuple[float, float]:
        height, width = self._size or (_PROBE_SIDE, _PROBE_SIDE)
        noise = np.random.default_rng(0).random((8, 8, 3), np.float32)
        probe = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        found = self._run(np.clip(probe, 0, 1), path).astype(np.float32)
        if np.quantile(np.abs(found), 0.9) > 4:
            return 0.0, 255.0
        return (-1.0, 1.0) if np.quantile(found, 0.1) < -0.3 else (0.0, 1.0)

    def _run(self, picture: np.ndarray, path: Path | None = None) -> np.ndarray:
        """One picture through the graph: (H, W, 3) in the graph's own range, both ways."""
        batch = picture[None].astype(self._dtype)
        if not self._channels_last:
            batch = batch.transpose(0, 3, 1, 2)
        try:
            result = self._session.run(None, {self._input: np.ascontiguousarray(batch)})[0]
        except Exception as error:  # ONNX Runtime's own classes have no common base
            raise EngineError(f"{path or 'the graph'} cannot be run: {error}") from None
        image = np.asarray(result)[0] if np.ndim(result) == 4 else np.asarray(result)
        if image.ndim == 3 and image.shape[0] == 3 and image.shape[2] != 3:
            image = image.transpose(1, 2, 0)
        if image.ndim != 3 or image.shape[2] != 3:
            raise EngineError(f"{path or 'the graph'} gives {np.shape(result)}; expected a picture")
        return image

    def _stylize_instance(self, frames: np.ndarray) -> np.ndarray:
        return np.stack([self._stylized(frame) for frame in frames])

    def _stylized(self, frame: np.ndarray) -> np.ndarray:
        height, width = frame.shape[:2]
        picture = frame if self._size is None else _resized(frame, *self._size)
        if self._dtype is not np.uint8:
            span = self._high - self._low
            picture = picture.astype(np.float32) * (span / 255) + self._low
            found = self._run(picture).astype(np.float32)
            picture = ((found - self._low) * (255 / span)).clip(0, 255).round().astype(np.uint8)
        else:
            picture = self._run(picture)
        return _resized(np.ascontiguousarray(picture), height, width)


def _resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image
    smaller = height * width < image.shape[0] * image.shape[1]
    kind = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=kind)


def _opened(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = computing_threads()
    options.log_severity_level = 4
    if not path.is_file():
        raise SourceError(f"there is no ONNX file {path}; check the name")
    try:
        # By its path: weights may lie in a file beside it.
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"{path} is no ONNX file that can be run: {reason}") from None
