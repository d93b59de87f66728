"""As many frames out as in, whatever the batches; memory between them, dropped at a cut."""

import threading
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.models.fast.norm_statistics import initial_statistics
from impasto.realtime.engines.base import Engine, IdentityEngine
from impasto.realtime.frame import Frame
from impasto.realtime.pipeline import batched
from impasto.realtime.stylizer import UPDATE_INTERVAL, Stylizer
from tests.engines import make_engine
from tests.pictures import make_pictures


@pytest.fixture(scope="session", params=["torch-fp32", "onnxruntime", "identity"])
def engine(request) -> Engine:
    return make_engine(request.param)


@pytest.fixture(scope="session")
def torch_engine() -> Engine:
    return make_engine("torch-fp32")


def frames_of(images: np.ndarray) -> list[Frame]:
    return [Frame(image, 7 * i, Fraction(1, 90)) for i, image in enumerate(images)]


def two_scenes() -> list[Frame]:
    first, second = make_pictures(9, 40, 56), 255 - make_pictures(6, 40, 56, seed=2) // 3
    return frames_of(np.concatenate([first, second]))


def images_of(frames) -> np.ndarray:
    return np.stack([frame.image for frame in frames])


def test_count_order_times_and_sizes(engine):
    frames = two_scenes()
    stylized = list(Stylizer(engine)(batched(frames, 4)))
    assert [(f.pts, f.time_base) for f in stylized] == [(f.pts, f.time_base) for f in frames]
    assert all(f.image.shape == (40, 56, 3) and f.image.dtype == np.uint8 for f in stylized)
    assert list(Stylizer(engine)(iter([]))) == []


@settings(max_examples=5, deadline=None)
@given(size=st.integers(2, 15), cut_at=st.integers(1, 14), is_video=st.booleans())
def test_batches_and_pieces_make_no_difference(engine, size, cut_at, is_video):
    frames = two_scenes()
    whole = images_of(Stylizer(engine, is_video=is_video)(batched(frames, 1)))
    stylizer = Stylizer(engine, is_video=is_video)
    pieces = [
        frame
        for piece in (frames[:cut_at], frames[cut_at:])
        for frame in stylizer(batched(piece, size))
    ]
    # Batches are summed in another order, which rounding can turn into a level; and, since
    # statistics are measured from such frames, hardly ever into two.
    assert np.abs(images_of(pieces).astype(int) - whole).max() <= 2


@pytest.mark.parametrize("size", [1, 3, 8])
def test_two_frames_in_parallel_are_as_one_after_another(torch_engine, size):
    frames = two_scenes()
    assert torch_engine.concurrency == 2 or torch.get_num_threads() == 1
    in_turn, ahead = Stylizer(torch_engine, ahead=False), Stylizer(torch_engine)
    for part in (frames[:7], frames[7:]):
        expected = images_of(in_turn(batched(part, size)))
        found = images_of(ahead(batched(part, size)))
        assert (
            np.abs(found.astype(int) - expected).max() <= 1
        )  # fewer threads: another order of sums


def test_in_turn_no_frame_waits_for_the_next(torch_engine):
    asked: list[int] = []

    def camera():
        for number, frame in enumerate(two_scenes()):
            asked.append(number)
            yield [frame]

    for number, _ in enumerate(Stylizer(torch_engine, ahead=False)(camera())):
        assert asked[-1] == number


class Counting(IdentityEngine):
    """Keeps a list of the frames that update its statistics; True: the first of a scene."""

    has_running_statistics = True

    def __init__(self) -> None:
        super().__init__()
        self.updated: list[tuple[int, bool]] = []

    def update(self, frame, statistics, weight):
        self.updated.append((int(frame[0, 0, 0, 0]), statistics is None))
        return frame.copy(), initial_statistics(1)

    def stylize(self, frames, statistics):
        return frames.copy()


class Failing(Counting):
    """Fails at a frame, which it knows by its first pixel."""

    concurrency = 2

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def update(self, frame, statistics, weight):
        return self.stylize(frame, statistics), initial_statistics(1)

    def stylize(self, frames, statistics):
        if frames[0, 0, 0, 0] == self.at:
            raise MemoryError("no room")
        return frames.copy()


@pytest.mark.parametrize("at", [0, 3, UPDATE_INTERVAL, 19])
def test_an_error_arrives_after_the_frames_before_it_and_no_thread_stays(at):
    images = np.zeros((20, 32, 32, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(20)
    before = threading.active_count()
    came = []
    with pytest.raises(MemoryError, match="no room"):
        for frame in Stylizer(Failing(at))(batched(frames_of(images), 1)):
            came.append(int(frame.image[0, 0, 0]))
    assert came == list(range(at))
    assert threading.active_count() == before


def test_leaving_early_leaves_no_thread():
    before = threading.active_count()
    frames = Stylizer(Failing(at=-1))(batched(two_scenes() * 3, 1))
    next(frames)
    assert threading.active_count() > before
    frames.close()
    assert threading.active_count() == before


def test_a_cut_starts_over(torch_engine):
    """What comes after a cut does not depend on what came before."""
    frames = two_scenes()
    both = images_of(Stylizer(torch_engine)(batched(frames, 4)))
    second = images_of(Stylizer(torch_engine)(batched(frames[9:], 4)))
    assert np.abs(both[9:].astype(int) - second).max() <= 2  # as above


def test_the_first_frame_is_as_it_would_be_alone(torch_engine):
    frames = two_scenes()
    first = next(iter(Stylizer(torch_engine)(batched(frames, 1)))).image
    assert np.abs(first.astype(int) - torch_engine(frames[0].image[None])[0]).max() <= 1


@pytest.mark.parametrize("size", [1, 4, 30])
def test_statistics_are_updated_at_the_start_and_evenly(size):
    scenes = make_pictures(12, 32, 32), make_pictures(8, 32, 32, seed=3) // 2
    images = np.concatenate(scenes)
    images[:, 0, 0, 0] = np.arange(20)
    engine = Counting()
    list(Stylizer(engine)(batched(frames_of(images), size)))
    first, second = range(0, 12, UPDATE_INTERVAL), range(12, 20, UPDATE_INTERVAL)
    assert engine.updated == [(n, n in (0, 12)) for n in (*first, *second)]


def test_pictures_of_other_sizes_are_scenes_of_their_own(engine):
    images = [make_pictures(1, *size)[0] for size in ((40, 56), (40, 56), (30, 33))]
    frames = [Frame(image, i, Fraction(1)) for i, image in enumerate(images)]
    sizes = [f.image.shape for f in Stylizer(engine)(batched(frames, 3))]
    assert sizes == [image.shape for image in images]


def test_keep_color_changes_only_the_luminance(torch_engine):
    frames = two_scenes()[:2]
    kept = images_of(Stylizer(torch_engine, keep_color=True)(batched(frames, 2))).astype(int)
    original = images_of(frames).astype(int)
    inside = ((kept > 0) & (kept < 255)).all(-1)
    # Color differences stay, but for rounding, wherever they fit into the cube.
    shift = kept - original
    assert np.abs(shift[..., 0] - shift[..., 2])[inside].mean() < 2
    assert np.abs(shift).max() > 10
