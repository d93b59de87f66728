"""Frames decoded by an NVIDIA GPU (NVDEC), handed to PyTorch in GPU memory with DLPack."""

from typing import TYPE_CHECKING

from av.codec.hwaccel import HWAccel
from av.video.frame import VideoFrame

if TYPE_CHECKING:
    from torch import Tensor


def nvdec_device() -> HWAccel:
    """An FFmpeg device that decodes in PyTorch's CUDA context and leaves the frames there.

    Raises RuntimeError or AssertionError if PyTorch has no GPU, and TypeError if PyAV is too old
    for `is_hw_owned`.
    """
    import torch

    # The context must exist and be current. By default FFmpeg would use the same (primary) context
    # with other flags, which fails if PyTorch has created it first.
    torch.zeros(1, device="cuda")
    options: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"}
    return HWAccel("cuda", allow_software_fallback=False, options=options, is_hw_owned=True)


def is_nv12_on_gpu(frame: VideoFrame) -> bool:
    """Whether a frame is NV12 in GPU memory, as `yuv420p_on_gpu` takes it."""
    kind = frame.sw_format
    return frame.format.name == "cuda" and kind is not None and kind.name == "nv12"


def yuv420p_on_gpu(frame: VideoFrame) -> "Tensor":
    """Copy an NV12 frame of even height and width to yuv420p planes, on the device it is on.

    Returns (3 H / 2, W) uint8; see `Frame`. A copy, as the decoder has few surfaces and waits for
    them to be released. (Works for NV12 on the CPU too, for tests.)
    """
    import torch

    # Not torch.from_dlpack, which passes a stream: PyAV does not accept one.
    luma, chroma = (
        torch.utils.dlpack.from_dlpack(plane.__dlpack__()) for plane in frame.planes[:2]
    )
    height, width = luma.shape
    planes = luma.new_empty(height * 3 // 2, width)
    planes[:height] = luma
    planes[height:].view(2, height // 2, width // 2).copy_(chroma.permute(2, 0, 1))
    if planes.is_cuda:
        torch.cuda.current_stream().synchronize()  # before the surface is released
    return planes
