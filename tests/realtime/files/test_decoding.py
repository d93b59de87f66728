"""Decoding: timestamps are repaired, damage is skipped, and missing frames are counted."""

from fractions import Fraction

import av
import pytest

from impasto.models.errors import SourceError
from impasto.realtime.files.convert import stylize_video
from impasto.realtime.files.video_reader import VideoReader
from tests.media import (
    B_FRAMES,
    UNEVEN_MS,
    corrupted_middle,
    frame_count,
    make_clip,
    number_of,
    numbers_of,
    read_video,
    stored_pts,
    text_file,
    truncated,
)
from tests.realtime.files.conversion import identity, times


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.9, 1.2, [(0.9, 10)]),  # in a pause
        (0.9, None, [(0.9, 10), (1.5, 11)]),
        (0.3, 0.302, [(0.3, 4), (0.301, 5)]),
        (1.5001, None, [(1.501, 11)]),  # the file counts in thousandths
    ],
)
def test_a_range_starts_with_the_frame_on_show(tmp_path, start, end, expected):
    path = make_clip(tmp_path / "vfr.mkv", pts=UNEVEN_MS, time_base=Fraction(1, 1000))
    frames, _ = read_video(path, start=start, end=end)
    shown = [(float(f.pts * f.time_base), number_of(f.image)) for f in frames]
    assert shown == expected


def test_a_stream_without_time_stamps_is_spaced_by_its_rate(tmp_path):
    frames, source = read_video(make_clip(tmp_path / "raw.h264", options={"bf": "0"}))
    assert numbers_of(frames) == list(range(12))
    times = [f.pts * f.time_base for f in frames]
    assert {b - a for a, b in zip(times, times[1:], strict=False)} == {Fraction(1, 25)}
    assert any("timestamps" in note for note in source.notes)


def test_equal_time_stamps_are_increased(tmp_path):
    pts = [0, 40, 80, 80, 80, 120, 160]
    even = make_clip(tmp_path / "even.mkv", frames=7, codec="mjpeg", pix_fmt="yuvj420p")
    path = tmp_path / "still.mkv"
    with av.open(str(even)) as container, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(container.streams.video[0])
        packets = [p for p in container.demux(video=0) if p.size]
        for packet, time in zip(packets, pts, strict=True):
            packet.stream, packet.pts, packet.dts = stream, time, time
            out.mux(packet)
    assert stored_pts(path) == pts
    frames, source = read_video(path)
    assert numbers_of(frames) == list(range(7))
    assert [f.pts for f in frames] == [0, 40, 80, 81, 82, 120, 160]
    assert any("do not increase" in note for note in source.notes) and source.missing_frames == 0


FIVE_YEARS = 5 * 365 * 24 * 3600


class TestAbsurdTimestamps:
    @pytest.mark.parametrize("name", ["in.mkv", "in.mp4"])
    @pytest.mark.parametrize("late", [2, 10])
    def test_a_jump_of_thirty_hours_is_closed(self, tmp_path, name, late):
        pts = [40 * n + 30 * 3_600_000 * (n >= late) for n in range(12)]
        path = make_clip(tmp_path / name, pts=pts, time_base=Fraction(1, 1000))
        frames, source = read_video(path)
        times = [frame.pts * frame.time_base for frame in frames]
        assert numbers_of(frames) == list(range(12)) and times == sorted(times)
        assert times[:late] == [Fraction(n, 25) for n in range(late)] and times[-1] < 1
        assert any("absurd" in note for note in source.notes)

    def test_one_frame_years_late_does_not_move_the_others(self, tmp_path):
        even = make_clip(tmp_path / "even.mkv", codec="mjpeg", pix_fmt="yuvj420p")
        path = tmp_path / "in.nut"
        with av.open(str(even)) as container, av.open(str(path), "w") as out:
            stream = out.add_stream_from_template(container.streams.video[0])
            packets = [p for p in container.demux(video=0) if p.size]
            for index, packet in enumerate(packets):
                packet.stream = stream
                if index == 11:
                    packet.pts = packet.dts = 1000 * FIVE_YEARS
                out.mux(packet)
        frames, _ = read_video(path)
        times = [float(frame.pts * frame.time_base) for frame in frames]
        assert times == pytest.approx([n / 25 for n in range(12)], abs=0.02)

    def test_a_pause_of_an_hour_is_kept(self, tmp_path):
        pts = [40 * n + 3_600_000 * (n >= 6) for n in range(12)]
        path = make_clip(tmp_path / "in.mkv", pts=pts, time_base=Fraction(1, 1000))
        frames, source = read_video(path)
        assert [1000 * frame.pts * frame.time_base for frame in frames] == pts
        assert source.notes == []

    @pytest.mark.parametrize("target", ["out.mp4", "out.mov", "out.mkv", "out.avi", "out.gif"])
    def test_a_time_base_of_years(self, tmp_path, target):
        """A header that says one frame in five years, of which 25 frames a second are made."""
        path = make_clip(tmp_path / "in.avi", frames=5)
        data = path.read_bytes()
        at = data.index(b"vids") + 20  # dwScale and dwRate
        assert int.from_bytes(data[at + 4 : at + 8], "little") == 25
        scale_and_rate = FIVE_YEARS.to_bytes(4, "little") + (1).to_bytes(4, "little")
        path.write_bytes(data[:at] + scale_and_rate + data[at + 8 :])
        report = stylize_video(path, tmp_path / target, identity)
        assert any("25 frames a second" in note for note in report.notes)
        with av.open(str(tmp_path / target)) as container:
            assert len(container.streams.video) == 1
            assert container.duration < 0.3 * av.time_base
        assert frame_count(tmp_path / target) == 5 and times(tmp_path / target)[-1] < 0.2


def test_seeking_with_distant_intra_frames(tmp_path):
    path = make_clip(tmp_path / "a.mp4", frames=90, gop=90, **B_FRAMES)
    frames, _ = read_video(path, start=3)
    assert numbers_of(frames) == list(range(75, 90))


class TestFragments:
    """Fragmented MP4: recorded or streamed, its header does not count all frames."""

    KINDS = {
        "header counts the first": "frag_keyframe",
        "header counts none": "frag_keyframe+empty_moov",
        "index of fragments": "dash+global_sidx+frag_keyframe",
    }

    @pytest.fixture(params=KINDS.values(), ids=list(KINDS))
    def clip(self, request, tmp_path):
        flags = {"movflags": request.param}
        return make_clip(tmp_path / "in.mp4", frames=60, container_options=flags)

    @pytest.mark.parametrize("options", [{}, {"start": 1}])
    def test_progress_ends_at_its_total(self, clip, tmp_path, options):
        seen = []
        report = stylize_video(
            clip,
            tmp_path / "out.mp4",
            identity,
            on_progress=lambda done, total, fps: seen.append((done, total)),
            **options,
        )
        count = 60 - 25 * options.get("start", 0)
        assert report.frames == count and report.missing_frames == 0 and report.notes == ()
        assert seen == [(n + 1, count) for n in range(count)]

    def test_cut_off(self, clip):
        truncated(clip, 0.6)
        frames, source = read_video(clip)
        assert numbers_of(frames) == list(range(len(frames))) and 10 < len(frames) < 60
        knows_all = b"sidx" in clip.read_bytes()
        if knows_all:
            assert source.missing_frames == 60 - len(frames) and source.notes == []
        else:
            assert source.missing_frames > 0
            assert source.notes == [
                "the file was cut off: more frames than are counted may be missing"
            ]

    def test_a_wrong_estimate_is_not_exceeded(self, tmp_path):
        """Matroska has no count: it is the duration by the average rate, which is too low here."""
        pts = [*range(0, 1000, 500), *range(1000, 1100, 5)]
        clip = make_clip(
            tmp_path / "in.mkv", frames=22, pts=pts, time_base=Fraction(1, 1000), rate=2
        )
        seen = []
        stylize_video(
            clip, tmp_path / "out.mkv", identity, on_progress=lambda *now: seen.append(now[:2])
        )
        assert seen[-1][0] == 22 and seen[0][1] < 22
        assert all(done <= total for done, total in seen)


class TestDamagedStreams:
    """Decoding goes on, order and timestamps are kept, and missing frames are counted."""

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("a.mp4", {}),
            ("b.mp4", B_FRAMES),
            ("hevc.mp4", {"codec": "libx265"}),
            ("a.avi", {}),
            ("a.mkv", {}),
            ("a.ts", {"codec": "libx264"}),
            ("a.webm", {}),
        ],
    )
    def test_corrupt_packets_in_the_middle(self, tmp_path, name, options):
        path = corrupted_middle(
            make_clip(tmp_path / name, frames=30, **options), packets=slice(8, 11)
        )
        frames, source = read_video(path)
        pts = [frame.pts for frame in frames]
        assert pts == sorted(set(pts))
        assert source.missing_frames >= 3 and len(frames) + source.missing_frames == 30
        assert number_of(frames[-1].image) == 29

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi"])
    @pytest.mark.parametrize("fraction", [0.7, 0.95])
    def test_truncated(self, tmp_path, name, fraction):
        path = truncated(make_clip(tmp_path / name, frames=30, faststart=True), fraction)
        frames, source = read_video(path)
        assert numbers_of(frames)[:-1] == list(range(len(frames) - 1))
        assert 0 < len(frames) < 30 and source.missing_frames == 30 - len(frames)

    def test_uneven_b_frames_at_the_end_of_matroska_are_not_missing(self, tmp_path):
        """With B-frames around a pause, the frame decoded last is not the one shown last."""
        pts = [*range(0, 1000, 40), *range(9000, 9120, 40)]
        film = make_clip(
            tmp_path / "a.mp4", frames=len(pts), pts=pts, time_base=Fraction(1, 1000), **B_FRAMES
        )
        path = tmp_path / "a.mkv"
        with av.open(str(film)) as container, av.open(str(path), "w") as out:
            stream = out.add_stream_from_template(container.streams.video[0])
            for packet in container.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
        frames, source = read_video(path)
        assert len(frames) == len(pts) and source.missing_frames == 0

    def test_a_truncated_stream_without_a_frame_count(self, tmp_path):
        frames, _ = read_video(truncated(make_clip(tmp_path / "a.ts", frames=30), 0.5))
        assert 5 < len(frames) < 30

    def test_empty_chunks_of_avi_are_not_missing_frames(self, tmp_path):
        """FFmpeg writes one after the first frame; the header counts it, the index does not."""
        path = make_clip(tmp_path / "a.avi", frames=25, audio=("eng",))
        with av.open(str(path)) as container:
            assert container.streams.video[0].frames == 26
        frames, source = read_video(path)
        assert numbers_of(frames) == list(range(25)) and source.missing_frames == 0

    def test_a_range_before_the_damage_is_complete(self, tmp_path):
        path = corrupted_middle(make_clip(tmp_path / "a.mp4", frames=30), packets=slice(20, 22))
        frames, source = read_video(path, end=0.4)
        assert numbers_of(frames) == list(range(10)) and source.missing_frames == 0

    def test_nothing_is_printed(self, tmp_path, capfd):
        read_video(corrupted_middle(make_clip(tmp_path / "a.mp4", frames=20)))
        with pytest.raises(SourceError):
            VideoReader(text_file(tmp_path / "b.mp4"))
        assert capfd.readouterr() == ("", "")


def test_frames_that_last_for_days_are_spaced_by_the_frame_rate(tmp_path):
    """H.264 without a container, whose rate changes to one frame in eleven days."""
    parts = [
        make_clip(tmp_path / f"{n}.h264", frames=5, rate=rate).read_bytes()
        for n, rate in enumerate((Fraction(25), Fraction(1, 10**6)))
    ]
    path = tmp_path / "in.h264"
    path.write_bytes(b"".join(parts))
    frames, source = read_video(path)
    assert len(frames) == 10 and source.missing_frames == 0
    assert frames[-1].pts * frames[-1].time_base == Fraction(9, 25)
