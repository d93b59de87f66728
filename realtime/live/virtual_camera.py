"""A camera that other programs can choose, showing our frames."""

import sys
from fractions import Fraction
from typing import Any, Self

import numpy as np

from impasto.models.errors import SinkError
from impasto.realtime.frame import Frame
from impasto.realtime.pixels import even_sized

_DRIVERS = {
    "linux": "load the driver: sudo modprobe v4l2loopback exclusive_caps=1 card_label=Impasto "
    "(Debian and Ubuntu have it as v4l2loopback-dkms)",
    "darwin": "install OBS Studio 30 or newer and start its virtual camera once",
    "win32": "install OBS Studio, whose virtual camera is used",
}


class VirtualCamera:
    """Shows frames in a virtual camera, by pyvirtualcam.

    size: (height, width): opens it at once, so that what is missing is told before anything else
    begins; None opens it for the first frame. Frames of another size open it anew, and odd sizes
    lose a row or a column. frame_rate: told to the programs that look; frames are shown when they
    come. device: one of several, such as "/dev/video9"; None: the first.
    Raises SinkError where the package or the driver is missing.
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
        """Show one frame. SinkError where the camera is gone."""
        image = even_sized(frame.image)
        if self._camera is None or image.shape[:2] != self._size:
            self.close()
            self._open(image.shape[:2])
        try:
            self._camera.send(np.ascontiguousarray(image))
        except (RuntimeError, OSError) as error:
            raise SinkError(f"the virtual camera {self.device} failed: {error}") from error

    def close(self) -> None:
        """Give the camera back. A second call does nothing."""
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
            todo = _DRIVERS.get(sys.platform, "install a virtual camera driver")
            said = " ".join(str(error).split()).rstrip(".")
            raise SinkError(f"no virtual camera ({said}): {todo}") from error
        self._size = (height, width)
        self.device = self._camera.device
