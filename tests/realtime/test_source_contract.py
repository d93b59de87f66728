"""What every source of frames guarantees: files, played files, network cameras, generated ones."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.models.errors import SourceError
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.live.cameras import open_live
from tests.media import SIZE, make_clip, number_of, text_file
from tests.senders import HttpCamera, free_port, numbered_jpegs

COUNT = 12


@dataclass(frozen=True)
class SourceCase:
    """A kind of source: how to open it, and how to fail to."""

    name: str
    open: Callable[[Path], Any]  # a context manager of a source of numbered frames
    broken: Callable[[Path], Any]  # raises
    ends: bool = True  # after COUNT frames; else it goes on
    numbered: bool = True


def _network_camera(_: Path) -> Any:
    @contextmanager
    def opened() -> Iterator[Any]:
        pictures = numbered_jpegs()
        with (
            HttpCamera(lambda _: iter(pictures * 100)) as camera,
            open_live(camera.address) as source,
        ):
            yield source

    return opened()


SOURCES = [
    SourceCase(
        "mp4",
        lambda folder: VideoReader(make_clip(folder / "a.mp4", frames=COUNT)),
        lambda folder: VideoReader(text_file(folder / "a.mp4")),
    ),
    SourceCase(
        "mkv",
        lambda folder: VideoReader(make_clip(folder / "a.mkv", frames=COUNT)),
        lambda folder: VideoReader(folder / "missing.mkv"),
    ),
    SourceCase(
        "played-file",
        lambda folder: open_live(str(make_clip(folder / "a.mp4", frames=COUNT, rate=100))),
        lambda folder: open_live(str(text_file(folder / "a.mp4"))),
    ),
    SourceCase(
        "network-camera",
        _network_camera,
        lambda _: open_live(f"http://127.0.0.1:{free_port()}/video"),
        ends=False,
    ),
    SourceCase(
        "sample-clip",
        lambda _: open_live("test", size=SIZE, frame_rate=Fraction(100)),
        lambda _: open_live("test", size=SIZE, frame_rate=Fraction(0)),
        ends=False,
        numbered=False,
    ),
]


@pytest.mark.parametrize("case", SOURCES, ids=lambda case: case.name)
class TestSource:
    def test_frames_come_in_order(self, case: SourceCase, tmp_path: Path) -> None:
        with case.open(tmp_path) as source:
            frames = list(source if case.ends else islice(source, COUNT))
        assert len(frames) == COUNT
        if case.numbered:
            numbers = [number_of(frame.image) for frame in frames]
            assert numbers == [n if case.ends else n % 8 for n in range(COUNT)]

    def test_time_stamps_increase(self, case: SourceCase, tmp_path: Path) -> None:
        with case.open(tmp_path) as source:
            times = [frame.pts * frame.time_base for frame in islice(source, COUNT)]
        assert all(a < b for a, b in pairwise(times))

    def test_frames_are_rgb_of_one_size(self, case: SourceCase, tmp_path: Path) -> None:
        with case.open(tmp_path) as source:
            for frame in islice(source, 3):
                assert frame.size == SIZE and frame.image.shape == (*SIZE, 3)
                assert frame.image.dtype == np.uint8

    def test_it_ends_when_closed(self, case: SourceCase, tmp_path: Path) -> None:
        with case.open(tmp_path) as source:
            frames = iter(source)
            next(frames)
            source.close()
            assert list(frames) == []

    def test_closing_twice(self, case: SourceCase, tmp_path: Path) -> None:
        with case.open(tmp_path) as source:
            next(iter(source))
            source.close()
            source.close()

    def test_it_is_read_once(self, case: SourceCase, tmp_path: Path) -> None:
        if not case.ends:
            pytest.skip("it does not end")
        with case.open(tmp_path) as source:
            assert len(list(source)) == COUNT and list(source) == []

    def test_a_broken_one_is_a_source_error_of_one_line(
        self, case: SourceCase, tmp_path: Path
    ) -> None:
        with pytest.raises(SourceError) as caught:
            case.broken(tmp_path)
        assert "\n" not in str(caught.value)
