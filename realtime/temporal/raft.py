"""Optical flow with RAFT (Teed and Deng, ECCV 2020, arXiv:2003.12039), from torchvision."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.optical_flow import RAFT, Raft_Small_Weights, raft_small

from impasto.models.downloads import downloaded_weights

_STRIDE = 8
_MIN_SIDE = 128  # px: below it the coarsest correlation volumes are empty


class Raft:
    """Forward and backward flow between two pictures, for `blend.FlowBlend`.

    raft(first, second), both (H, W, 3) uint8 RGB of one size, returns two (H, W, 2) float32, in
    pixels: from the first to the second, and the way back, computed as one batch.

    network: None loads torchvision's small RAFT, whose weights it downloads once (4 MB) and checks
    by their hash. device: "cpu" or "cuda"; a CPU is too slow for anything but short clips.
    Raises WeightsError if the weights cannot be downloaded.
    """

    def __init__(self, network: RAFT | None = None, *, device: str = "cpu") -> None:
        self._device = device
        self._network = (network or _downloaded()).eval().to(device)

    @torch.inference_mode()
    def __call__(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pair = torch.from_numpy(np.stack([first, second])).to(self._device)
        pictures = _padded(pair.permute(0, 3, 1, 2).float() / 127.5 - 1)  # in [-1, 1], as trained
        flows = self._network(pictures, pictures.flip(0))[-1]  # the last refinement
        height, width = first.shape[:2]
        forward, backward = flows[..., :height, :width].permute(0, 2, 3, 1).cpu().numpy()
        return np.ascontiguousarray(forward), np.ascontiguousarray(backward)


def _downloaded() -> RAFT:
    weights, network = Raft_Small_Weights.C_T_V2, raft_small()
    instead = "--steadiness flow needs no download"
    network.load_state_dict(downloaded_weights(weights, "RAFT", instead=instead))
    return network


def _padded(pictures: Tensor) -> Tensor:
    """Pad (N, C, H, W) at the right and bottom to sides that RAFT accepts, repeating the border."""
    height, width = pictures.shape[2:]
    down, right = (max(_MIN_SIDE, -(-s // _STRIDE) * _STRIDE) - s for s in (height, width))
    return F.pad(pictures, (0, right, 0, down), mode="replicate")
