"""Networks, losses, styles and training: tensors in, tensors out."""

import os
from importlib import import_module
from typing import Any

# OpenMP's threads wait for work by spinning, for longer than decoding or encoding a frame takes,
# and keep these from the cores: a conversion beside another busy program ran at a tenth of its
# speed. Read once, when torch is first imported, which every module here does after this.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

_WHERE = {"load_style": "impasto.models.styles", "known_styles": "impasto.models.styles"}


def __getattr__(name: str) -> Any:
    # Found when first asked for (PEP 562), so that importing the package does not load torch.
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
