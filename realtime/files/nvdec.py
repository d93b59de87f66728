"""Frames that an NVIDIA GPU has decoded and that stay there, by DLPack, for PyTorch to paint."""

from typing import TYPE_CHECKING

from av.codec.hwaccel import HWAccel
from av.video.frame import VideoFrame

if TYPE_CHECKING:
    from torch import Tensor


def nvdec_device() -> HWAccel:
    """NVDEC in PyTorch's own context, in which it leaves the frames.

    Raises RuntimeError or AssertionError where PyTorch has no GPU, and TypeError where PyAV is
    older than this.
    """
    import torch

    # The context must be there, and current. By FFmpeg's own choice it would be the same one, but
    # with other flags, which it refuses where PyTorch came first.
    torch.zeros(1, device="cuda")
    options: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"}
    return HWAccel("cuda", allow_software_fallback=False, options=options, is_hw_owned=True)


def is_nv12_on_gpu(frame: VideoFrame) -> bool:
    """Whether `yuv420p_on_gpu` can be had of it."""
    kind = frame.sw_format
    return frame.format.name == "cuda" and kind is not None and kind.name == "nv12"


def yuv420p_on_gpu(frame: VideoFrame) -> "Tensor":
    """An NV12 frame of even sides as planes, (3 H / 2, W) uint8, where it lies; see `Frame`.

    A copy: a decoder has few surfaces, and waits for them. (NV12 on the host will do, too.)
    """
    import torch

    # Not torch.from_dlpack, which hands a stream over: PyAV takes none.
    luma, chroma = (
        torch.utils.dlpack.from_dlpack(plane.__dlpack__()) for plane in frame.planes[:2]
    )
    height, width = luma.shape
    planes = luma.new_empty(height * 3 // 2, width)
    planes[:height] = luma
    planes[height:].view(2, height // 2, width // 2).copy_(chroma.permute(2, 0, 1))
    if planes.is_cuda:
        torch.cuda.current_stream().synchronize()  # before the surface is given back
    return planes
