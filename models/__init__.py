"""Networks, losses, styles and training: tensors in, tensors out."""

from importlib import import_module
from typing import Any

_WHERE = {"load_style": "models.styles", "known_styles": "models.styles"}


def __getattr__(name: str) -> Any:
    # Found when first asked for (PEP 562), so that importing the package does not load torch.
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
