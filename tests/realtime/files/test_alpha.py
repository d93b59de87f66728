"""Transparency of films: kept where the new format has it, and opaque films do not claim it."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from impasto.models.errors import SinkError
from impasto.realtime.files.codecs import EncoderOptions
from impasto.realtime.files.convert import stylize_video
from tests.media import SIZE, decoded, frames_of, info_of, make_clip, read_video, write_video
from tests.realtime.files.conversion import identity

COLOR = (200, 60, 40)
SOURCES = {
    "in.mov": ("qtrle", "argb", {}),
    "prores.mov": ("prores_ks", "yuva444p10le", {"profile": "4444"}),
    "vp9.webm": ("libvpx-vp9", "yuva420p", {"auto-alt-ref": "0", "cpu-used": "8"}),
    "vp8.webm": ("libvpx", "yuva420p", {"auto-alt-ref": "0"}),
    "in.apng": ("apng", "rgba", {}),
    "in.webp": ("libwebp_anim", "bgra", {"quality": "95"}),
    "in.gif": ("gif", "pal8", {}),
}
TARGETS = {
    "out.mov": {"codec": "prores", "alpha": True},
    "out.mkv": {"codec": "prores", "alpha": True},
    "out.webm": {"alpha": True},
    "out.webp": {},
    "out.apng": {},
    "out.gif": {},
}


def rgba(number: int) -> np.ndarray:
    """Opaque at the left, transparent right of an edge that moves, half so in a corner."""
    image = np.zeros((*SIZE, 4), np.uint8)
    image[..., :3] = COLOR
    image[:, : 16 + 4 * number, 3] = 255
    image[:16, 48:, 3] = 128
    return image


def transparent_clip(path: Path, codec: str, pixel_format: str, options: dict[str, str]) -> Path:
    out: Any
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = SIZE
        stream.pix_fmt = pixel_format
        for number in range(5):
            image = rgba(number)
            if pixel_format == "pal8":
                image[..., 3] = np.where(image[..., 3] < 128, 0, 255)
                frame = paletted(image)
            else:
                frame = av.VideoFrame.from_ndarray(image, format="rgba")
                frame = frame.reformat(format=pixel_format)
            frame.pts, frame.time_base = 4 * number, Fraction(1, 100)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def paletted(image: np.ndarray) -> av.VideoFrame:
    """Two colors: entry 0 is transparent, entry 1 is `COLOR`."""
    frame = av.VideoFrame(SIZE[1], SIZE[0], "pal8")
    indices = (image[..., 3] > 0).astype(np.uint8)
    rows = np.zeros((SIZE[0], frame.planes[0].line_size), np.uint8)
    rows[:, : SIZE[1]] = indices
    frame.planes[0].update(rows.tobytes())
    palette = np.zeros((256, 4), np.uint8)
    palette[1] = (*COLOR[::-1], 255)
    frame.planes[1].update(palette.tobytes().ljust(frame.planes[1].buffer_size, b"\0"))
    return frame


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
def test_it_is_kept(source, target, tmp_path):
    clip = transparent_clip(tmp_path / source, *SOURCES[source])
    encoder = EncoderOptions(**TARGETS[target])
    report = stylize_video(clip, tmp_path / target, identity, encoder=encoder)
    assert report.frames == 5 and not any("transparency" in note for note in report.notes)
    frames, reader = read_video(tmp_path / target, keep_alpha=True)
    assert len(frames) == 5 and reader.info.has_alpha
    half = 255 if ".gif" in source or ".gif" in target else 128
    for number in (0, 3, 4):
        alpha, right = frames[number].alpha, rgba(number)[..., 3].astype(int)
        right[right == 128] = half
        # Away from the edges, which lossy codecs blur.
        for y, x in ((40, 4), (40, 12 + 4 * number), (40, 20 + 4 * number), (8, 56), (40, 60)):
            assert abs(int(alpha[y, x]) - right[y, x]) <= 3, (number, y, x)
        assert np.abs(frames[number].image[40, 4].astype(int) - COLOR).max() <= 6
        assert (frames[number].image[alpha == 0] == 0).all()


@pytest.mark.parametrize("source", ["in.mov", "vp9.webm", "vp8.webm"])
@pytest.mark.parametrize("target", ["out.mp4", "out.mkv", "out.webm", "out.mov"])
def test_an_opaque_film_does_not_claim_it(source, target, tmp_path):
    clip = transparent_clip(tmp_path / source, *SOURCES[source])
    report = stylize_video(clip, tmp_path / target, identity)
    assert [("transparency" in note) for note in report.notes] == [True]
    with av.open(str(tmp_path / target)) as container:
        tags = {**container.metadata, **container.streams.video[0].metadata}
    assert "alpha_mode" not in {name.lower() for name in tags}
    assert b"\x53\xc0" not in (tmp_path / target).read_bytes()[:1000]  # AlphaMode in Matroska


def test_a_transparent_gif_has_one_transparent_entry(tmp_path):
    clip = transparent_clip(tmp_path / "in.gif", *SOURCES["in.gif"])
    stylize_video(clip, tmp_path / "out.gif", identity)
    with Image.open(tmp_path / "out.gif") as image:
        assert image.n_frames == 5
        for number in range(5):
            image.seek(number)
            alpha = np.array(image.convert("RGBA"))[..., 3]
            assert set(np.unique(alpha)) == {0, 255}
            assert (alpha[40] > 0).sum() == 16 + 4 * number


@pytest.mark.parametrize("disposal", [1, 2, 3])
def test_every_disposal_of_a_gif(disposal, tmp_path):
    """What a browser shows of a GIF whose frames cover a part, with delays of their own."""
    delays = [100, 30, 250, 70]
    images = [Image.fromarray(rgba(2 * number)) for number in range(4)]
    clip = tmp_path / "in.gif"
    images[0].save(
        clip, save_all=True, append_images=images[1:], duration=delays, disposal=disposal, loop=2
    )
    shown = []
    with Image.open(clip) as image:
        for number in range(4):
            image.seek(number)
            shown.append(np.array(image.convert("RGBA"))[..., 3])
    stylize_video(clip, tmp_path / "out.gif", identity)
    frames, reader = read_video(tmp_path / "out.gif", keep_alpha=True)
    assert reader.info.plays == 3
    starts = [sum(delays[:n]) for n in range(4)]
    assert [1000 * frame.pts * frame.time_base for frame in frames] == starts
    for frame, alpha in zip(frames, shown, strict=True):
        assert frame.alpha is not None and (frame.alpha == alpha).all()


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_a_codec_without_it_is_refused_before_the_first_frame(codec, tmp_path):
    clip = make_clip(tmp_path / "in.mp4")
    with pytest.raises(SinkError, match="transparency.*choose from vp9, prores, gif"):
        stylize_video(
            clip, tmp_path / "out.mp4", identity, encoder=EncoderOptions(codec=codec, alpha=True)
        )
    assert list(tmp_path.iterdir()) == [clip]


@pytest.mark.parametrize("target", TARGETS)
def test_an_opaque_source_stays_opaque(target, tmp_path):
    clip = make_clip(tmp_path / "in.mp4", frames=4)
    stylize_video(clip, tmp_path / target, identity, encoder=EncoderOptions(**TARGETS[target]))
    frames, reader = read_video(tmp_path / target, keep_alpha=True)
    assert all(frame.alpha is None or (frame.alpha == 255).all() for frame in frames)
    if target in ("out.mov", "out.mkv", "out.webm"):
        assert not reader.info.has_alpha


@pytest.mark.parametrize("extension", [".webp", ".apng"])
class TestAnimations:
    def test_times_and_loops(self, extension, tmp_path):
        path, unit = tmp_path / f"out{extension}", Fraction(1, 1000)
        pts = [0, 33, 67, 100, 600, 650]
        info = info_of(time_base=unit, duration=Fraction(700, 1000), plays=3)
        sink = write_video(path, frames_of(6, pts=pts, time_base=unit), info)
        _, times, duration = decoded(path)
        assert times == [p * unit for p in pts] and duration == Fraction(7, 10)
        assert sink.notes == []
        with Image.open(path) as image:
            assert image.info["loop"] == 3
        _, reader = read_video(path)
        assert reader.info.plays == 3

    def test_loops_become_those_of_a_gif(self, extension, tmp_path):
        """A GIF counts repetitions, the others showings."""
        clip = tmp_path / f"in{extension}"
        write_video(clip, frames_of(3), info_of(plays=3))
        stylize_video(clip, tmp_path / "out.gif", identity)
        block = (tmp_path / "out.gif").read_bytes().partition(b"NETSCAPE2.0\x03\x01")[2]
        assert int.from_bytes(block[:2], "little") == 2

    def test_no_frame_is_as_short_as_browsers_refuse(self, extension, tmp_path):
        path = tmp_path / f"out{extension}"
        info = info_of(time_base=Fraction(1, 240), frame_rate=240, duration=Fraction(1, 2))
        sink = write_video(path, frames_of(120, time_base=Fraction(1, 240)), info)
        pictures, times, duration = decoded(path)
        gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
        assert min(gaps) >= Fraction(11, 1000) and abs(duration - Fraction(1, 2)) <= Fraction(1, 90)
        assert len(pictures) == 120 - sink.frames_left_out and "left out" in sink.notes[0]

    def test_sound_is_left_out_with_a_note(self, extension, tmp_path):
        clip = make_clip(tmp_path / "in.mp4", frames=3, audio=("eng",))
        report = stylize_video(clip, tmp_path / f"out{extension}", identity)
        assert any("audio" in note and "left out" in note for note in report.notes)
