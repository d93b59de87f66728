"""Opening media files: whatever cannot be read is refused with one line; names are only names."""

import os
import socket

import numpy as np
import pytest

from impasto.models.errors import EngineError, SourceError
from impasto.realtime.files.convert import stylize_video
from impasto.realtime.files.video_reader import VideoReader
from tests.media import (
    corrupted_middle,
    make_audio_only,
    make_clip,
    make_two_videos,
    open_files,
    read_video,
    text_file,
    truncated,
    with_dimensions,
    with_unknown_codec,
    without_moov,
)
from tests.realtime.files.conversion import identity, numbers


class TestRefusals:
    """One clear line each."""

    def refused(self, path, match, kind=SourceError, **options):
        with pytest.raises(kind, match=match) as caught:
            VideoReader(path, **options)
        assert "\n" not in str(caught.value)
        assert not open_files(path)

    def test_missing(self, tmp_path):
        self.refused(tmp_path / "none.mp4", "does not exist")

    def test_a_folder(self, tmp_path):
        self.refused(tmp_path, "is a folder")

    def test_a_device(self):
        with pytest.raises(SourceError, match="device or a pipe"):
            VideoReader(os.devnull)

    def test_empty(self, tmp_path):
        (tmp_path / "a.mp4").touch()
        self.refused(tmp_path / "a.mp4", "is empty")

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.txt", "a"])
    def test_text(self, tmp_path, name):
        self.refused(text_file(tmp_path / name), "not a media file")

    def test_noise(self, tmp_path):
        (tmp_path / "a.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
        self.refused(tmp_path / "a.mp4", "not a media file|no video stream|no frame")

    @pytest.mark.parametrize("name", ["a.mp4", "a.m4a", "a.mkv"])
    def test_audio_only(self, tmp_path, name):
        self.refused(make_audio_only(tmp_path / name), "no video stream, only audio")

    @pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
    def test_without_index(self, tmp_path, name):
        self.refused(without_moov(make_clip(tmp_path / name)), r"index \(moov\) is missing")

    def test_cut_off_within_the_index(self, tmp_path):
        path = truncated(make_clip(tmp_path / "a.mp4", faststart=True), 0.03)
        self.refused(path, r"index \(moov\)|no video stream")

    @pytest.mark.parametrize(("height", "width"), [(40000, 64), (16000, 16000), (0, 0)])
    def test_dimensions_in_the_header(self, tmp_path, height, width):
        path = make_clip(tmp_path / "a.avi", codec="rawvideo")
        self.refused(with_dimensions(path, height, width), "frames of|not a media file|no frame")

    def test_too_large_dimensions_are_in_the_message(self, tmp_path):
        path = with_dimensions(make_clip(tmp_path / "a.avi", codec="rawvideo"), 16000, 16000)
        self.refused(path, "16000x16000; at most 16384 a side and 100 megapixels")

    def test_no_codec_that_is_known(self, tmp_path):
        path = with_unknown_codec(make_clip(tmp_path / "a.mp4"), b"avc1")
        self.refused(path, "no decoder for its video")

    def test_no_frame_decodable(self, tmp_path):
        path = corrupted_middle(make_clip(tmp_path / "a.mp4"), packets=slice(None))
        self.refused(path, "no frame of .* can be decoded")

    def test_an_unknown_device(self, tmp_path):
        self.refused(make_clip(tmp_path / "a.mp4"), "abacus", EngineError, hwaccel="abacus")

    def test_a_codec_the_device_does_not_support(self, tmp_path):
        path = make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="bgr0")
        with pytest.raises(EngineError, match="cuda.*CPU instead"):
            VideoReader(path, hwaccel="cuda")

    def test_a_playlist_does_not_reach_the_network(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
            for name in ("list.m3u8", "list.mp4"):
                path = tmp_path / name
                path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n")
                self.refused(path, "cannot read|no video|no frame")
            with pytest.raises(BlockingIOError):
                server.accept()


@pytest.mark.parametrize(
    ("name", "tag", "unknown"),
    [
        ("a.avi", b"H264", 0),
        ("a.avi", b"FMP4", 1),
        ("a.mp4", b"avc1", 0),
        ("a.mkv", b"V_MPEG4/ISO/ASP", 1),
    ],
)
def test_one_of_two_videos_without_a_decoder(tmp_path, name, tag, unknown):
    path = with_unknown_codec(make_two_videos(tmp_path / name), tag)
    report = stylize_video(path, tmp_path / f"out{path.suffix}", identity)
    assert report.frames == 5 and numbers(report.target) == [0, 1, 2, 3, 4]
    (note,) = [note for note in report.notes if note.startswith(f"video stream {unknown} (")]
    assert note.endswith("was left out: this FFmpeg has no decoder for it")


def test_one_of_two_videos_without_a_frame(tmp_path):
    path = corrupted_middle(make_two_videos(tmp_path / "a.mp4"), packets=slice(None))
    report = stylize_video(path, tmp_path / "out.mp4", identity)
    assert report.frames == 5 and numbers(report.target) == [0, 1, 2, 3, 4]
    assert any(note.startswith("video stream 0 (h264)") for note in report.notes)


@pytest.mark.parametrize(
    "name",
    [
        *("-x.mp4", "a:b.mp4", "http:x.mp4", "concat:x.mp4", "f%d.mp4", "[x]*.mp4"),
        *("a|b;c$d.mp4", "with space.mp4", "ünï.mp4", "pipe:0"),
    ],
)
@pytest.mark.parametrize("relative", [True, False])
def test_a_path_is_never_a_protocol_or_pattern(tmp_path, monkeypatch, name, relative):
    make_clip(tmp_path / "a.mp4", frames=3).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    frames, _ = read_video(name if relative else str(tmp_path / name))
    assert len(frames) == 3
