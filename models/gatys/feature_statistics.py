"""Style as statistics of features: mean and Gram matrix of each layer, and losses between them."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from impasto.models.losses import relative_error


class FeatureStatistics(NamedTuple):
    """Mean and Gram matrix of the features of one layer, over the positions of one region."""

    mean: Tensor  # (1, C) float32
    gram: Tensor  # (1, C, C) float32, `losses.gram_matrix` of the region


class FeatureSums(NamedTuple):
    """The same before dividing by the number of positions: sums of several tiles can be added."""

    first: Tensor  # (1, C), sum of f
    second: Tensor  # (1, C, C), sum of f f^T


def feature_sums(
    features: Tensor, mask: Tensor | None = None, *, second_only: bool = False
) -> FeatureSums:
    """Sums over all positions of a feature map, weighted by `mask`. Float32.

    features: (1, C, h, w), floating; mask: (1, 1, h, w) in [0, 1], None: 1 everywhere. second_only:
    leave the first sum zero, which is faster.
    The guided Gram matrix of Gatys et al. 2017 (arXiv:1611.07865, eq. 5) with the square of their
    guidance channel as mask, so that the parts of several masks add up to the sum without masks.
    """
    return FeatureSums(*(t[None] for t in _SumOverPositions.apply(features, mask, second_only)))


class _SumOverPositions(torch.autograd.Function):
    """(sum of f, sum of f f^T) over the positions of a feature map.

    As the second sum is symmetric, its gradient is one matrix product; autograd would make two.
    """

    @staticmethod
    def forward(ctx, features, mask, second_only):  # type: ignore[no-untyped-def, override]
        ctx.save_for_backward(features, mask)
        ctx.second_only = second_only
        f = _in_parts(features)
        weighted = f if mask is None else f * _in_parts(mask).to(f.dtype)
        second = (weighted.mT @ f).float().sum(0)
        if second_only:
            return second.new_zeros(second.shape[0]), second
        return _column_sums(weighted), second

    @staticmethod
    def backward(ctx, first, second):  # type: ignore[no-untyped-def, override]
        features, mask = ctx.saved_tensors
        rows = features.permute(0, 2, 3, 1).flatten(0, 2)
        both = (second + second.T).to(rows.dtype)
        gradient = rows @ both if ctx.second_only else torch.addmm(first.to(rows.dtype), rows, both)
        if mask is not None:
            gradient *= mask.to(rows.dtype).reshape(-1, 1)
        height, width = features.shape[-2:]
        return gradient.unflatten(0, (1, height, width)).permute(0, 3, 1, 2), None, None


def _column_sums(parts: Tensor) -> Tensor:
    """(parts, n, C) -> (C,) float32. By products with ones, in 1 / 6 of the time of Tensor.sum."""
    if len(parts) == 1:
        return parts.sum((0, 1), dtype=torch.float32)
    ones = parts.new_ones(len(parts), 1, parts.shape[1])
    return (ones @ parts).float().sum((0, 1))


def _in_parts(features: Tensor) -> Tensor:
    """(1, C, h, w) as (parts, positions, C); no copy where it is channels last.

    A bfloat16 product sums in float32 and rounds once: with parts, once for each part.
    """
    rows = features.permute(0, 2, 3, 1).flatten(0, 2)
    return rows.unflatten(0, (8 if len(rows) % 8 == 0 else 1, -1))


def squared_error(features: Tensor, target: Tensor) -> Tensor:
    """Sum of (features - target)^2, float32; both of one shape, dtype and layout."""
    error: Tensor = _SquaredError.apply(features, target)
    return error


class _SquaredError(torch.autograd.Function):
    """All but the sum in the features' precision; plain autograd makes seven copies of them."""

    @staticmethod
    def forward(ctx, features, target):  # type: ignore[no-untyped-def, override]
        difference = features - target
        ctx.save_for_backward(difference)
        return torch.linalg.vector_norm(difference, dtype=torch.float32).square()

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def, override]
        (difference,) = ctx.saved_tensors
        return difference * (2 * gradient).to(difference.dtype), None


def feature_statistics(sums: FeatureSums, positions: Tensor | float) -> FeatureStatistics:
    """positions: how many positions the sums are over, or the sum of the mask."""
    return FeatureStatistics(sums.first / positions, sums.second / positions)


def weighted_mean(statistics: list[FeatureStatistics], weights: list[float]) -> FeatureStatistics:
    """The statistics between those of several paintings; weights of any sum above 0."""
    shares = [weight / sum(weights) for weight in weights]
    return FeatureStatistics(
        torch.stack([w * t.mean for w, t in zip(shares, statistics, strict=True)]).sum(0),
        torch.stack([w * t.gram for w, t in zip(shares, statistics, strict=True)]).sum(0),
    )


class StyleLoss(Protocol):
    """Distance of an image's feature statistics from a painting's: 0 for equal, 1 for no features.

    Differentiable.
    """

    second_only: bool  # whether the mean is never used

    def __init__(self, target: FeatureStatistics) -> None: ...

    def __call__(self, statistics: FeatureStatistics) -> Tensor: ...


class GramLoss:
    """||G - A||^2 / ||A||^2: Gatys et al. 2016, eq. 4, relative to the painting's own energy."""

    second_only = True

    def __init__(self, target: FeatureStatistics) -> None:
        self.target = target

    def __call__(self, statistics: FeatureStatistics) -> Tensor:
        """A scalar; 0 where the statistics are the painting's."""
        return relative_error(statistics.gram, self.target.gram)[0]


class WassersteinLoss:
    """Squared 2-Wasserstein distance of normal distributions with these statistics, relative.

    |m - n|^2 + tr(C + D - 2 (D^1/2 C D^1/2)^1/2) (Olkin and Pukelsheim 1982), divided by the
    target's |n|^2 + tr D. Means and covariances count separately, and channels of little energy by
    their difference, not by its square: finer textures than with Gram matrices.
    """

    second_only = False

    def __init__(self, target: FeatureStatistics) -> None:
        self.target = target
        covariance = self._covariance(target)
        # In float64: with few positions the matrix is singular, and eigh in float32 then does not
        # converge.
        values, vectors = torch.linalg.eigh(covariance[0].double())
        kept = values > 1e-6 * values[-1]  # the others add nothing to the cross term
        self._root = (vectors * values.clamp_min(0).sqrt())[:, kept].float()
        self._energy = (target.mean.square().sum() + _trace(covariance)).clamp_min(1e-12)

    @staticmethod
    def _covariance(statistics: FeatureStatistics) -> Tensor:
        return statistics.gram - statistics.mean.unsqueeze(2) * statistics.mean.unsqueeze(1)

    def __call__(self, statistics: FeatureStatistics) -> Tensor:
        """A scalar; 0 where the statistics are the painting's."""
        covariance = self._covariance(statistics)
        product = self._root.T @ covariance @ self._root  # as D^1/2 C D^1/2, but never singular
        # The derivative needs the eigenvalues only, so equal ones do no harm. The floor keeps the
        # root's slope finite: features have fewer than C independent directions.
        floor = 1e-6 * self._energy
        values = torch.linalg.eigvalsh(0.5 * (product + product.mT))
        cross = (values.clamp_min(0) + floor**2).sqrt().sum()
        mean_error = (statistics.mean - self.target.mean).square().sum()
        target = _trace(self._covariance(self.target))
        return (mean_error + _trace(covariance) + target - 2 * cross) / self._energy


def _trace(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=1, dim2=2).sum()


class MixedLoss:
    """The mean of both losses: Gram matrices for bold strokes, Wasserstein for fine texture."""

    second_only = False

    def __init__(self, target: FeatureStatistics) -> None:
        self._gram, self._wasserstein = GramLoss(target), WassersteinLoss(target)

    def __call__(self, statistics: FeatureStatistics) -> Tensor:
        """A scalar; 0 where the statistics are the painting's."""
        return 0.5 * (self._gram(statistics) + self._wasserstein(statistics))


STYLE_LOSSES: dict[str, type[StyleLoss]] = {
    "gram": GramLoss,
    "wasserstein": WassersteinLoss,
    "mixed": MixedLoss,
}
