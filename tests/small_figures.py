"""Measures trained networks as ever, on smaller pictures: most of a short training is measuring."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def small_figures() -> Iterator[None]:
    """Context manager: pictures of 64 px are stylized and compared."""
    from impasto.models.judge import StyleMetrics
    from impasto.models.training import results

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "_EVALUATED_SIDE", 64)
        for name in ("side", "painting_side"):
            patch.setitem(StyleMetrics.__init__.__kwdefaults__, name, 64)
        yield
