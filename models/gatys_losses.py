"""Style as the moments of features: what of a picture is compared with the painting, and how."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.losses import relative_error


class Moments(NamedTuple):
    """First and second moments of the features of one layer, over the places of one region."""

    mean: Tensor  # (1, C) float32
    gram: Tensor  # (1, C, C) float32, `losses.gram_matrix` of the region


class Sums(NamedTuple):
    """The same, not yet divided by the number of places: those of tiles may be added."""

    first: Tensor  # (1, C)
    second: Tensor  # (1, C, C)


def feature_sums(features: Tensor, mask: Tensor | None = None) -> Sums:
    """Sums over all places of a feature map, weighted by `mask`.

    features: (1, C, h, w), floating; mask: (1, 1, h, w) in [0, 1], None: 1 everywhere. Float32.
    The guided Gram matrix of Gatys et al. 2017 (arXiv:1611.07865, eq. 5) with their guidance
    channel's square as our mask, so that the shares of several masks add up to the whole.
    """
    f = features.permute(0, 2, 3, 1).flatten(1, 2)  # (1, h w, C), no copy when channels last
    if mask is None:
        return Sums(f.sum(1, dtype=torch.float32), (f.transpose(1, 2) @ f).float())
    weighted = f * mask.to(f.dtype).flatten(2).transpose(1, 2)
    return Sums(weighted.sum(1, dtype=torch.float32), (weighted.transpose(1, 2) @ f).float())


def moments(sums: Sums, places: Tensor | float) -> Moments:
    """places: how many the sums are over, or the sum of the mask."""
    return Moments(sums.first / places, sums.second / places)


def mixed(targets: list[Moments], weights: list[float]) -> Moments:
    """The moments halfway between several paintings: weighted means of each."""
    total = sum(weights)
    return Moments(
        torch.stack([w / total * t.mean for w, t in zip(weights, targets, strict=True)]).sum(0),
        torch.stack([w / total * t.gram for w, t in zip(weights, targets, strict=True)]).sum(0),
    )


class GramLoss:
    """||G - A||^2 / ||A||^2: Gatys et al. 2016, eq. 4, relative to the painting's own energy."""

    def __init__(self, target: Moments) -> None:
        self.target = target

    def __call__(self, found: Moments) -> Tensor:
        """A scalar; 0 where the moments are the painting's."""
        return relative_error(found.gram, self.target.gram)[0]


class WassersteinLoss:
    """Squared 2-Wasserstein distance of two normal distributions with the given moments, relative.

    |m - n|^2 + tr(C + D - 2 (D^1/2 C D^1/2)^1/2) (Olkin and Pukelsheim 1982), divided by the
    target's |n|^2 + tr D. Means and covariances come apart, and channels of little energy count
    as much as they differ, not as the square of it: finer textures than Gram matrices give.
    """

    def __init__(self, target: Moments) -> None:
        self.target = target
        covariance = self._covariance(target)
        values, vectors = torch.linalg.eigh(covariance)
        self._root = (vectors * values.clamp_min(0).sqrt().unsqueeze(1)) @ vectors.mT
        self._energy = (target.mean.square().sum() + _trace(covariance)).clamp_min(1e-12)

    @staticmethod
    def _covariance(found: Moments) -> Tensor:
        return found.gram - found.mean.unsqueeze(2) * found.mean.unsqueeze(1)

    def __call__(self, found: Moments) -> Tensor:
        """A scalar; 0 where the moments are the painting's."""
        covariance = self._covariance(found)
        product = self._root @ covariance @ self._root
        # The derivative needs the eigenvalues only, so equal ones do no harm. The floor keeps the
        # root's slope finite: features have fewer than C independent directions.
        floor = 1e-6 * self._energy
        values = torch.linalg.eigvalsh(0.5 * (product + product.mT))
        cross = (values.clamp_min(0) + floor**2).sqrt().sum()
        apart = (found.mean - self.target.mean).square().sum()
        target = _trace(self._covariance(self.target))
        return (apart + _trace(covariance) + target - 2 * cross) / self._energy


def _trace(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=1, dim2=2).sum()


STYLE_LOSSES = {"gram": GramLoss, "wasserstein": WassersteinLoss}
