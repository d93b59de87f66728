"""Timestamps of recordings joined end to end continue; gaps in one recording stay."""

from fractions import Fraction

from tests.media import (
    B_FRAMES,
    make_clip,
    numbers_of,
    read_video,
)


def test_time_stamps_that_jump_back_continue(tmp_path):
    """Timestamps start again, as in two recordings joined end to end."""
    first = make_clip(tmp_path / "a.ts", frames=50)
    second = make_clip(tmp_path / "b.ts", frames=8)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    frames, source = read_video(joined)
    assert numbers_of(frames) == [*range(50), *range(8)]
    times = [f.pts * f.time_base for f in frames]
    assert all(a < b for a, b in zip(times, times[1:], strict=False))
    assert times[-1] - times[0] == Fraction(57, 25)
    assert any("recordings joined" in note for note in source.notes)


def test_a_gap_in_a_broadcast_keeps_its_length(tmp_path):
    """The decoder returns frames from before the gap after it; that is not another recording."""
    path = make_clip(tmp_path / "a.ts", codec="libx264", frames=150, **B_FRAMES)
    data, size = path.read_bytes(), 188  # of a packet
    count = len(data) // size
    path.write_bytes(data[: size * (count // 4)] + data[size * (3 * count // 4) :])
    frames, source = read_video(path)
    assert (frames[-1].pts - frames[0].pts) * frames[0].time_base == Fraction(149, 25)
    assert len(frames) + source.missing_frames == 150 and not source.is_complete
    assert not any("joined" in note for note in source.notes)
