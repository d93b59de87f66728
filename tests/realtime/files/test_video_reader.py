"""Video files, read whole and in order through real codecs; frame rates."""

import os
import socket
import sys
import weakref
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.models.errors import EngineError, SourceError
from impasto.realtime.files.frame_rate import at_frame_rate, info_at_frame_rate
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import ColorTags, Frame, StreamInfo
from tests.media import (
    SIZE,
    corrupted_middle,
    make_audio_only,
    make_clip,
    number_of,
    numbered_picture,
    numbers_of,
    text_file,
    truncated,
    with_dimensions,
    without_moov,
)

CONTAINERS = {
    "h264.mp4": {},
    "b_frames.mp4": {"options": {"preset": "veryfast", "bf": "3", "refs": "4"}},
    "b_frames.mkv": {"options": {"preset": "veryfast", "bf": "3"}},
    "h264.ts": {"codec": "libx264"},
    "mpeg2.ts": {"options": {"bf": "2"}},
    "hevc.mp4": {"codec": "libx265"},
    "mpeg4.avi": {"options": {"bf": "2"}},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "vp9.webm": {},
    "ffv1.mkv": {"codec": "ffv1", "pix_fmt": "bgr0"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "anim.gif": {"pix_fmt": "rgb8"},
    "sound.mp4": {"audio": ("eng", "deu"), "subtitles": ("eng",), "chapters": ("a", "b")},
    "sound.mkv": {"audio": ("eng",), "subtitles": ("eng",), "audio_seconds": 3},
    "grey.mp4": {"codec": "libx265", "pix_fmt": "gray"},
    "alpha.mov": {"codec": "qtrle", "pix_fmt": "argb"},
    "odd.mkv": {"size": (49, 67), "pix_fmt": "yuv444p"},
    "odd.mp4": {"size": (49, 67), "codec": "mpeg4"},
}
B_FRAMES = CONTAINERS["b_frames.mp4"]


def stored_pts(path):
    """Every pts of the pictures in a file, from the packets: no decoder is asked."""
    with av.open(str(path)) as container:
        return sorted(p.pts for p in container.demux(video=0) if p.pts is not None)


def read(path, **options):
    with VideoReader(path, **options) as source:
        return list(source), source


def comb(image):
    """How much neighbouring lines differ beyond those two apart: high where fields are mixed."""
    rows = image.astype(float).mean(axis=-1)[len(image) // 4 :]
    return np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean()


@pytest.mark.parametrize("name", CONTAINERS)
class TestEveryContainer:
    @pytest.fixture
    def path(self, tmp_path, name):
        return make_clip(tmp_path / name, frames=14, **CONTAINERS[name])

    def test_every_frame_once_in_order_at_its_own_time(self, path):
        frames, source = read(path)
        assert numbers_of(frames) == list(range(14))
        assert [frame.pts for frame in frames] == stored_pts(path)
        assert {frame.time_base for frame in frames} == {source.info.time_base}
        assert source.missing_frames == 0 and source.notes == []

    def test_info_holds_before_the_first_frame(self, path, name):
        with VideoReader(path) as source:
            info = source.info
            first = next(iter(source))
        assert first.image.shape == (info.height, info.width, 3)
        assert (info.height, info.width) == CONTAINERS[name].get("size", SIZE)
        assert first.image.dtype == np.uint8 and first.image.flags.c_contiguous
        assert info.frame_rate == 25 and info.frame_count == 14
        assert abs(info.duration - Fraction(14, 25)) <= Fraction(1, 1000)

    @pytest.mark.parametrize(("start", "end"), [(0.2, 0.4), (None, 0.3), (0.33, None), (0.04, 9)])
    def test_a_part_is_the_same_as_in_the_whole(self, path, start, end):
        whole, source = read(path)
        part, cut = read(path, start=start, end=end)
        first, last = Fraction(str(start or 0)), Fraction(str(end or 99))
        expected = [
            frame
            for frame in whole
            if first <= frame.pts * frame.time_base - source.start_time < last
        ]
        assert [frame.pts for frame in part] == [frame.pts for frame in expected]
        assert all((a.image == b.image).all() for a, b in zip(part, expected, strict=True))
        assert cut.missing_frames == 0 and abs(cut.info.frame_count - len(part)) <= 1


class TestTime:
    PTS = [0, 40, 100, 130, 300, 301, 302, 500, 600, 700, 800, 1500]

    @pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv", "vfr.webm"])
    @pytest.mark.parametrize("options", [{}, {"audio": ("eng",)}])
    def test_variable_frame_rate_is_exact(self, tmp_path, name, options):
        options = options | ({"audio_codec": "libopus"} if name.endswith("webm") else {})
        path = make_clip(tmp_path / name, pts=self.PTS, time_base=Fraction(1, 1000), **options)
        frames, source = read(path)
        assert [1000 * f.pts * f.time_base for f in frames] == self.PTS
        assert numbers_of(frames) == list(range(12)) and source.missing_frames == 0

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (0.9, 1.2, [(0.9, 10)]),  # in a pause
            (0.9, None, [(0.9, 10), (1.5, 11)]),
            (0.3, 0.302, [(0.3, 4), (0.301, 5)]),
            (1.5001, None, [(1.501, 11)]),  # the file counts in thousandths
        ],
    )
    def test_a_part_begins_with_the_still_picture_it_begins_in(
        self, tmp_path, start, end, expected
    ):
        path = make_clip(tmp_path / "vfr.mkv", pts=self.PTS, time_base=Fraction(1, 1000))
        frames, _ = read(path, start=start, end=end)
        found = [(float(f.pts * f.time_base), number_of(f.image)) for f in frames]
        assert found == expected

    def test_ntsc_rate_is_exact(self, tmp_path):
        rate = Fraction(30000, 1001)
        frames, source = read(make_clip(tmp_path / "ntsc.mp4", rate=rate))
        assert source.info.frame_rate == rate
        assert [f.pts * f.time_base for f in frames] == [n / rate for n in range(12)]

    def test_a_stream_without_time_stamps_is_spaced_by_its_rate(self, tmp_path):
        frames, source = read(make_clip(tmp_path / "raw.h264", options={"bf": "0"}))
        assert numbers_of(frames) == list(range(12))
        times = [f.pts * f.time_base for f in frames]
        assert {b - a for a, b in zip(times, times[1:], strict=False)} == {Fraction(1, 25)}
        assert any("time stamps" in note for note in source.notes)

    def test_time_stamps_that_stand_still_are_moved_on(self, tmp_path):
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
        frames, source = read(path)
        assert numbers_of(frames) == list(range(7))
        assert [f.pts for f in frames] == [0, 40, 80, 81, 82, 120, 160]
        assert (
            any("do not increase" in note for note in source.notes) and source.missing_frames == 0
        )

    def test_time_stamps_that_jump_back_are_joined(self, tmp_path):
        """A file's own time is followed by an earlier one, as in recordings put end to end."""
        first = make_clip(tmp_path / "a.ts", frames=50)
        second = make_clip(tmp_path / "b.ts", frames=8)
        joined = tmp_path / "joined.ts"
        joined.write_bytes(first.read_bytes() + second.read_bytes())
        frames, source = read(joined)
        assert numbers_of(frames) == [*range(50), *range(8)]
        times = [f.pts * f.time_base for f in frames]
        assert all(a < b for a, b in zip(times, times[1:], strict=False))
        assert times[-1] - times[0] == Fraction(57, 25)
        assert any("recordings joined" in note for note in source.notes)

    @pytest.mark.parametrize(("start", "end"), [(-1, None), (2, 1), (1, 1), (0, 0)])
    def test_an_empty_range_is_refused(self, tmp_path, start, end):
        with pytest.raises(SourceError, match="0 <= start < end"):
            VideoReader(make_clip(tmp_path / "a.mp4"), start=start, end=end)

    def test_starting_after_the_end_says_how_long_it_is(self, tmp_path):
        with pytest.raises(SourceError, match=r"cannot start at 7 s: .* is 0.48 s long"):
            VideoReader(make_clip(tmp_path / "a.mp4"), start=7)

    def test_half_open_to_the_tick(self, tmp_path):
        frames, _ = read(make_clip(tmp_path / "a.mp4"), start=0.12, end=0.2)
        assert numbers_of(frames) == [3, 4]  # 0.12 and 0.16; 0.20 not

    def test_long_distances_between_intra_frames(self, tmp_path):
        path = make_clip(tmp_path / "a.mp4", frames=90, gop=90, **B_FRAMES)
        frames, _ = read(path, start=3)
        assert numbers_of(frames) == list(range(75, 90))


class TestShape:
    @pytest.mark.parametrize("hflip", [False, True])
    @pytest.mark.parametrize("rotation", [0, 90, 180, 270])
    @pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
    def test_turned_upright(self, tmp_path, rotation, hflip, codec):
        """Stored as the display matrix undoes it: mirrored last on showing, so first on storing."""

        def stored(number, size):
            upright = numbered_picture(number, size if rotation % 180 == 0 else size[::-1])
            upright = upright[:, ::-1] if hflip else upright
            return np.rot90(upright, -(rotation // 90))

        path = make_clip(
            tmp_path / "turned.mp4",
            codec=codec,
            rotation=rotation,
            hflip=hflip,
            picture=stored,
            sar=Fraction(4, 3),
        )
        frames, source = read(path)
        assert numbers_of(frames) == list(range(12))
        sideways = rotation % 180 == 90
        info = source.info
        assert (info.height, info.width) == (SIZE[::-1] if sideways else SIZE)
        assert info.sample_aspect_ratio == (Fraction(3, 4) if sideways else Fraction(4, 3))

    @pytest.mark.parametrize("rotation", [0, 90])
    @pytest.mark.parametrize("size", [96, 24, (30, 70), (33, 41)])
    def test_resized(self, tmp_path, size, rotation):
        path = make_clip(
            tmp_path / "a.mp4",
            size=(48, 80) if rotation == 0 else (80, 48),
            rotation=rotation,
            sar=Fraction(4, 3),
            picture=lambda number, stored: np.rot90(
                numbered_picture(number, (48, 80)), -(rotation // 90)
            ),
        )
        frames, source = read(path, size=size)
        expected = size if isinstance(size, tuple) else (size, size * 80 // 48)
        assert (source.info.height, source.info.width) == expected
        assert {frame.image.shape for frame in frames} == {(*expected, 3)}
        assert numbers_of(frames) == list(range(12))
        square = isinstance(size, tuple) or rotation
        if isinstance(size, tuple):
            assert source.info.sample_aspect_ratio == 1
        elif not square:
            assert source.info.sample_aspect_ratio == Fraction(4, 3)

    @pytest.mark.parametrize("name", ["int.mp4", "int.mkv", "int.ts"])
    def test_interlaced_is_deinterlaced_one_for_one(self, tmp_path, name):
        def fields(number, size):
            """A bar that moves 3 pixels from one field to the next."""
            image = np.full((*size, 3), 40, np.uint8)
            for field in (0, 1):
                left = 8 + 3 * (2 * number + field)
                image[field::2, left : left + 12] = 220
            return image

        path = make_clip(
            tmp_path / name,
            frames=6,
            codec="libx264" if name.endswith("mp4") else "mpeg2video",
            interlaced=True,
            picture=fields,
        )
        with av.open(str(path)) as container:
            woven = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        frames, source = read(path)
        assert [frame.pts for frame in frames] == stored_pts(path)
        assert min(map(comb, woven)) > 5 * max(comb(frame.image) for frame in frames)
        assert source.missing_frames == 0 and any("deinterlace" in note for note in source.notes)

    def test_a_cover_picture_is_not_the_film(self, tmp_path):
        frames, _ = read(make_clip(tmp_path / "cover.mp4", cover=True))
        assert numbers_of(frames) == list(range(12))


class TestColor:
    TAGS = [
        ColorTags(1, 1, 1),
        ColorTags(1, 1, 1, full_range=True),
        ColorTags(6, 6, 6),
        ColorTags(5, 6, 5, full_range=True),
        ColorTags(9, 14, 9),
    ]

    @pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p"])
    @pytest.mark.parametrize("tags", TAGS, ids=str)
    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
    def test_the_streams_own_matrix_and_range(self, tmp_path, tags, pix_fmt, name):
        color = (200, 60, 40)
        path = make_clip(
            tmp_path / name,
            frames=2,
            pix_fmt=pix_fmt,
            color=tags,
            picture=lambda number, size: np.full((*size, 3), color, np.uint8),
        )
        frames, source = read(path)
        # Two roundings of Y, Cb, Cr and H.264 at a high quality; another matrix is 12 off.
        assert np.abs(frames[0].image.astype(int) - color).max() <= 4
        assert source.info.color == tags
        assert source.info.bit_depth == (10 if "10" in pix_fmt else 8)

    @pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
    def test_hdr_is_said(self, tmp_path, transfer, name):
        tags = ColorTags(9, transfer, 9)
        path = make_clip(
            tmp_path / "hdr.mp4", codec="libx265", pix_fmt="yuv420p10le", frames=2, color=tags
        )
        _, source = read(path)
        assert any(name in note and "SDR" in note for note in source.notes)
        assert source.info.color == tags and source.info.bit_depth == 10

    def test_transparency_is_laid_over_black_and_said(self, tmp_path):
        rgba = np.full((*SIZE, 4), (200, 100, 50, 255), np.uint8)
        rgba[:, :32, 3] = 0
        path = tmp_path / "alpha.mov"
        with av.open(str(path), "w") as out:
            stream = out.add_stream("png", rate=25, width=SIZE[1], height=SIZE[0], pix_fmt="rgba")
            for index in range(2):
                frame = av.VideoFrame.from_ndarray(rgba, format="rgba")
                frame.pts = index
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        frames, source = read(path)
        assert (frames[0].image[:, :32] == 0).all()
        assert (frames[0].image[:, 32:] == (200, 100, 50)).all()
        assert any("transparency" in note for note in source.notes)


class TestDamage:
    """Decoding goes on, order and time hold, and the loss is counted."""

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
        frames, source = read(path)
        pts = [frame.pts for frame in frames]
        assert pts == sorted(set(pts))
        assert source.missing_frames >= 3 and len(frames) + source.missing_frames == 30
        assert number_of(frames[-1].image) == 29

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi"])
    @pytest.mark.parametrize("fraction", [0.7, 0.95])
    def test_truncated(self, tmp_path, name, fraction):
        path = truncated(make_clip(tmp_path / name, frames=30, faststart=True), fraction)
        frames, source = read(path)
        assert numbers_of(frames)[:-1] == list(range(len(frames) - 1))
        assert 0 < len(frames) < 30 and source.missing_frames == 30 - len(frames)

    def test_a_hole_in_a_broadcast_is_as_long_as_it_is(self, tmp_path):
        """The decoder gives frames from before it after it; that is no other recording."""
        path = make_clip(tmp_path / "a.ts", codec="libx264", frames=150, **B_FRAMES)
        data, size = path.read_bytes(), 188  # of a packet
        count = len(data) // size
        path.write_bytes(data[: size * (count // 4)] + data[size * (3 * count // 4) :])
        frames, source = read(path)
        assert (frames[-1].pts - frames[0].pts) * frames[0].time_base == Fraction(149, 25)
        assert len(frames) + source.missing_frames == 150 and not source.is_complete
        assert not any("joined" in note for note in source.notes)

    def test_an_uneven_end_of_matroska_is_no_loss(self, tmp_path):
        """Where B-frames surround a pause, what decodes last does not last longest."""
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
        frames, source = read(path)
        assert len(frames) == len(pts) and source.missing_frames == 0

    def test_a_truncated_stream_that_has_no_count_gives_what_it_holds(self, tmp_path):
        frames, _ = read(truncated(make_clip(tmp_path / "a.ts", frames=30), 0.5))
        assert 5 < len(frames) < 30

    def test_empty_chunks_of_avi_are_no_loss(self, tmp_path):
        """FFmpeg writes one after the first frame; its header counts it, its index does not."""
        path = make_clip(tmp_path / "a.avi", frames=25, audio=("eng",))
        with av.open(str(path)) as container:
            assert container.streams.video[0].frames == 26
        frames, source = read(path)
        assert numbers_of(frames) == list(range(25)) and source.missing_frames == 0

    def test_a_part_before_the_damage_has_lost_nothing(self, tmp_path):
        path = corrupted_middle(make_clip(tmp_path / "a.mp4", frames=30), packets=slice(20, 22))
        frames, source = read(path, end=0.4)
        assert numbers_of(frames) == list(range(10)) and source.missing_frames == 0

    def test_nothing_is_printed(self, tmp_path, capfd):
        read(corrupted_middle(make_clip(tmp_path / "a.mp4", frames=20)))
        with pytest.raises(SourceError):
            VideoReader(text_file(tmp_path / "b.mp4"))
        assert capfd.readouterr() == ("", "")


class TestRefusals:
    """One clear line each."""

    def refused(self, path, match, kind=SourceError, **options):
        with pytest.raises(kind, match=match) as caught:
            VideoReader(path, **options)
        assert "\n" not in str(caught.value)
        assert not handles_on(path)

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
    def test_sound_only(self, tmp_path, name):
        self.refused(make_audio_only(tmp_path / name), "no video stream, only audio")

    @pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
    def test_without_index(self, tmp_path, name):
        self.refused(without_moov(make_clip(tmp_path / name)), r"index \(moov\) is missing")

    def test_cut_off_within_the_index(self, tmp_path):
        path = truncated(make_clip(tmp_path / "a.mp4", faststart=True), 0.03)
        self.refused(path, r"index \(moov\)|no video stream")

    @pytest.mark.parametrize(("height", "width"), [(40000, 64), (16000, 16000), (0, 0)])
    def test_dimensions(self, tmp_path, height, width):
        path = make_clip(tmp_path / "a.avi", codec="rawvideo")
        self.refused(with_dimensions(path, height, width), "pictures of|not a media file|no frame")

    def test_absurd_dimensions_are_named(self, tmp_path):
        path = with_dimensions(make_clip(tmp_path / "a.avi", codec="rawvideo"), 16000, 16000)
        self.refused(path, "16000x16000; at most 16384 a side and 100 megapixels")

    def test_no_frame_decodable(self, tmp_path):
        path = corrupted_middle(make_clip(tmp_path / "a.mp4"), packets=slice(None))
        self.refused(path, "no frame of .* can be decoded")

    def test_an_unknown_device(self, tmp_path):
        self.refused(make_clip(tmp_path / "a.mp4"), "abacus", EngineError, hwaccel="abacus")

    def test_a_codec_that_the_device_does_not_decode(self, tmp_path):
        path = make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="bgr0")
        with pytest.raises(EngineError, match="cuda.*CPU instead"):
            VideoReader(path, hwaccel="cuda")

    def test_a_playlist_may_not_reach_the_network(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
            for name in ("list.m3u8", "list.mp4"):
                path = tmp_path / name
                path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n")
                self.refused(path, "cannot read|no video|no frame")
            with pytest.raises(BlockingIOError):
                server.accept()


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            *("-x.mp4", "a:b.mp4", "http:x.mp4", "concat:x.mp4", "f%d.mp4", "[x]*.mp4"),
            *("a|b;c$d.mp4", "with space.mp4", "ünï.mp4", "pipe:0"),
        ],
    )
    @pytest.mark.parametrize("relative", [True, False])
    def test_a_name_is_only_a_name(self, tmp_path, monkeypatch, name, relative):
        make_clip(tmp_path / "a.mp4", frames=3).rename(tmp_path / name)
        monkeypatch.chdir(tmp_path)
        frames, _ = read(name if relative else str(tmp_path / name))
        assert len(frames) == 3


def handles_on(path):
    """Open files of this process at `path`."""
    if not sys.platform.startswith("linux"):
        pytest.skip("open files are listed in /proc, on Linux")
    links = (os.path.join("/proc/self/fd", n) for n in os.listdir("/proc/self/fd"))
    targets = [os.readlink(link) for link in links if os.path.islink(link)]
    return [target for target in targets if target == os.path.realpath(path)]


class TestHandles:
    @pytest.fixture
    def path(self, tmp_path):
        return make_clip(tmp_path / "a.mp4")

    def test_closed_on_leaving(self, path):
        with VideoReader(path) as source:
            next(iter(source))
            assert handles_on(path)
        assert not handles_on(path)
        source.close()

    def test_closed_at_the_end(self, path):
        source = VideoReader(path)
        list(source)
        assert not handles_on(path)

    def test_closed_when_abandoned(self, path):
        for _ in VideoReader(path):
            break
        assert not handles_on(path)

    def test_closed_by_an_error(self, path):
        with pytest.raises(ZeroDivisionError), VideoReader(path) as source:
            for _ in source:
                raise ZeroDivisionError
        assert not handles_on(path)

    def test_frames_are_not_kept(self, path):
        """Memory is flat: what the caller has let go is gone."""
        pictures = []
        for frame in VideoReader(path):
            pictures.append(weakref.ref(frame.image))
            assert sum(picture() is not None for picture in pictures) <= 2
            del frame
        assert len(pictures) == 12

    def test_a_loop_can_be_taken_up_again(self, path):
        with VideoReader(path) as source:
            first = next(iter(source))
            assert [number_of(first.image), *numbers_of(source)] == list(range(12))

    def test_closing_in_the_middle_ends_it(self, path):
        source = VideoReader(path)
        frames = iter(source)
        next(frames)
        source.close()
        assert list(frames) == []

    def test_once_read_it_is_at_its_end(self, path):
        with VideoReader(path) as source:
            assert len(list(source)) == 12 and list(source) == []


@pytest.mark.gpu
def test_nvdec_gives_the_frames_of_the_cpu(tmp_path):
    path = make_clip(tmp_path / "a.mp4", size=(256, 256), frames=20, **B_FRAMES)
    try:
        frames, source = read(path, hwaccel="cuda")
    except EngineError as error:
        pytest.skip(str(error))
    expected, _ = read(path)
    assert [f.pts for f in frames] == [f.pts for f in expected]
    assert numbers_of(frames) == list(range(20)) and source.missing_frames == 0


ticks = st.lists(st.integers(1, 400), min_size=1, max_size=40)
rates = st.builds(Fraction, st.integers(1, 120), st.sampled_from([1, 1001])).map(
    lambda r: r * 1000 if r.denominator == 1001 else r
)


class TestAtFrameRate:
    @staticmethod
    def timed(pts, time_base=Fraction(1, 1000)):
        """Frames that carry their index instead of a picture."""
        return [Frame(np.array([k]), p, time_base) for k, p in enumerate(pts)]

    @settings(deadline=None)
    @given(ticks, rates, st.integers(-5000, 5000))
    def test_even_and_as_long_as_before(self, steps, rate, start):
        pts = [start + sum(steps[:k]) for k in range(len(steps))]
        duration = Fraction(sum(steps), 1000)
        out = list(at_frame_rate(self.timed(pts), rate, duration=duration))
        assert {f.time_base for f in out} == {1 / rate}
        assert [f.pts for f in out] == list(range(out[0].pts, out[0].pts + len(out)))
        # Each end is moved by half a tick at most; a clip is never less than one frame.
        first, end = Fraction(pts[0], 1000), Fraction(pts[0], 1000) + duration
        half = 1 / (2 * rate)
        assert abs(out[0].pts / rate - first) <= half
        assert abs((out[-1].pts + 1) / rate - end) <= half or len(out) == 1
        # Every tick shows the frame whose time, rounded to ticks, came last.
        for f in out:
            assert f.image[0] == max(
                k for k, p in enumerate(pts) if p * rate / 1000 < f.pts + Fraction(1, 2)
            )

    def test_the_same_rate_changes_nothing(self):
        frames = self.timed(range(20), Fraction(1001, 30000))
        out = list(at_frame_rate(frames, Fraction(30000, 1001)))
        assert [f.image[0] for f in out] == list(range(20))
        assert [f.pts * f.time_base for f in out] == [f.pts * f.time_base for f in frames]

    @pytest.mark.parametrize(
        ("rate", "expected"),
        [(50, [0, 0, 1, 1, 2, 2, 3, 3]), (Fraction(25, 2), [0, 2]), (1, [3])],
    )
    def test_repeats_and_drops(self, rate, expected):
        out = list(at_frame_rate(self.timed([0, 40, 80, 120]), rate))
        assert [f.image[0] for f in out] == expected

    def test_half_the_rate_is_every_second_frame(self):
        out = list(at_frame_rate(self.timed(range(40), Fraction(1, 60)), 30))
        assert [int(f.image[0]) for f in out] == list(range(0, 40, 2))

    def test_the_last_frame_lasts_until_the_end_of_the_stream(self):
        out = list(at_frame_rate(self.timed([0, 500]), 4, duration=Fraction(3)))
        assert [f.image[0] for f in out] == [0, 0] + [1] * 10

    def test_nothing_in_nothing_out(self):
        assert list(at_frame_rate([], 25)) == []

    def test_frames_come_as_soon_as_they_can(self):
        """It holds one frame, not the film."""
        taken = []
        source = (taken.append(f.pts) or f for f in self.timed(range(0, 4000, 40)))
        out = at_frame_rate(source, 25)
        next(out)
        assert len(taken) == 2

    def test_of_a_real_file(self, tmp_path):
        path = make_clip(
            tmp_path / "vfr.mp4", pts=TestTime.PTS, frames=12, time_base=Fraction(1, 1000)
        )
        with VideoReader(path) as source:
            info = info_at_frame_rate(source.info, 30)
            out = list(at_frame_rate(source, 30, duration=source.info.duration))
        assert info.frame_rate == 30 and info.time_base == Fraction(1, 30)
        assert len(out) == info.frame_count == round(source.info.duration * 30)

    def test_info_of_an_unknown_length(self):
        info = StreamInfo(height=48, width=64, time_base=Fraction(1, 1000))
        assert info_at_frame_rate(info, 24).frame_count is None
