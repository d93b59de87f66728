"""A virtual camera: live frames as a webcam for other programs."""

import sys
from fractions import Fraction
from typing import Any, Self

import numpy as np

from impasto.models.errors import SinkError
from impasto.realtime.frame import Frame
from impasto.realtime.pixels import even_sized

_DRIVERS = {
    "linux": "load the driver: sudo modprobe v4l2loopback exclusive_caps=1 card_label=Impasto "
    "(package v4l2loopback-dkms on Debian and Ubuntu)",
    "darwin": "install OBS Studio 30 or newer and start its virtual camera once",
    "win32": "install OBS Studio, which provides the virtual camera",
}


class VirtualCamera:
    """Sends frames to a virtual camera through pyvirtualcam.

    size: (height, width) to open it with at once, so that a missing driver is reported before
    anything else begins; None opens it for the first frame. Frames of another size reopen it; odd
    sizes lose a row or a column. frame_rate: declared to other programs; frames are shown as they
    come. device: one of several, such as "/dev/video9"; None: the first.
    Raises SinkError if the package or the driver is missing.
    """

    def __init__(
        self,
        *,
        size: tuple[int, int] | None = None,
        frame_rate: Fraction | int = 30,
        device: str | None = None,
    ) -> None:
        try:
            import pyvirtualcam
        except ImportError as error:
            raise SinkError(
                "a virtual camera needs pyvirtualcam: pip install 'impasto[virtual-camera]'"
            ) from error
        self._open_camera = pyvirtualcam.Camera
        self._rate = float(frame_rate)
        self.device = device
        self._camera: Any = None
        self._size = (0, 0)
        if size is not None:
            height, width = size
            self._open((height - height % 2, width - width % 2))

    def write(self, frame: Frame) -> None:
        """Show one frame. Raises SinkError if the camera has disappeared."""
        image = even_sized(frame.image)
        if self._camera is None or image.shape[:2] != self._size:
            self.close()
            self._open(image.shape[:2])
        try:
            self._camera.send(np.ascontiguousarray(image))
        except (RuntimeError, OSError) as error:
            raise SinkError(f"the virtual camera {self.device} failed: {error}") from error

    def close(self) -> None:
        """Release the camera. A second call does nothing."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, size: tuple[int, ...]) -> None:
        height, width = size
        try:
            self._camera = self._open_camera(
                width=width, height=height, fps=self._rate, device=self.device
            )
        except (RuntimeError, OSError) as error:
            advice = _DRIVERS.get(sys.platform, "install a virtual camera driver")
            reason = " ".join(str(error).split()).rstrip(".")
            raise SinkError(f"no virtual camera ({reason}): {advice}") from error
        self._size = (height, width)
        self.device = self._camera.device
