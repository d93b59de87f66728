"""Keeping the content's colours while painting (Gatys et al. 2016b, arXiv:1606.05897)."""

import torch
from torch import Tensor

# Luma and two colour differences of RGB (ITU-R BT.601), orthogonal enough to be exchanged.
_TO_YCC = torch.tensor(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)


def recolored(painting: Tensor, content: Tensor) -> Tensor:
    """The painting with the mean and covariance of the content's colours (section 3, eq. 1 to 4).

    x -> A (x - m_S) + m_C with A = C_C^1/2 C_S^-1/2, the form that uses symmetric square roots.
    Both (1, 3, h, w) in [0, 1], sizes may differ. Returns the painting's size, clamped.
    """
    pixels = painting[0].flatten(1).double()
    mean, covariance = _statistics(pixels)
    wanted_mean, wanted = _statistics(content[0].flatten(1).double())
    change = _power(wanted, 0.5) @ _power(covariance, -0.5)
    found = change @ (pixels - mean) + wanted_mean
    return found.to(painting.dtype).view_as(painting).clamp(0, 1)


def luminance(image: Tensor) -> Tensor:
    """(1, 3, H, W) as grey, the same three times."""
    weights = _TO_YCC[0].to(image).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True).expand_as(image).contiguous()


def luminance_matched(painting: Tensor, content: Tensor) -> Tensor:
    """The painting in grey, with mean and deviation of the content's luminance (section 4, eq. 10).

    Both (1, 3, h, w) in [0, 1].
    """
    grey, wanted = luminance(painting), luminance(content)
    scale = wanted.std(correction=0) / grey.std(correction=0).clamp_min(1e-4)
    return ((grey - grey.mean()) * scale + wanted.mean()).clamp(0, 1)


def with_colors_of(painted: Tensor, content: Tensor) -> Tensor:
    """The luminance of one picture with the colours of another; both (1, 3, H, W) in [0, 1]."""
    matrix = _TO_YCC.to(painted)
    ycc = torch.einsum("ij,njhw->nihw", matrix, content)
    ycc[:, :1] = luminance(painted)[:, :1]
    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(matrix), ycc).clamp(0, 1)


def _statistics(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """(3, n) -> mean (3, 1) and covariance (3, 3), never singular: a grey picture has a colour."""
    mean = pixels.mean(1, keepdim=True)
    apart = pixels - mean
    return mean, apart @ apart.T / pixels.shape[1] + 1e-5 * torch.eye(3).to(pixels)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(1e-8) ** exponent) @ vectors.T
