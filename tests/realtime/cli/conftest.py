"""What the tests of the commands share."""

from pathlib import Path

import pytest

from tests.media import make_clip


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip of 10 frames with audio."""
    return make_clip(tmp_path / "in.mp4", frames=10, audio=["eng"])
