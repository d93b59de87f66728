"""Frames decoded by an NVIDIA GPU (NVDEC), handed to PyTorch in GPU memory with DLPack."""

from functools import cache
from typing import TYPE_CHECKING

from av.codec.hwaccel import HWAccel
from av.video.frame import VideoFrame

from impasto.models.colors import ycc_to_rgb

if TYPE_CHECKING:
    import torch
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
    """Whether a frame is NV12 in GPU memory, as `rgb_on_gpu` takes it."""
    kind = frame.sw_format
    return frame.format.name == "cuda" and kind is not None and kind.name == "nv12"


def rgb_on_gpu(frame: VideoFrame, matrix: int, full_range: bool) -> "Tensor":
    """Convert an NV12 frame to RGB on the device it is on, with chroma repeated.

    matrix: of ITU-T H.273, a known one. Returns (H, W, 3) uint8. A copy, as the decoder has few
    surfaces and waits for them to be released. (Works for NV12 on the CPU too, for tests.)
    """
    import torch

    # Not torch.from_dlpack, which passes a stream: PyAV does not accept one.
    luma, chroma = (
        torch.utils.dlpack.from_dlpack(plane.__dlpack__()) for plane in frame.planes[:2]
    )
    height, width = luma.shape
    chroma = chroma.repeat_interleave(2, dim=0).repeat_interleave(2, dim=1)[:height, :width]
    to_rgb, black = _conversion(matrix, full_range, luma.device)
    ycc = torch.cat([luma[..., None], chroma], dim=2).float() - black
    rgb = (ycc @ to_rgb).round().clamp(0, 255).to(torch.uint8)
    if rgb.is_cuda:
        torch.cuda.current_stream().synchronize()  # before the surface is released
    return rgb


@cache
def _conversion(matrix: int, full_range: bool, device: "torch.device") -> "tuple[Tensor, Tensor]":
    """rgb = (ycc - black) @ to_rgb, on a device."""
    import torch

    to_rgb, black = (torch.from_numpy(x).to(device) for x in ycc_to_rgb(matrix, full_range))
    return to_rgb.T.contiguous(), black
