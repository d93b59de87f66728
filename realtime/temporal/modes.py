"""The modes of temporal stabilization, as `--steadiness` and `Stylizer(steadiness=...)` take them.

"hold" keeps pixels of the input (`hold`) and blends outputs in place, for a camera that stands
still; "flow" blends outputs along the optical flow of the inputs (`blend`); "auto" is "hold", and
"flow" while the camera moves (`auto`); "raft" is "flow" with RAFT instead of DIS.
"""

from typing import Literal

Steadiness = Literal["off", "auto", "hold", "flow", "raft"]
# Those the live window cycles through and evaluation compares: "raft" needs a GPU and a download.
STEADINESS: tuple[Steadiness, ...] = ("off", "auto", "hold", "flow")
