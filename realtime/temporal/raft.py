"""Optical flow by RAFT (Teed and Deng, ECCV 2020, arXiv:2003.12039), as torchvision has it."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.optical_flow import RAFT, Raft_Small_Weights, raft_small

from impasto.models.errors import WeightsError

_STRIDE = 8
_LEAST_SIDE = 128  # px: below it the coarsest of its correlations are empty


class Raft:
    """Flow from one picture to another and back, for `realtime.steady.FlowBlend`.

    raft(first, second), both (H, W, 3) uint8 RGB of one size, gives two (H, W, 2) float32, in
    pixels: from the first to the second, and the way back; both in one batch.

    network: None takes torchvision's small one, whose weights it downloads once (4 MB) and checks
    by their hash. Raises WeightsError where they cannot be had. device: "cpu" or "cuda"; on a CPU
    it works, too slowly for anything but short clips.
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
    try:
        network.load_state_dict(weights.get_state_dict(progress=False, check_hash=True))
    except OSError as error:
        raise WeightsError(
            f"cannot download RAFT: {error}; --steadiness flow needs no download"
        ) from None
    return network


def _padded(pictures: Tensor) -> Tensor:
    """To sides that RAFT takes, at the right and the bottom, by repeating the border."""
    height, width = pictures.shape[2:]
    down, right = (max(_LEAST_SIDE, -(-s // _STRIDE) * _STRIDE) - s for s in (height, width))
    return F.pad(pictures, (0, right, 0, down), mode="replicate")
