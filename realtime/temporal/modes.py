"""The kinds of steadiness there are; what they do is in steady.py."""

from typing import Literal

Steadiness = Literal["off", "hold", "flow", "raft"]
# Those that are gone through; raft is `flow` by a network, which wants a GPU and a download.
STEADINESS: tuple[Steadiness, ...] = ("off", "hold", "flow")
