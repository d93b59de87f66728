"""The files of a folder that are read; none of the others is passed over in silence."""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from impasto.models.errors import SourceError
from impasto.realtime.cli.inputs import choose_inputs, left_out_line
from impasto.realtime.cli.jobs import VIDEO_EXTENSIONS, find_jobs
from impasto.realtime.files.codecs import CONTAINERS
from impasto.realtime.files.convert import stylize_video
from tests.media import make_clip, numbered_picture, to_video_frame
from tests.realtime.files.conversion import identity, numbers

FRAMES = 4
# Muxer and encoder of files as people have them, by extension.
FILMS = {
    "asf": ("asf", "wmv2"),
    "divx": ("avi", "mpeg4"),
    "f4v": ("f4v", "libx264"),
    "m2v": ("mpeg2video", "mpeg2video"),
    "m4p": ("mp4", "libx264"),
    "mpv": ("mpeg1video", "mpeg1video"),
    "mod": ("vob", "mpeg2video"),
    "vob": ("vob", "mpeg2video"),
    "tod": ("mpegts", "mpeg2video"),
    "trp": ("mpegts", "libx264"),
    "ogm": ("ogg", "libvpx"),
    "dv": ("dv", "dvvideo"),
    "qt": ("mov", "libx264"),
    "y4m": ("yuv4mpegpipe", "rawvideo"),
    "rm": ("rm", "rv10"),
    "rmvb": ("rm", "rv20"),
    "h264": ("h264", "libx264"),
    "264": ("h264", "libx264"),
    "hevc": ("hevc", "libx265"),
    "265": ("hevc", "libx265"),
    "ivf": ("ivf", "libvpx"),
    "nut": ("nut", "libx264"),
    "wtv": ("wtv", "mpeg2video"),
    "3g2": ("3g2", "libx264"),
    "m2t": ("mpegts", "libx264"),
}
_OPTIONS = {
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libx264": {"preset": "ultrafast"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
}


def make_film(path: Path, muxer: str, encoder: str) -> Path:
    """A film of `FRAMES` numbered pictures, of any container and codec."""
    size = (576, 720) if encoder == "dvvideo" else (48, 64)
    with av.open(str(path), "w", format=muxer) as out:
        stream: Any = out.add_stream(encoder, rate=25, options=_OPTIONS.get(encoder, {}))
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        for index in range(FRAMES):
            frame = to_video_frame(numbered_picture(index, size), "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("extension", FILMS)
def test_a_film_of_a_folder_is_read_whatever_its_kind(extension: str, tmp_path: Path) -> None:
    source = make_film(tmp_path / f"a.{extension.upper()}", *FILMS[extension])
    ((job,), left_out) = find_jobs(
        str(tmp_path),
        tmp_path / "out",
        readable=VIDEO_EXTENSIONS,
        writable=CONTAINERS,
        otherwise=".mp4",
    )
    name = source.name if extension == "y4m" else "a.mp4"  # the one of these that is written, too
    assert (job.source, job.target, left_out) == (source, tmp_path / "out" / name, [])
    report = stylize_video(job.source, job.target, identity)
    assert report.frames == FRAMES and numbers(job.target) == list(range(FRAMES))


def reasons(folder: object, readable: frozenset[str] = VIDEO_EXTENSIONS) -> dict[str, str]:
    """The reasons for what is left out, by name, and "" for what is read."""
    inputs, left_out = choose_inputs(str(folder), readable)
    return {path.name: "" for path in inputs} | {path.name: reason for path, reason in left_out}


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_every_file_is_read_or_named_with_the_reason(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "B.VoB", "notes.txt", "a.srt", "deep/c.mp4", "old.partial.mp4")
    touch(tmp_path, "._a.mp4", ".DS_Store")
    (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")
    if hasattr(os, "mkfifo"):  # not on Windows
        os.mkfifo(tmp_path / "pipe.mp4")
    found = reasons(tmp_path)
    assert [name for name, reason in found.items() if not reason] == ["B.VoB", "a.mp4"]
    assert found["notes.txt"] == found["a.srt"] == "not a known extension"
    assert found["old.partial.mp4"] == "unfinished"
    assert found["deep"].startswith("a folder")
    assert found["._a.mp4"] == "hidden" and ".DS_Store" not in found
    assert found["gone.mp4"] == found.get("pipe.mp4", "not a file") == "not a file"


def test_a_pattern_reads_what_it_names(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "a.film", "a.partial.mp4", "a.folder/b.txt")
    assert reasons(tmp_path / "a*") == {"a.film": "", "a.mp4": "", "a.partial.mp4": "unfinished"}


def test_one_line_has_the_first_names_of_each_reason(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "x.partial.mkv", *(f"{n:02}.txt" for n in range(12)))
    line = left_out_line(choose_inputs(str(tmp_path), VIDEO_EXTENSIONS)[1])
    names = ", ".join(f"{n:02}.txt" for n in range(8))
    assert line == (
        f"left out: {names} and 4 more (not a known extension); x.partial.mkv (unfinished)"
    )


def test_a_folder_of_nothing_known_says_what_is_there(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt")
    with pytest.raises(SourceError, match=r"no file in .* \(left out: a.txt \(not a known"):
        choose_inputs(str(tmp_path), VIDEO_EXTENSIONS)


class TestDvd:
    @pytest.fixture
    def disc(self, tmp_path: Path) -> Path:
        """A disc with two titles, of which the second is split into three files, and menus."""
        folder = tmp_path / "disc" / "VIDEO_TS"
        touch(folder, "VIDEO_TS.IFO", "VIDEO_TS.VOB", "VTS_02_0.VOB", "VTS_01_0.IFO")
        make_film(folder / "VTS_01_1.VOB", *FILMS["vob"])
        whole = make_clip(
            tmp_path / "whole.vob",
            codec="mpeg2video",
            frames=100,
            audio=("eng",),
            audio_codec="ac3",
        )
        data = whole.read_bytes()
        third = len(data) // 3 // 2048 * 2048  # a DVD's sector
        for number, start in enumerate((0, third, 2 * third), start=1):
            end = None if number == 3 else start + third
            (folder / f"VTS_02_{number}.VOB").write_bytes(data[start:end])
        return folder.parent

    @pytest.mark.parametrize("inside", ["", "VIDEO_TS"])
    def test_titles_are_films_and_menus_are_named(self, inside: str, disc: Path) -> None:
        assert reasons(disc / inside) == {
            "VTS_01_1.VOB": "",
            "VTS_02_1.VOB": "",
            "VIDEO_TS.IFO": "not a known extension",
            "VTS_01_0.IFO": "not a known extension",
            "VIDEO_TS.VOB": "a menu of a DVD",
            "VTS_02_0.VOB": "a menu of a DVD",
        }

    def test_the_files_of_a_title_are_one_film(self, disc: Path, tmp_path: Path) -> None:
        jobs, _ = find_jobs(
            str(disc),
            tmp_path / "out",
            readable=VIDEO_EXTENSIONS,
            writable=CONTAINERS,
            otherwise=".mkv",
        )
        assert [job.target.name for job in jobs] == ["VTS_01_1.mkv", "VTS_02.mkv"]
        report = stylize_video(jobs[1].source, jobs[1].target, identity)
        assert numbers(jobs[1].target) == list(range(100))
        assert "VTS_02_1.VOB to VTS_02_3.VOB: one title of a DVD, read as one" in report.notes
        with av.open(str(jobs[1].target)) as container:
            audio = sum(packet.size for packet in container.demux(audio=0))
        with av.open(str(tmp_path / "whole.vob")) as container:
            assert audio == sum(packet.size for packet in container.demux(audio=0)) > 0

    def test_a_file_in_the_middle_of_a_title_alone_is_a_film(self, tmp_path: Path) -> None:
        touch(tmp_path, "VTS_01_2.VOB", "VTS_02_1.VOB", "VTS_02_3.VOB")
        assert set(reasons(tmp_path).values()) == {""}
