"""Style as the moments of features: what of a picture is compared with the painting, and how."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from impasto.models.losses import relative_error


class Moments(NamedTuple):
    """First and second moments of the features of one layer, over the places of one region."""

    mean: Tensor  # (1, C) float32
    gram: Tensor  # (1, C, C) float32, `losses.gram_matrix` of the region


class Sums(NamedTuple):
    """The same, not yet divided by the number of places: those of tiles may be added."""

    first: Tensor  # (1, C)
    second: Tensor  # (1, C, C)


def feature_sums(
    features: Tensor, mask: Tensor | None = None, *, second_only: bool = False
) -> Sums:
    """Sums over all places of a feature map, weighted by `mask`. Float32.

    features: (1, C, h, w), floating; mask: (1, 1, h, w) in [0, 1], None: 1 everywhere. second_only:
    leave the first moment zero, which is faster.
    The guided Gram matrix of Gatys et al. 2017 (arXiv:1611.07865, eq. 5) with their guidance
    channel's square as our mask, so that the shares of several masks add up to the whole.
    """
    return Sums(*(t[None] for t in _PlaceSums.apply(features, mask, second_only)))


class _PlaceSums(torch.autograd.Function):
    """(sum of f, sum of f f^T) over the places of a feature map.

    The second sum being symmetric, its gradient takes one product where autograd would take two.
    """

    @staticmethod
    def forward(ctx, features, mask, second_only):  # type: ignore[no-untyped-def, override]
        ctx.save_for_backward(features, mask)
        ctx.second_only = second_only
        f = _in_parts(features)
        shared = f if mask is None else f * _in_parts(mask).to(f.dtype)
        second = (shared.mT @ f).float().sum(0)
        if second_only:
            return second.new_zeros(second.shape[0]), second
        return _column_sums(shared), second

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
    """(parts, n, C) -> (C,) float32. By products of 1, in 1 / 6 of the time of `Tensor.sum`."""
    if len(parts) == 1:
        return parts.sum((0, 1), dtype=torch.float32)
    ones = parts.new_ones(len(parts), 1, parts.shape[1])
    return (ones @ parts).float().sum((0, 1))


def _in_parts(features: Tensor) -> Tensor:
    """(1, C, h, w) as (parts, places, C), no copy when channels last.

    What is multiplied in bfloat16 is summed in float32 and rounded once: here once a part.
    """
    rows = features.permute(0, 2, 3, 1).flatten(0, 2)
    return rows.unflatten(0, (8 if len(rows) % 8 == 0 else 1, -1))


def squared_error(features: Tensor, target: Tensor) -> Tensor:
    """Sum of (features - target)^2, float32; both of one shape, dtype and layout."""
    found: Tensor = _SquaredError.apply(features, target)
    return found


class _SquaredError(torch.autograd.Function):
    """In the features' precision but for the sum: autograd's own way makes seven copies of it."""

    @staticmethod
    def forward(ctx, features, target):  # type: ignore[no-untyped-def, override]
        difference = features - target
        ctx.save_for_backward(difference)
        return torch.linalg.vector_norm(difference, dtype=torch.float32).square()

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def, override]
        (difference,) = ctx.saved_tensors
        return difference * (2 * gradient).to(difference.dtype), None


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


class StyleLoss(Protocol):
    """How far the moments of a picture are from a painting's: 0 is equal, 1 as bad as nothing."""

    second_only: bool  # whether the first moments are never looked at

    def __init__(self, target: Moments) -> None: ...

    def __call__(self, found: Moments) -> Tensor: ...


class GramLoss:
    """||G - A||^2 / ||A||^2: Gatys et al. 2016, eq. 4, relative to the painting's own energy."""

    second_only = True  # needs no means

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

    second_only = False

    def __init__(self, target: Moments) -> None:
        self.target = target
        covariance = self._covariance(target)
        # In float64: eigh does not converge in float32 for the singular matrices of few places.
        values, vectors = torch.linalg.eigh(covariance[0].double())
        kept = values > 1e-6 * values[-1]  # the others add nothing to the cross term
        self._root = (vectors * values.clamp_min(0).sqrt())[:, kept].float()
        self._energy = (target.mean.square().sum() + _trace(covariance)).clamp_min(1e-12)

    @staticmethod
    def _covariance(found: Moments) -> Tensor:
        return found.gram - found.mean.unsqueeze(2) * found.mean.unsqueeze(1)

    def __call__(self, found: Moments) -> Tensor:
        """A scalar; 0 where the moments are the painting's."""
        covariance = self._covariance(found)
        product = self._root.T @ covariance @ self._root  # as D^1/2 C D^1/2, but never singular
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


class MixedLoss:
    """The mean of both: Gram matrices for the bold, Wasserstein for the fine."""

    second_only = False

    def __init__(self, target: Moments) -> None:
        self._gram, self._wasserstein = GramLoss(target), WassersteinLoss(target)

    def __call__(self, found: Moments) -> Tensor:
        """A scalar; 0 where the moments are the painting's."""
        return 0.5 * (self._gram(found) + self._wasserstein(found))


STYLE_LOSSES: dict[str, type[StyleLoss]] = {
    "gram": GramLoss,
    "wasserstein": WassersteinLoss,
    "mixed": MixedLoss,
}
