"""The choices that optimization by Gatys et al. has, by name; loads nothing."""

from typing import Literal

Preset = Literal["ours", "gatys2015", "gatys2016", "johnson2016", "neural-style", "default"]
Pooling = Literal["max", "average"]
StyleLoss = Literal["gram", "wasserstein", "mixed"]
TvForm = Literal["squared", "root"]  # of total variation
Init = Literal["content", "noise", "style"]  # the image to begin from
Optimizer = Literal["multilevel", "lbfgs", "adam", "sgd"]  # the first: preconditioned L-BFGS
