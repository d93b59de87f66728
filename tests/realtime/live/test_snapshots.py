"""Snapshots: PNG files that never replace one another."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from impasto.models.errors import SinkError
from impasto.realtime.live.snapshots import Snapshots, save_snapshot
from impasto.realtime.threads import DroppingSink
from tests.media import numbered_picture
from tests.realtime.live.outputs import frame_at

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_none_is_overwritten(tmp_path: Path) -> None:
    paths = [save_snapshot(numbered_picture(n), tmp_path) for n in range(3)]
    assert len(set(paths)) == 3
    for n, path in enumerate(paths):
        assert path.name.startswith("impasto-2") and path.suffix == ".png"
        with av.open(str(path)) as container:
            got = next(container.decode(video=0)).to_ndarray(format="rgb24")
        assert np.array_equal(got, numbered_picture(n))
    assert len(list(tmp_path.iterdir())) == 3


def test_are_saved_beside_the_window(tmp_path: Path) -> None:
    log: list[str] = []
    snapshots: Any = Snapshots(tmp_path, log=log.append)
    with DroppingSink(snapshots, "snapshot", log.append) as out:
        out.write(frame_at(0))
    (path,) = tmp_path.iterdir()
    assert log == [f"saved {path}"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="no folder"):
        save_snapshot(numbered_picture(0), tmp_path / "none")
