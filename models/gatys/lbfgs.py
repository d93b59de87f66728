"""L-BFGS for pictures: its first guess of the curvature is one for every scale and place.

L-BFGS begins each direction from a multiple of the identity. Pixels are not alike, though: what is
coarse must move far and what is fine little, and a flat sky is stiffer than a rough sea. A diagonal
on a pyramid knows both.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.linalg import solve_triangular

_COARSEST = 16  # px, least short side of the coarsest level of the pyramid
_AROUND = 4  # px of a level that share one value
_MOST = 10.0  # times what its whole level moves for its gradient, that a place may
_LEAST_CURVATURE = 1e-10  # of a step that is remembered
_LEAST_ENERGY = 1e-30  # of what changed, to divide by


class LBFGS:
    """Minimises by the last `history` steps (Liu and Nocedal 1989), one evaluation a step.

    pixels: (1, C, H, W), a leaf, moved in place. guess: the first guess of the inverse Hessian;
    None: a multiple of the identity, as torch.optim.LBFGS has, whose steps these then are.
    """

    def __init__(self, pixels: Tensor, history: int, guess: "Multilevel | None" = None) -> None:
        self._pixels, self._guess = pixels, guess
        # Taken once: one after another they would lie about in memory, and it would never settle.
        self._moved = pixels.detach().new_zeros(history, pixels.numel())  # a row a step, s
        self._changed = torch.zeros_like(self._moved)  # of the gradient along it, y
        self._products = self._moved.new_zeros(history, history, dtype=torch.float64)  # s_i^T y_j
        self._order: list[int] = []  # the rows in use, oldest first
        self._last: tuple[Tensor, Tensor] | None = None  # how far, and the gradient before it
        self._factor = 1.0

    @torch.no_grad()
    def step(self, evaluate: Callable[[], object]) -> None:
        """Move once. evaluate: puts a new gradient into `pixels.grad`, with gradients enabled."""
        with torch.enable_grad():
            evaluate()
        gradient = self._pixels.grad
        assert gradient is not None
        if self._last is not None:
            moved, before = self._last
            self._learn(moved, gradient - before)
        direction = self._direction(gradient)
        self._pixels += direction
        self._last = direction, gradient

    def _learn(self, moved: Tensor, changed: Tensor) -> None:
        """Remember a step, unless the loss is not convex along it."""
        curvature = _dot(moved, changed)
        if curvature <= _LEAST_CURVATURE:
            return
        full = len(self._order) == len(self._moved)
        row = self._order.pop(0) if full else len(self._order)
        self._order.append(row)
        self._moved[row], self._changed[row] = moved.flatten(), changed.flatten()
        self._products[:, row] = self._moved @ self._changed[row]
        if self._guess is None:
            self._factor = float(curvature / _dot(changed, changed))
        else:
            self._guess.learn(moved, changed)

    def _direction(self, gradient: Tensor) -> Tensor:
        """Minus the inverse Hessian times the gradient.

        The two loops of Nocedal 1980, each a triangular system of inner products (Byrd, Nocedal and
        Schnabel 1994): the steps are read four times, and not once for each of them.
        """
        found = -gradient
        if not self._order:  # nothing is known yet, but what a guess may
            small = (1 / gradient.abs().sum()).clamp(max=1)
            return self._guess(found) if self._guess else found * small
        products = self._products[self._order][:, self._order].triu()
        shares = solve_triangular(products, self._along(self._moved, found), upper=True)
        found -= self._sum(self._changed, shares)
        found = self._guess(found) if self._guess else found * self._factor
        left = products.diagonal()[:, None] * shares - self._along(self._changed, found)
        shares = solve_triangular(products.mT, left, upper=False)
        return found + self._sum(self._moved, shares)

    def _along(self, rows: Tensor, image: Tensor) -> Tensor:
        """Inner products with the rows in use, oldest first: (m, 1) float64."""
        return (rows @ image.flatten())[self._order][:, None].double()

    def _sum(self, rows: Tensor, shares: Tensor) -> Tensor:
        """So much of each row in use, (m, 1), oldest first: (1, C, H, W)."""
        of_each = shares.new_zeros(len(rows))
        of_each[self._order] = shares[:, 0]
        return (of_each.to(rows.dtype) @ rows).view_as(self._pixels)


class Multilevel:
    """The inverse Hessian at pictures (1, C, H, W), about: the sum over k of P_k D_k P_k^T.

    P_k enlarges level k of a pyramid of halves to the picture (BPX: Bramble, Pasciak and Xu 1990,
    "Parallel multilevel preconditioners"). D_k is diagonal: how far the last step moved that band
    over how much the gradient changed in it, root mean squares of a few pixels.
    """

    def __init__(self, size: Sequence[int]) -> None:
        """size: (H, W)."""
        self._levels = max(0, (min(size) // _COARSEST).bit_length() - 1)
        self._reaches: list[Tensor] = []  # D_k but for one factor, (1, 1, h / 4, w / 4), from fine
        self._diagonals: list[Tensor] = []  # the same, enlarged to (1, 1, h, w)
        self._factor = 1.0

    def __bool__(self) -> bool:
        """Whether anything is known yet."""
        return bool(self._diagonals)

    def __call__(self, gradient: Tensor) -> Tensor:
        """The inverse Hessian times a gradient (1, C, H, W)."""
        pyramid = _pyramid(gradient, self._levels)
        *finer, found = (p * d for p, d in zip(pyramid, self._diagonals, strict=True))
        for level in reversed(finer):
            found = level.add_(_enlarged(found, level))
        return found.permute(1, 0, 2, 3) * self._factor

    def learn(self, moved: Tensor, changed: Tensor) -> None:
        """From a step and how the gradient changed along it, both (1, C, H, W), not across."""
        pyramid = _pyramid(changed, self._levels)
        bands = zip(_energies(_pyramid(moved, self._levels)), _energies(pyramid), strict=True)
        self._reaches = [_reach(*band) for band in bands]
        self._diagonals = _spread(self._reaches, [level.shape[-2:] for level in pyramid])
        # The factor that makes the whole right for this step: s^T y = y^T H y.
        parts = [
            4**k * (level.square() * diagonal).sum()
            for k, (level, diagonal) in enumerate(zip(pyramid, self._diagonals, strict=True))
        ]
        self._factor = float(_dot(moved, changed) / torch.stack(parts).sum())

    def finer(self, size: Sequence[int]) -> "Multilevel":
        """What is known, for a picture of twice the sides and losses that do not grow with it."""
        found = Multilevel(size)
        if self:
            found._reaches = [self._reaches[0] / 2, *self._reaches][: found._levels + 1]
            sizes = [(size[0] >> k, size[1] >> k) for k in range(found._levels + 1)]
            found._diagonals = _spread(found._reaches, sizes)
            found._factor = 4 * self._factor
        return found


def _reach(moved: Tensor, changed: Tensor) -> Tensor:
    """How far a band moves for its gradient around places, from the energies of both."""
    changed = changed.clamp_min(_LEAST_ENERGY)
    # Else a place that hardly anything depends on would move without end.
    most = _MOST * (moved.mean() / changed.mean()).sqrt()
    return (moved / changed).sqrt().clamp(max=most)


def _spread(maps: Sequence[Tensor], sizes: Sequence[Sequence[int]]) -> list[Tensor]:
    """Each map at its size (h, w)."""
    return [
        F.interpolate(each, (size[0], size[1]), mode="bilinear")
        for each, size in zip(maps, sizes, strict=True)
    ]


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return torch.dot(one.flatten(), other.flatten())


# --- Pyramids ---------------------------------------------------------------------------------


def _pyramid(image: Tensor, levels: int) -> list[Tensor]:
    """(1, C, H, W) as (C, 1, H, W), and as many halves of it, by the transposed of `_enlarged`."""
    found = [image.permute(1, 0, 2, 3)]
    weights = torch.tensor([0.125, 0.375, 0.375, 0.125]).to(image)
    kernel = (weights[:, None] * weights)[None, None]
    for _ in range(levels):
        found.append(F.conv2d(found[-1], kernel, stride=2, padding=1))
    return found


def _enlarged(image: Tensor, like: Tensor) -> Tensor:
    """The next level up."""
    return F.interpolate(image, like.shape[-2:], mode="bilinear")


def _energies(pyramid: list[Tensor]) -> list[Tensor]:
    """The mean squares of each band around places, (1, 1, h / 4, w / 4), from fine to coarse."""
    finer = [fine - _enlarged(coarse, fine) for fine, coarse in pairwise(pyramid)]
    return [
        F.avg_pool2d(band.square(), _AROUND, ceil_mode=True).mean(0, keepdim=True)
        for band in (*finer, pyramid[-1])
    ]
