"""Video files: every frame once, in order, with its time and colors; files are closed."""

import re
import weakref
from fractions import Fraction

import av
import numpy as np
import pytest

from impasto.models.errors import EngineError, SourceError
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import ColorTags
from tests.media import (
    B_FRAMES,
    SIZE,
    UNEVEN_MS,
    make_clip,
    number_of,
    numbers_of,
    open_files,
    read_video,
    stored_pts,
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
    "gray.mp4": {"codec": "libx265", "pix_fmt": "gray"},
    "alpha.mov": {"codec": "qtrle", "pix_fmt": "argb"},
    "odd.mkv": {"size": (49, 67), "pix_fmt": "yuv444p"},
    "odd.mp4": {"size": (49, 67), "codec": "mpeg4"},
}


@pytest.mark.parametrize("name", CONTAINERS)
class TestEveryContainer:
    @pytest.fixture
    def path(self, tmp_path, name):
        return make_clip(tmp_path / name, frames=14, **CONTAINERS[name])

    def test_every_frame_once_in_order_at_its_own_time(self, path):
        frames, source = read_video(path)
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
    def test_a_range_equals_that_part_of_the_whole(self, path, start, end):
        whole, source = read_video(path)
        part, cut = read_video(path, start=start, end=end)
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
    @pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv", "vfr.webm"])
    @pytest.mark.parametrize("options", [{}, {"audio": ("eng",)}])
    def test_variable_frame_rate_is_exact(self, tmp_path, name, options):
        options = options | ({"audio_codec": "libopus"} if name.endswith("webm") else {})
        path = make_clip(tmp_path / name, pts=UNEVEN_MS, time_base=Fraction(1, 1000), **options)
        frames, source = read_video(path)
        assert [1000 * f.pts * f.time_base for f in frames] == UNEVEN_MS
        assert numbers_of(frames) == list(range(12)) and source.missing_frames == 0

    def test_ntsc_rate_is_exact(self, tmp_path):
        rate = Fraction(30000, 1001)
        frames, source = read_video(make_clip(tmp_path / "ntsc.mp4", rate=rate))
        assert source.info.frame_rate == rate
        assert [f.pts * f.time_base for f in frames] == [n / rate for n in range(12)]

    @pytest.mark.parametrize(("start", "end"), [(-1, None), (2, 1), (1, 1), (0, 0)])
    def test_an_empty_range_is_refused(self, tmp_path, start, end):
        with pytest.raises(SourceError, match="0 <= start < end"):
            VideoReader(make_clip(tmp_path / "a.mp4"), start=start, end=end)

    def test_starting_after_the_end_says_how_long_it_is(self, tmp_path):
        with pytest.raises(SourceError, match=r"cannot start at 7 s: .* is 0.48 s long"):
            VideoReader(make_clip(tmp_path / "a.mp4"), start=7)

    def test_half_open_to_the_tick(self, tmp_path):
        frames, _ = read_video(make_clip(tmp_path / "a.mp4"), start=0.12, end=0.2)
        assert numbers_of(frames) == [3, 4]  # 0.12 and 0.16; 0.20 not


def test_a_cover_picture_is_not_the_video(tmp_path):
    frames, _ = read_video(make_clip(tmp_path / "cover.mp4", cover=True))
    assert numbers_of(frames) == list(range(12))


class TestColorTags:
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
        frames, source = read_video(path, keep_hdr=True)  # and wide gamuts
        # Two roundings of Y, Cb, Cr and H.264 at a high quality; another matrix is 12 off.
        assert np.abs(frames[0].image.astype(int) - color).max() <= 4
        assert source.info.color == tags
        assert source.info.bit_depth == (10 if "10" in pix_fmt else 8)

    @pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
    @pytest.mark.parametrize(
        ("codec", "ext"), [("libx265", ".mp4"), ("libx265", ".ts"), ("libsvtav1", ".mkv")]
    )
    def test_hdr_becomes_sdr(self, tmp_path, transfer, name, codec, ext):
        # 12 frames: with fewer than it reorders, FFmpeg's x265 may give packets that MP4 refuses.
        # 0.75 and 0.58 of the signal are reference white: BT.2408.
        level = 255 * {16: 0.58, 18: 0.75}[transfer]
        path = make_clip(
            tmp_path / f"hdr{ext}",
            codec=codec,
            pix_fmt="yuv420p10le",
            size=(64, 96),
            color=ColorTags(9, transfer, 9),
            picture=lambda number, size: np.full((*size, 3), round(level), np.uint8),
        )
        frames, source = read_video(path)
        (note,) = source.notes
        assert name in note and "tone-mapped to SDR" in note
        assert source.info.color == ColorTags(1, 1, 1) and source.info.hdr is None
        assert all(frame.image.min() >= 0.9 * 255 - 1 for frame in frames) and len(frames) == 12
        kept, source = read_video(path, keep_hdr=True)
        assert any(name in note and "kept" in note for note in source.notes)
        assert source.info.color == ColorTags(9, transfer, 9) and source.info.bit_depth == 10
        assert np.abs(kept[0].image.astype(float) - level).max() <= 3

    def test_a_wide_gamut_is_converted(self, tmp_path):
        color = ColorTags(12, 1, 1)
        red = np.full((*SIZE, 3), (200, 40, 30), np.uint8)
        path = make_clip(tmp_path / "p3.mp4", frames=2, color=color, picture=lambda *_: red)
        frames, source = read_video(path)
        assert any("Display P3" in note and "BT.709" in note for note in source.notes)
        assert source.info.color == ColorTags(1, 1, 1)
        assert frames[0].image[8, 8, 0] > 210  # red of P3 is further out than that of BT.709
        _, kept = read_video(path, keep_hdr=True)
        assert kept.info.color == color and kept.notes == []

    def test_dolby_vision_without_a_base_layer_is_refused(self, tmp_path):
        path = make_clip(tmp_path / "dv.mp4", codec="libx265", pix_fmt="yuv420p10le")
        data = path.read_bytes()
        assert data.count(b"hev1") == 1
        path.write_bytes(data.replace(b"hev1", b"dvh1"))
        with pytest.raises(SourceError, match="Dolby Vision of profile 5"):
            VideoReader(path)

    def test_transparency_is_composited_over_black(self, tmp_path):
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
        frames, source = read_video(path)
        assert (frames[0].image[:, :32] == 0).all()
        assert (frames[0].image[:, 32:] == (200, 100, 50)).all()
        assert any("transparency" in note for note in source.notes)


def with_box(data: bytes, path: list[bytes], box: bytes) -> bytes:
    """An MP4, whose moov comes last, with a box added at the end of the box at this path."""
    start, sizes = 0, []
    for name in path:
        at = data.index(name, start) - 4
        sizes.append(at)
        start = at + 8
    end = sizes[-1] + int.from_bytes(data[sizes[-1] : sizes[-1] + 4], "big")
    edited = bytearray(data[:end] + box + data[end:])
    for at in sizes:
        size = int.from_bytes(data[at : at + 4], "big") + len(box)
        edited[at : at + 4] = size.to_bytes(4, "big")
    return bytes(edited)


def box(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


class TestWhatCannotBeWritten:
    def test_the_projection_of_360_degree_video_is_noted(self, tmp_path):
        """The boxes of Google's Spherical Video V2: an equirectangular projection."""
        path = make_clip(tmp_path / "in.mp4")
        projection = box(b"prhd", bytes(16)) + box(b"equi", bytes(20))
        spherical = box(b"sv3d", box(b"svhd", bytes(4) + b"\0") + box(b"proj", projection))
        tree = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"]
        path.write_bytes(with_box(path.read_bytes(), tree, spherical))
        frames, source = read_video(path)
        assert numbers_of(frames) == list(range(12))
        assert ["360° video" in note for note in source.notes] == [True]

    def test_dynamic_metadata_of_hdr_is_noted(self, tmp_path):
        """HDR10+ (SMPTE ST 2094-40) in an SEI message before each frame of HEVC."""
        options = {"preset": "ultrafast", "x265-params": "log-level=none:slices=1:bframes=0"}
        path = make_clip(
            tmp_path / "in.hevc",
            codec="libx265",
            pix_fmt="yuv420p10le",
            color=ColorTags(9, 16, 9),
            options=options,
        )
        # One window, no curve, and ones for all numbers, so that no start code arises.
        bits = "01" + "1" * 27 + "0" + "1" * (3 * 17 + 17) + "0000" + "1" * 10 + "000"
        body = int(bits.ljust(120, "1"), 2).to_bytes(15, "big")
        message = b"\xb5\x00\x3c\x00\x01\x04\x01" + body
        unit = b"\0\0\0\1\x4e\x01\x04" + bytes([len(message)]) + message + b"\x80"
        stream = b""
        for part in re.split(b"\0\0\0\1|\0\0\1", path.read_bytes())[1:]:
            is_slice = part[0] >> 1 & 63 < 32
            stream += unit * is_slice + b"\0\0\0\1" + part
        path.write_bytes(stream)
        _, source = read_video(path, keep_hdr=True)
        assert ["dynamic HDR metadata" in note for note in source.notes].count(True) == 1
        _, source = read_video(path)
        assert not any("dynamic" in note for note in source.notes)

    def test_the_layout_of_stereoscopic_video_is_noted(self, tmp_path):
        options = {"x264-params": "frame-packing=3"}  # side by side
        _, source = read_video(make_clip(tmp_path / "in.mp4", options=options))
        assert ["stereoscopic 3D" in note for note in source.notes] == [True]


class TestHandles:
    @pytest.fixture
    def path(self, tmp_path):
        return make_clip(tmp_path / "a.mp4")

    def test_closed_on_leaving(self, path):
        with VideoReader(path) as source:
            next(iter(source))
            assert open_files(path)
        assert not open_files(path)
        source.close()

    def test_closed_at_the_end(self, path):
        source = VideoReader(path)
        list(source)
        assert not open_files(path)

    def test_closed_when_abandoned(self, path):
        for _ in VideoReader(path):
            break
        assert not open_files(path)

    def test_closed_by_an_error(self, path):
        with pytest.raises(ZeroDivisionError), VideoReader(path) as source:
            for _ in source:
                raise ZeroDivisionError
        assert not open_files(path)

    def test_frames_are_released(self, path):
        """Memory stays flat: frames the caller has dropped are freed."""
        pictures = []
        for frame in VideoReader(path):
            pictures.append(weakref.ref(frame.image))
            assert sum(picture() is not None for picture in pictures) <= 2
            del frame
        assert len(pictures) == 12

    def test_iteration_can_be_resumed(self, path):
        with VideoReader(path) as source:
            first = next(iter(source))
            assert [number_of(first.image), *numbers_of(source)] == list(range(12))

    def test_closing_ends_the_iteration(self, path):
        source = VideoReader(path)
        frames = iter(source)
        next(frames)
        source.close()
        assert list(frames) == []

    def test_it_can_be_read_once(self, path):
        with VideoReader(path) as source:
            assert len(list(source)) == 12 and list(source) == []


@pytest.mark.gpu
def test_nvdec_decodes_the_same_frames(tmp_path):
    path = make_clip(tmp_path / "a.mp4", size=(256, 256), frames=20, **B_FRAMES)
    try:
        frames, source = read_video(path, hwaccel="cuda")
    except EngineError as error:
        pytest.skip(str(error))
    expected, _ = read_video(path)
    assert [f.pts for f in frames] == [f.pts for f in expected]
    assert numbers_of(frames) == list(range(20)) and source.missing_frames == 0
