"""The paint of one frame, moved along the optical flow to the next: where painting is too slow."""

import cv2
import numpy as np

from impasto.realtime.frame import Frame
from impasto.realtime.temporal.cuts import CutDetector
from impasto.realtime.temporal.flow import (
    dis_estimator,
    downscale,
    resize_flow,
    to_gray,
    warp,
)

_FLOW_SIDE = 180  # px: the short side of the gray pictures that flow is estimated on
_MAX_ERROR = 12.0  # levels: mean difference after warping, above which the flow is wrong


class MovedPaint:
    """Moves the last painting to the frames that follow, for 15 ms of one core at 1280x720.

    Beside painting that frame, in PSNR to it, and in vigor (see `measure.evaluate`) over its own;
    The Great Wave at 1280x720, a runner, a talking head, a walker, a car, a dancer:
        moved by one frame:         20.8 25.9 21.0 21.3 21.0 dB; 0.94 0.96 0.97 0.93 0.94
        by two frames:              19.5 23.5 19.4 19.8 19.2 dB; 0.95 0.95 0.97 0.94 0.94
        by one, and again by one:   19.7 23.8 19.6 20.0 19.5 dB; 0.89 0.91 0.94 0.88 0.89
        painted at 62 %, enlarged:  20.1 19.8 19.3 19.6 20.0 dB; 0.76 0.74 0.74 0.79 0.78
        the last one, as it is:     14.5 25.8 18.2 15.7 13.9 dB
    Bicubic warping has a vigor of 1.0, takes twice as long and is 0.3 dB worse.
    """

    def __init__(self) -> None:
        self._estimator = dis_estimator()
        self._starts_scene = CutDetector()
        self._gray: np.ndarray | None = None
        self._painting: np.ndarray | None = None

    def keep(self, frame: Frame, painting: np.ndarray) -> None:
        """Remember a frame and its painting, (H, W, 3) uint8 RGB."""
        self._starts_scene(frame)
        self._gray = downscale(to_gray(frame.image), _FLOW_SIDE)
        self._painting = painting

    def __call__(self, frame: Frame) -> np.ndarray | None:
        """The painting kept, moved to a frame that follows soon: (H, W, 3) uint8 RGB.

        None where it does not fit: then this frame is to be painted, and kept.
        """
        before, painting, image = self._gray, self._painting, frame.image
        if before is None or painting is None or painting.shape != image.shape:
            return None
        if self._starts_scene(frame):
            return None
        after = downscale(to_gray(image), _FLOW_SIDE)
        flow = self._estimator.calc(after, before, np.empty(0))
        if cv2.absdiff(_warped(before, flow), after).mean() > _MAX_ERROR:
            return None
        return _warped(painting, resize_flow(flow, image.shape[:2]))


def _warped(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """`flow.warp`, by a flow of the same size; reflected, as a border drawn out shows."""
    return warp(image, flow, border=cv2.BORDER_REFLECT_101)
