"""The choices that painting by optimization has, by name; loads nothing."""

from typing import Literal

ColorMode = Literal["painting", "luminance", "recolored"]
Scale = Literal["log", "linear"]  # of an axis
CurvesLayout = Literal["together", "separate"]
Study = Literal[
    "content",
    "texture",
    "noise",
    "start",
    "weight",
    "layers",
    "content-layers",
    "pooling",
    "optimizer",
    "loss-network",
    "size",
    "grid",
]
