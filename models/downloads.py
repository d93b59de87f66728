"""Weights that torchvision downloads at first use."""

import os
from tempfile import TemporaryDirectory
from typing import Any

from impasto.models.errors import DownloadError


def downloaded_weights(weights: Any, name: str, *, instead: str) -> dict[str, Any]:
    """The tensors of one of torchvision's `WeightsEnum`, downloaded once, hash checked.

    A user without a home folder has no cache: they are downloaded each time, and not kept.
    name, instead: for the message of DownloadError, which says where the file is to be had.
    """
    has_cache = os.path.isabs(os.path.expanduser("~")) or {"TORCH_HOME", "XDG_CACHE_HOME"} & set(
        os.environ
    )
    try:
        if has_cache:
            return weights.get_state_dict(progress=False, check_hash=True)
        with TemporaryDirectory() as folder:  # else a folder "~" would be made where we are
            return weights.get_state_dict(progress=False, check_hash=True, model_dir=folder)
    except OSError as error:
        where = f"cannot download {name} from {weights.url}: {error}"
        raise DownloadError(f"{where}; {instead}") from None
