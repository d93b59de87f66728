"""Automatic output blending: in place while the camera stands still, along the flow as it moves."""

from __future__ import annotations

import cv2
import numpy as np

from impasto.realtime.temporal.blend import FlowBlend, StillBlend
from impasto.realtime.temporal.flow import downscale, squared_gradient, to_gray

# Median motion of what has texture, in percent of the short side a frame, on real clips at 24 to 30
# frames a second: camera that follows a runner, a dancer, a car: 1.0 to 3.9; webcam, talking head,
# hands, a room that a person walks through: 0.00 to 0.12, once 0.21.
_MOVES_ABOVE = 0.4
_STANDS_BELOW = 0.2
_STANDS_AFTER = 5  # frames below it in a row
_SIDE = 72  # px: the short side at which motion is estimated; 108 px finds the same


class CameraMotion:
    """Whether the camera moves, decided for each frame of a clip in order.

    moves(image), (H, W, 3) uint8. The motion is the median, over the half of the pixels with the
    most texture, of the optical flow from the frame before. One frame is enough to begin; it ends
    after several frames that stand still. False for the first frame and for one of another size.
    """

    def __init__(self) -> None:
        self._estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._estimator.setFinestScale(0)
        self.reset()

    def reset(self) -> None:
        """Forget the frame before: a camera stands still until it is seen to move."""
        self._gray: np.ndarray | None = None
        self._moves = False
        self._still_frames = 0

    def __call__(self, image: np.ndarray) -> bool:
        before, after = self._gray, to_gray(downscale(image, _SIDE))
        if before is None or before.shape != after.shape:
            self.reset()
            self._gray = after
            return False
        self._gray = after
        motion = self._median_motion(before, after)
        self._still_frames = self._still_frames + 1 if motion < _STANDS_BELOW else 0
        if motion > _MOVES_ABOVE:
            self._moves = True
        elif self._still_frames >= _STANDS_AFTER:
            self._moves = False
        return self._moves

    def _median_motion(self, before: np.ndarray, after: np.ndarray) -> float:
        """In percent of the short side. before, after: (h, w) uint8."""
        flow = self._estimator.calc(before, after, np.empty(0))
        texture = squared_gradient(after.astype(np.float32))
        u, v = cv2.split(flow)
        lengths = cv2.magnitude(u, v)[texture >= np.median(texture)]
        return float(100 / min(after.shape) * np.median(lengths))


class AutoBlend:
    """`StillBlend`, handing over to `FlowBlend` while the camera moves, and back.

    blend(image, stylized), both (H, W, 3) uint8, returns (H, W, 3) uint8. Each goes on from the
    last frame that the other showed. A frame of another size resets the blend.
    """

    def __init__(self) -> None:
        self._camera_moves = CameraMotion()
        self._still, self._flow = StillBlend(), FlowBlend()
        self.reset()

    def reset(self) -> None:
        """Forget the previous frames: the next one is returned as it is."""
        self._camera_moves.reset()
        self._active: StillBlend | FlowBlend = self._still
        self._active.reset()
        self._image: np.ndarray | None = None
        self._result: np.ndarray | None = None

    def __call__(self, image: np.ndarray, stylized: np.ndarray) -> np.ndarray:
        blend = self._flow if self._camera_moves(image) else self._still
        if blend is not self._active and self._image is not None and self._result is not None:
            blend.resume(self._image, self._result)
        self._active = blend
        self._image, self._result = image, blend(image, stylized)
        return self._result
