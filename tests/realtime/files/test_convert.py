"""Video conversion: times, range, frame rate and size, damaged input, and failures."""

import subprocess
import sys
import weakref
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.models.errors import SinkError, SourceError
from impasto.realtime import ConversionReport, stylize_video
from impasto.realtime.files.codecs import EncoderOptions
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import ColorTags, Frame
from tests.media import (
    corrupted_middle,
    make_audio_only,
    make_clip,
    text_file,
    truncated,
    without_moov,
)
from tests.realtime.files.conversion import duration, identity, numbers, packets, payloads, times

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")


def failing(error: type[BaseException], after: int) -> Any:
    def stylizer(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        for done, frame in enumerate(identity(batches)):
            if done == after:
                raise error("stop")
            yield frame

    return stylizer


class TestTimesAndTags:
    def test_times_are_exact(self, tmp_path: Path) -> None:
        uneven = [0, 1, 5, 6, 30, 31, 100, 250]
        clip = make_clip(
            tmp_path / "in.mp4", frames=8, pts=uneven, time_base=Fraction(1, 600), audio=("eng",)
        )
        report = stylize_video(clip, tmp_path / "out.mp4", identity, batch_size=3)
        assert report.frames == 8 and report.missing_frames == 0
        assert times(tmp_path / "out.mp4") == times(clip) == [Fraction(p, 600) for p in uneven]
        assert duration(tmp_path / "out.mp4") == duration(clip)

    def test_timestamps_that_start_late_start_at_zero(self, tmp_path: Path) -> None:
        clip = make_clip(
            tmp_path / "in.ts",
            frames=10,
            pts=[3_600_000 + n * 3600 for n in range(10)],
            time_base=Fraction(1, 90000),
            codec="libx264",
        )
        stylize_video(clip, tmp_path / "out.mp4", identity)
        assert times(tmp_path / "out.mp4") == [Fraction(n, 25) for n in range(10)]

    def test_color_and_pixel_shape(self, tmp_path: Path) -> None:
        color = ColorTags(5, 6, 5, full_range=True)
        clip = make_clip(tmp_path / "in.mp4", color=color, sar=Fraction(4, 3))
        stylize_video(clip, tmp_path / "out.mp4", identity, encoder=EncoderOptions(crf=1))
        with av.open(str(clip)) as one, av.open(str(tmp_path / "out.mp4")) as other:
            assert other.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
            for before, after in zip(one.decode(video=0), other.decode(video=0), strict=True):
                for tag in ("color_primaries", "color_trc", "colorspace", "color_range"):
                    assert getattr(after, tag) == getattr(before, tag)
                luma = [np.asarray(f.planes[0]).astype(int) for f in (before, after)]
                assert np.abs(luma[0] - luma[1]).mean() < 2  # of 255, both codecs' loss

    def test_a_rotated_video_becomes_upright(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4", rotation=90, frames=3)
        stylize_video(clip, tmp_path / "out.mp4", identity)
        with av.open(str(tmp_path / "out.mp4")) as container:
            frame = next(container.decode(video=0))
            assert (frame.height, frame.width) == (64, 48)
            assert frame.rotation == 0

    @pytest.mark.parametrize(("repeats", "plays"), [(None, 1), (0, 0), (2, 3)])
    def test_a_gif_is_shown_as_often_as_its_source(
        self, repeats: int | None, plays: int, tmp_path: Path
    ) -> None:
        loop = {"loop": str(-1 if repeats is None else repeats)}
        clip = make_clip(tmp_path / "in.gif", pix_fmt="rgb8", container_options=loop)
        stylize_video(clip, tmp_path / "out.gif", identity)
        for path in (clip, tmp_path / "out.gif"):
            block = path.read_bytes().partition(b"NETSCAPE2.0\x03\x01")[2]
            assert (int.from_bytes(block[:2], "little") if block else None) == repeats
        with VideoReader(tmp_path / "out.gif") as result:
            assert result.info.plays == plays


class TestRangeRateAndSize:
    @pytest.mark.parametrize("target", [".mp4", ".mkv", ".ts"])
    def test_start_and_end_cut_audio_and_video_alike(self, target: str, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4", frames=100, audio=("eng",), chapters=("A", "B", "C"))
        out = tmp_path / f"out{target}"
        report = stylize_video(clip, out, identity, start=1, end=3)
        assert report.frames == 50
        assert numbers(out) == list(range(25, 75))
        assert times(out) == [Fraction(n, 25) for n in range(50)]
        before = {content: time for time, content in packets(clip, "audio")}
        if target != ".ts":
            after = packets(out, "audio")
            assert len(after) == pytest.approx(2 * 48000 / 1024, abs=2)
            for time, content in after:
                assert abs(before[content] - 1 - time) <= Fraction(1, 1000)
        assert abs(duration(out) - 2) < Fraction(3, 100)  # the last audio packet is kept whole
        if target != ".ts":
            with av.open(str(out)) as container:
                assert [
                    (c["metadata"]["title"], round(float(c["start"] * (c["time_base"] or 0)), 2))
                    for c in container.chapters()
                ] == [("A", 0), ("B", 0.33), ("C", 1.67)]

    @pytest.mark.parametrize(("rate", "count"), [(50, 50), (10, 10), (Fraction(30000, 1001), 30)])
    def test_another_frame_rate_keeps_the_duration(
        self, rate: Fraction | int, count: int, tmp_path: Path
    ) -> None:
        clip = make_clip(tmp_path / "in.mp4", frames=25, audio=("eng",))
        report = stylize_video(clip, tmp_path / "out.mp4", identity, frame_rate=rate)
        assert report.frames == count
        assert times(tmp_path / "out.mp4") == [n / Fraction(rate) for n in range(count)]
        assert abs(duration(tmp_path / "out.mp4") - duration(clip)) <= Fraction(1, 100)

    def test_size(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4", frames=3, size=(96, 128))
        stylize_video(clip, tmp_path / "out.mp4", identity, size=48)
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert (container.streams.video[0].height, container.streams.video[0].width) == (48, 64)

    @given(batch_size=st.integers(1, 30))
    @settings(deadline=None, max_examples=8)
    def test_any_batch_size_gives_the_same_file(
        self, batch_size: int, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("batches")
        clip = make_clip(folder / "in.mp4", frames=13, audio=("eng",))
        stylize_video(clip, folder / "one.mp4", identity)
        stylize_video(clip, folder / "many.mp4", identity, batch_size=batch_size)
        assert payloads(folder / "one.mp4", "video") == payloads(folder / "many.mp4", "video")
        assert times(folder / "one.mp4") == times(folder / "many.mp4")

    def test_parts_add_up_to_the_whole(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4", frames=30)
        seen: list[bytes] = []

        def watching(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
            for frame in identity(batches):
                seen.append(frame.image.tobytes())
                yield frame

        stylize_video(clip, tmp_path / "whole.mp4", watching)
        whole, seen = seen, []
        stylize_video(clip, tmp_path / "first.mp4", watching, end=Fraction(1, 2))
        stylize_video(clip, tmp_path / "second.mp4", watching, start=Fraction(1, 2))
        assert seen == whole


class TestReport:
    def test_figures(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4", frames=12)
        calls: list[tuple[int, int | None, float]] = []
        report = stylize_video(
            clip, tmp_path / "out.mp4", identity, on_progress=lambda *call: calls.append(call)
        )
        assert isinstance(report, ConversionReport)
        assert report.target == tmp_path / "out.mp4" and report.frames == 12
        assert [call[0] for call in calls] == list(range(1, 13))
        assert {call[1] for call in calls} == {12}
        assert all(call[2] > 0 for call in calls)
        assert 0 < report.first_frame_s < report.seconds
        for busy in (report.decode_s, report.stylize_s, report.encode_s):
            assert 0 < busy < report.seconds

    def test_importing_is_cheap(self) -> None:
        code = (
            "import sys, impasto.realtime; heavy = {'torch', 'cv2', 'onnxruntime'};"
            "assert not (heavy | {'av'}) & set(sys.modules);"
            "from impasto.realtime import stylize_video; assert not heavy & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_unknown_name(self) -> None:
        from impasto import realtime

        with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
            realtime.no_such_name  # noqa: B018  # asking is the test


class TestBadInput:
    @pytest.mark.parametrize("spoil", ["missing", "empty", "text", "audio", "moov"])
    def test_unreadable_source_leaves_no_target(self, spoil: str, tmp_path: Path) -> None:
        clip = tmp_path / "in.mp4"
        if spoil == "empty":
            clip.touch()
        elif spoil == "text":
            text_file(clip)
        elif spoil == "audio":
            make_audio_only(clip)
        elif spoil == "moov":
            without_moov(make_clip(clip))
        with pytest.raises(SourceError) as caught:
            stylize_video(clip, tmp_path / "out.mp4", identity)
        assert "\n" not in str(caught.value)
        assert [p.name for p in tmp_path.iterdir() if p != clip] == []

    @pytest.mark.parametrize("name", ["in.mp4", "in.mkv", "in.ts"])
    def test_truncated_source_is_converted_as_far_as_it_goes(
        self, name: str, tmp_path: Path
    ) -> None:
        clip = make_clip(tmp_path / name, frames=50, audio=("eng",), faststart=name == "in.mp4")
        truncated(clip, 0.6)
        report = stylize_video(clip, tmp_path / "out.mp4", identity)
        found = numbers(tmp_path / "out.mp4")
        assert found == list(range(len(found))) and 10 < len(found) < 50
        assert report.frames == len(found)
        if name != "in.ts":  # which does not say how much there should be
            assert report.missing_frames > 0
        # The last picture is not frozen until the declared end.
        first, *_, last = times(tmp_path / "out.mp4")
        with av.open(str(tmp_path / "out.mp4")) as container:
            stream = container.streams.video[0]
            assert (stream.duration or 0) * (stream.time_base or 0) == last - first + Fraction(
                1, 25
            )

    def test_truncated_source_at_another_rate_ends_where_its_frames_end(
        self, tmp_path: Path
    ) -> None:
        clip = truncated(make_clip(tmp_path / "in.mp4", frames=50, faststart=True), 0.6)
        report = stylize_video(clip, tmp_path / "out.mp4", identity, frame_rate=50)
        assert report.missing_frames > 10 and report.frames == 2 * (50 - report.missing_frames)
        assert duration(tmp_path / "out.mp4") == Fraction(report.frames, 50)

    def test_corrupt_packets_lose_frames_only(self, tmp_path: Path) -> None:
        clip = corrupted_middle(make_clip(tmp_path / "in.mkv", frames=50, audio=("eng",), gop=5))
        audio = payloads(clip, "audio")
        report = stylize_video(clip, tmp_path / "out.mkv", identity)
        assert 40 <= report.frames <= 50
        assert payloads(tmp_path / "out.mkv", "audio") == audio

    def test_the_source_is_not_written_over(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4")
        before = clip.read_bytes()
        (tmp_path / "link.mp4").symlink_to(clip)
        for target in ("in.mp4", "link.mp4"):
            with pytest.raises(SinkError, match="is the source"):
                stylize_video(clip, tmp_path / target, identity, overwrite=True)
        partial = clip.rename(tmp_path / "a.partial.mp4")
        with pytest.raises(SinkError, match="is the source"):
            stylize_video(partial, tmp_path / "a.mp4", identity, overwrite=True)
        assert partial.read_bytes() == before

    def test_existing_target(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4")
        (tmp_path / "out.mp4").write_text("mine")
        with pytest.raises(SinkError, match="exists"):
            stylize_video(clip, tmp_path / "out.mp4", identity)
        assert (tmp_path / "out.mp4").read_text() == "mine"


class TestFailure:
    @pytest.mark.parametrize("after", [0, 1, 11])
    @pytest.mark.parametrize("batch_size", [1, 4])
    def test_stylizer(self, after: int, batch_size: int, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4", frames=60, audio=("eng",))
        with pytest.raises(RuntimeError, match="stop"):
            stylize_video(
                clip, tmp_path / "out.mp4", failing(RuntimeError, after), batch_size=batch_size
            )
        assert list(tmp_path.iterdir()) == [clip]

    def test_sink(self, tmp_path: Path) -> None:
        def shrinking(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
            for number, frame in enumerate(identity(batches)):
                yield frame if number < 7 else replace(frame, image=frame.image[:16, :16])

        clip = make_clip(tmp_path / "in.mp4", frames=60, audio=("eng",))
        with pytest.raises(SinkError, match="64x48, got a frame of 16x16"):
            stylize_video(clip, tmp_path / "out.mp4", shrinking)
        assert list(tmp_path.iterdir()) == [clip]

    def test_an_engine_that_opens_late_does_not_slow_the_rate(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clip = make_clip(tmp_path / "in.mp4", frames=20)
        rates: list[float] = []
        now = 0.0

        def clock() -> float:  # 10 ms pass between any two looks at it
            nonlocal now
            now += 0.01
            return now

        monkeypatch.setattr("impasto.realtime.files.convert.perf_counter", clock)

        def late(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
            nonlocal now
            now += 10
            yield from identity(batches)

        stylize_video(
            clip, tmp_path / "out.mp4", late, on_progress=lambda *done: rates.append(done[2])
        )
        assert rates[0] < 0.1 and rates[-1] == pytest.approx(100)

    def test_progress(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4", frames=60)

        def broken(done: int, total: int | None, fps: float) -> None:
            raise RuntimeError("terminal gone")

        with pytest.raises(RuntimeError, match="terminal gone"):
            stylize_video(clip, tmp_path / "out.mp4", identity, on_progress=broken)
        assert list(tmp_path.iterdir()) == [clip]

    @pytest.mark.parametrize("target", ["out.mp4", "out.mkv", "out.webm"])
    def test_interrupt_leaves_a_playable_part(self, target: str, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4", frames=100, audio=("eng",))
        out = tmp_path / target
        with pytest.raises(KeyboardInterrupt):
            stylize_video(clip, out, failing(KeyboardInterrupt, 60))
        partial = tmp_path / f"out.partial{out.suffix}"
        assert sorted(tmp_path.iterdir()) == sorted([clip, partial])
        found = numbers(partial)
        assert found == list(range(len(found))) and 50 <= len(found) <= 60
        # Audio ends with the video.
        assert abs(times(partial, "audio")[-1] - Fraction(len(found), 25)) < Fraction(1, 10)

    def test_interrupt_before_the_first_frame_leaves_nothing(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "in.mp4")
        with pytest.raises(KeyboardInterrupt):
            stylize_video(clip, tmp_path / "out.mp4", failing(KeyboardInterrupt, 0))
        assert list(tmp_path.iterdir()) == [clip]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_memory_stays_flat(batch_size: int, tmp_path: Path) -> None:
    """However long the clip, only what the queues hold is alive."""
    clip = make_clip(tmp_path / "in.mp4", frames=200, size=(32, 32), audio=("eng",))
    alive = most = 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def watching(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        nonlocal alive, most
        for batch in batches:
            for frame in batch:
                image = 255 - frame.image
                alive += 1
                weakref.finalize(image, gone)
                most = max(most, alive)
                yield replace(frame, image=image)
                del image

    stylize_video(clip, tmp_path / "out.mp4", watching, batch_size=batch_size)
    # The queue of two batches; one frame each in the loop, in the worker's hand, and held by the
    # writer until its duration is known.
    assert most <= 2 * batch_size + 4
