"""Weights that torchvision downloads at first use."""

import os
import sys
from contextlib import redirect_stdout
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

from impasto.models.errors import DownloadError


def downloaded_weights(weights: Any, name: str, *, instead: str) -> dict[str, Any]:
    """The tensors of one of torchvision's `WeightsEnum`, downloaded once, hash checked.

    Nothing but tensors is unpickled, also of a file that is in the cache. A user without a home
    folder has no cache: they are downloaded each time, and not kept.
    name, instead: for the message of DownloadError, which says where the file is to be had.
    """
    load = partial(weights.get_state_dict, progress=False, check_hash=True, weights_only=True)
    has_cache = os.path.isabs(os.path.expanduser("~")) or {"TORCH_HOME", "XDG_CACHE_HOME"} & set(
        os.environ
    )
    try:
        with redirect_stdout(sys.stderr):  # PyTorch's line about a download is no result
            if has_cache:
                return load()
            with TemporaryDirectory() as folder:  # else a folder "~" would be made where we are
                return load(model_dir=folder)
    except (OSError, RuntimeError) as error:  # of the hash, RuntimeError
        reason = str(error).partition("\n")[0]
    except Exception:  # of a damaged file, of many types
        reason = "the file in the cache is damaged, or holds more than tensors"
    raise DownloadError(f"cannot download {name} from {weights.url}: {reason}; {instead}")
