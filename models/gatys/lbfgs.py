"""L-BFGS for images, with a multilevel preconditioner as the initial inverse Hessian.

L-BFGS builds each direction on an initial inverse Hessian, usually a multiple of the identity. The
pixels of an image are not alike, though: coarse structure has to move far and fine detail little,
and a flat sky is stiffer than a rough sea. A diagonal matrix on an image pyramid models both.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.linalg import solve_triangular

_MIN_SIDE = 16  # px, least short side of the coarsest level of the pyramid
_CELL = 4  # px of a level, a side, that share one value of the diagonal
_MAX_SCALING = 10.0  # of one cell, times that of its level as a whole
_MIN_CURVATURE = 1e-10  # s^T y of a step that is stored
_MIN_ENERGY = 1e-30  # of a change of the gradient, to divide by


class LBFGS:
    """Minimizes with the last `history` steps (Liu and Nocedal 1989), one evaluation a step.

    pixels: (1, C, H, W), a leaf, updated in place. preconditioner: the initial inverse Hessian;
    None: a multiple of the identity, as in torch.optim.LBFGS, whose steps these then are.
    """

    def __init__(
        self,
        pixels: Tensor,
        history: int,
        preconditioner: "MultilevelPreconditioner | None" = None,
    ) -> None:
        self._pixels, self._preconditioner = pixels, preconditioner
        # Allocated once: allocated step by step, the rows would fragment the memory.
        self._s = pixels.detach().new_zeros(history, pixels.numel())  # a row for each stored step
        self._y = torch.zeros_like(self._s)  # the change of the gradient along each
        self._sy = self._s.new_zeros(history, history, dtype=torch.float64)  # s_i^T y_j
        self._rows: list[int] = []  # the rows in use, oldest first
        self._last: tuple[Tensor, Tensor] | None = None  # the last step, the gradient before it
        self._gamma = 1.0  # the multiple of the identity

    @torch.no_grad()
    def step(self, evaluate: Callable[[], object]) -> None:
        """Make one step. evaluate: sets a new `pixels.grad`; called with gradients enabled."""
        with torch.enable_grad():
            evaluate()
        gradient = self._pixels.grad
        assert gradient is not None
        if self._last is not None:
            s, previous = self._last
            self._store(s, gradient - previous)
        direction = self._direction(gradient)
        self._pixels += direction
        self._last = direction, gradient

    def _store(self, s: Tensor, y: Tensor) -> None:
        """Store a step and its change of the gradient, unless the loss is not convex along it."""
        curvature = _dot(s, y)
        if curvature <= _MIN_CURVATURE:
            return
        full = len(self._rows) == len(self._s)
        row = self._rows.pop(0) if full else len(self._rows)
        self._rows.append(row)
        self._s[row], self._y[row] = s.flatten(), y.flatten()
        self._sy[:, row] = self._s @ self._y[row]
        if self._preconditioner is None:
            self._gamma = float(curvature / _dot(y, y))
        else:
            self._preconditioner.update(s, y)

    def _direction(self, gradient: Tensor) -> Tensor:
        """Minus the inverse Hessian times the gradient, (1, C, H, W).

        Each of the two loops of Nocedal 1980 is written as a triangular system of inner products
        (Byrd, Nocedal and Schnabel 1994): the stored steps are read four times in all, and not once
        for each of them.
        """
        direction = -gradient
        if not self._rows:
            if self._preconditioner:  # as an earlier level of an image has left it
                return self._preconditioner(direction)
            return direction * (1 / gradient.abs().sum()).clamp(max=1)
        products = self._sy[self._rows][:, self._rows].triu()
        alpha = solve_triangular(products, self._inner(self._s, direction), upper=True)
        direction -= self._combined(self._y, alpha)
        if self._preconditioner:
            direction = self._preconditioner(direction)
        else:
            direction = direction * self._gamma
        rest = products.diagonal()[:, None] * alpha - self._inner(self._y, direction)
        beta = solve_triangular(products.mT, rest, upper=False)
        return direction + self._combined(self._s, beta)

    def _inner(self, rows: Tensor, image: Tensor) -> Tensor:
        """Inner products of an image with the rows in use, oldest first: (m, 1) float64."""
        return (rows @ image.flatten())[self._rows][:, None].double()

    def _combined(self, rows: Tensor, factors: Tensor) -> Tensor:
        """The sum of the rows in use, each times its factor, (m, 1), oldest first: (1, C, H, W)."""
        all_factors = factors.new_zeros(len(rows))
        all_factors[self._rows] = factors[:, 0]
        return (all_factors.to(rows.dtype) @ rows).view_as(self._pixels)


class MultilevelPreconditioner:
    """An approximate inverse Hessian of images (1, C, H, W): the sum over k of P_k D_k P_k^T.

    P_k upsamples level k of an image pyramid to full size (BPX: Bramble, Pasciak and Xu 1990,
    "Parallel multilevel preconditioners"). D_k is diagonal: how far the last step moved that
    frequency band, over how much the gradient changed in it, root mean squares of a few pixels.
    """

    def __init__(self, size: Sequence[int]) -> None:
        """size: (H, W) of the images."""
        self._levels = max(0, (min(size) // _MIN_SIDE).bit_length() - 1)
        # D_k up to a common factor, from the finest level to the coarsest:
        self._scalings: list[Tensor] = []  # (1, 1, h / 4, w / 4)
        self._diagonals: list[Tensor] = []  # the same, upsampled to (1, 1, h, w)
        self._factor = 1.0

    def __bool__(self) -> bool:
        """Whether it has seen a step, or was derived from one that has."""
        return bool(self._diagonals)

    def __call__(self, gradient: Tensor) -> Tensor:
        """The approximate inverse Hessian times a gradient (1, C, H, W)."""
        pyramid = _pyramid(gradient, self._levels)
        *finer, product = (p * d for p, d in zip(pyramid, self._diagonals, strict=True))
        for level in reversed(finer):
            product = level.add_(_upsampled(product, level))
        return product.permute(1, 0, 2, 3) * self._factor

    def update(self, s: Tensor, y: Tensor) -> None:
        """Fit it to the last step and its change of the gradient, both (1, C, H, W)."""
        pyramid = _pyramid(y, self._levels)
        bands = zip(_energies(_pyramid(s, self._levels)), _energies(pyramid), strict=True)
        self._scalings = [_scaling(*band) for band in bands]
        self._diagonals = _resized(self._scalings, [level.shape[-2:] for level in pyramid])
        # The factor with which the secant equation holds along y: s^T y = y^T H y.
        terms = [
            4**k * (level.square() * diagonal).sum()
            for k, (level, diagonal) in enumerate(zip(pyramid, self._diagonals, strict=True))
        ]
        self._factor = float(_dot(s, y) / torch.stack(terms).sum())

    def finer(self, size: Sequence[int]) -> "MultilevelPreconditioner":
        """The same for images of twice the sides and a loss that does not grow with the size."""
        result = MultilevelPreconditioner(size)
        if self:
            scalings = [self._scalings[0] / 2, *self._scalings]
            result._scalings = scalings[: result._levels + 1]
            sizes = [(size[0] >> k, size[1] >> k) for k in range(result._levels + 1)]
            result._diagonals = _resized(result._scalings, sizes)
            result._factor = 4 * self._factor
        return result


def _scaling(s_energy: Tensor, y_energy: Tensor) -> Tensor:
    """How far each cell of a band moves for its gradient, from the energies of s and y."""
    y_energy = y_energy.clamp_min(_MIN_ENERGY)
    # Without a limit, a cell that the loss hardly depends on would move without end.
    limit = _MAX_SCALING * (s_energy.mean() / y_energy.mean()).sqrt()
    return (s_energy / y_energy).sqrt().clamp(max=limit)


def _resized(maps: Sequence[Tensor], sizes: Sequence[Sequence[int]]) -> list[Tensor]:
    """Each map at its size (h, w)."""
    return [
        F.interpolate(each, (size[0], size[1]), mode="bilinear")
        for each, size in zip(maps, sizes, strict=True)
    ]


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return torch.dot(one.flatten(), other.flatten())


# --- Pyramids ---------------------------------------------------------------------------------


def _pyramid(image: Tensor, levels: int) -> list[Tensor]:
    """(1, C, H, W) as (C, 1, H, W), then `levels` times at half the size.

    Downsampling is the transpose of `_upsampled`.
    """
    pyramid = [image.permute(1, 0, 2, 3)]
    weights = torch.tensor([0.125, 0.375, 0.375, 0.125]).to(image)
    kernel = (weights[:, None] * weights)[None, None]
    for _ in range(levels):
        pyramid.append(F.conv2d(pyramid[-1], kernel, stride=2, padding=1))
    return pyramid


def _upsampled(image: Tensor, like: Tensor) -> Tensor:
    """A level of the pyramid at the size of the next finer one."""
    return F.interpolate(image, like.shape[-2:], mode="bilinear")


def _energies(pyramid: list[Tensor]) -> list[Tensor]:
    """The mean square of each frequency band by cells, (1, 1, h / 4, w / 4), finest first."""
    finer = [fine - _upsampled(coarse, fine) for fine, coarse in pairwise(pyramid)]
    return [
        F.avg_pool2d(band.square(), _CELL, ceil_mode=True).mean(0, keepdim=True)
        for band in (*finer, pyramid[-1])
    ]
