"""Keeping the content's colors when stylizing (Gatys et al. 2016b, arXiv:1606.05897)."""

import torch
from torch import Tensor

# RGB to luma and two color differences (ITU-R BT.601).
_TO_YCC = torch.tensor(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)


def recolored(painting: Tensor, content: Tensor) -> Tensor:
    """The painting with the mean and covariance of the content's colors (section 3, eq. 1 to 4).

    x -> A (x - m_S) + m_C with A = C_C^1/2 C_S^-1/2, the paper's form with symmetric square roots.
    Both (1, 3, h, w) in [0, 1], sizes may differ. Returns the painting's size, clamped.
    """
    pixels = painting[0].flatten(1).double()
    mean, covariance = _statistics(pixels)
    target_mean, target_covariance = _statistics(content[0].flatten(1).double())
    matrix = _power(target_covariance, 0.5) @ _power(covariance, -0.5)
    matched = matrix @ (pixels - mean) + target_mean
    return matched.to(painting.dtype).view_as(painting).clamp(0, 1)


def luminance(image: Tensor) -> Tensor:
    """The luma of an RGB image (1, 3, H, W), repeated in three channels."""
    weights = _TO_YCC[0].to(image).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True).expand_as(image).contiguous()


def luminance_matched(painting: Tensor, content: Tensor) -> Tensor:
    """The painting in gray, with mean and deviation of the content's luminance (section 4, eq. 10).

    Both (1, 3, h, w) in [0, 1], sizes may differ. Returns the painting's size, clamped.
    """
    gray, target = luminance(painting), luminance(content)
    scale = target.std(correction=0) / gray.std(correction=0).clamp_min(1e-4)
    return ((gray - gray.mean()) * scale + target.mean()).clamp(0, 1)


def with_colors_of(stylized: Tensor, content: Tensor) -> Tensor:
    """The luminance of one image with the chrominance of another; both (1, 3, H, W) in [0, 1]."""
    matrix = _TO_YCC.to(stylized)
    ycc = torch.einsum("ij,njhw->nihw", matrix, content)
    ycc[:, :1] = luminance(stylized)[:, :1]
    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(matrix), ycc).clamp(0, 1)


def _statistics(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """(3, n) -> mean (3, 1) and covariance (3, 3), not singular even for a gray image."""
    mean = pixels.mean(1, keepdim=True)
    centered = pixels - mean
    return mean, centered @ centered.T / pixels.shape[1] + 1e-5 * torch.eye(3).to(pixels)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(1e-8) ** exponent) @ vectors.T
