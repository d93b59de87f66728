"""Small clips, made with real codecs, ways to damage them, and reading them back.

Every frame shows its number as eight black or white squares, so that a test can tell which frame
it has after any codec, rotation or resize.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from impasto.realtime.cpu import same_scheduling
from impasto.realtime.files.codecs import CODECS, CONTAINERS, EncoderOptions
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.files.video_writer import VideoWriter
from impasto.realtime.frame import ColorTags, Frame, StreamInfo
from impasto.realtime.pixels import to_video_frame

SIZE = (48, 64)  # (height, width)
RATE = Fraction(25)
B_FRAMES = {"options": {"preset": "veryfast", "bf": "3", "refs": "4"}}  # for `make_clip`
UNEVEN_MS = [0, 40, 100, 130, 300, 301, 302, 500, 600, 700, 800, 1500]  # timestamps of 12 frames
SOFTWARE_CODECS = [
    (ext, codec)
    for ext, container in CONTAINERS.items()
    for codec in container.codecs
    if not CODECS[codec].hardware
]
_CODECS = {".webm": "libvpx-vp9", ".avi": "mpeg4", ".gif": "gif", ".ts": "mpeg2video"}
_SUBTITLES = {".mkv": "subrip", ".mp4": "mov_text", ".mov": "mov_text", ".webm": "webvtt"}
_ASS_HEADER = (
    b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\n"
    b"Format: Name, Fontname, Fontsize\r\nStyle: Default,Arial,16\r\n\r\n[Events]\r\n"
    b"Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"
)


def numbered_picture(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W, 3) uint8: smooth color, with `number` (0 to 255) in squares along the top."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = 60 + 120 * x // width
    image[..., 1] = 60 + 120 * y // height
    image[..., 2] = 60 + (5 * number + 60 * x // width) % 120
    image[: height // 4] = 255 * ((number >> (7 - 8 * x[: height // 4] // width)) & 1)[..., None]
    return image


def number_of(image: np.ndarray) -> int:
    """The number that an image shows; see `numbered_picture`."""
    height, width = image.shape[:2]
    row = image[height // 8].mean(axis=-1)
    return sum(int(row[(2 * k + 1) * width // 16] > 127) << (7 - k) for k in range(8))


def numbers_of(frames: Any) -> list[int]:
    """The numbers of all frames of a source, in order."""
    return [number_of(frame.image) for frame in frames]


@same_scheduling()  # which SVT-AV1 changes
def make_clip(
    path: Path,
    *,
    frames: int = 12,
    size: tuple[int, int] = SIZE,
    rate: Fraction | int = 25,
    codec: str | None = None,
    pix_fmt: str = "yuv420p",
    picture: Callable[[int, tuple[int, int]], np.ndarray] = numbered_picture,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    audio: Sequence[str] = (),
    audio_codec: str = "aac",
    audio_seconds: float | None = None,
    subtitles: Sequence[str] = (),
    chapters: Sequence[str] = (),
    metadata: dict[str, str] | None = None,
    rotation: int = 0,
    hflip: bool = False,
    sar: Fraction | None = None,
    color: ColorTags | None = None,
    interlaced: bool = False,
    cover: bool = False,
    gop: int = 6,
    faststart: bool = False,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write a clip; the extension chooses the container. Returns `path`.

    codec: by extension: H.264, VP9, MPEG-4, MPEG-2, GIF. picture: frame number, (H, W) -> RGB.
    pts: of each frame, in `time_base` (default: 1/rate), for a variable frame rate.
    audio, subtitles: one stream for each language tag given ("eng", "deu"). chapters: titles, in
    equal parts. rotation: degrees counter-clockwise in the display matrix, then hflip.
    color: tags to store; an untagged clip is converted as `to_video_frame` does by default.
    faststart: the moov atom first, so that a truncated file still opens.
    """
    tags = color or ColorTags()
    codec = codec or _CODECS.get(path.suffix, "libx264")
    flags = {"movflags": "faststart"} if faststart else {}
    out: Any  # PyAV's types do not tell which kind of stream a codec's name gives
    with av.open(str(path), "w", options={**flags, **(container_options or {})}) as out:
        out.metadata.update(metadata or {})
        video = out.add_stream(codec, rate=rate, options=_encoder_options(codec, interlaced))
        video.options.update(options or {})
        video.height, video.width = size
        video.pix_fmt = pix_fmt
        video.codec_context.gop_size = gop
        if time_base:
            video.codec_context.time_base = time_base
        if sar:
            video.codec_context.sample_aspect_ratio = sar
        if rotation or hflip:
            video.set_display_rotation(rotation, hflip=hflip)
        if color:
            context = video.codec_context
            context.color_primaries, context.color_trc = tags.primaries, tags.transfer
            context.colorspace, context.color_range = tags.matrix, 2 if tags.full_range else 1
        seconds = audio_seconds or float(frames / Fraction(rate))
        sounds = [_add_audio(out, audio_codec, language) for language in audio]
        texts = [_add_subtitle(out, path.suffix, language) for language in subtitles]
        picture_stream = _add_cover(out) if cover else None
        if chapters:
            out.set_chapters(_chapters(chapters, seconds))
        if picture_stream:
            out.mux(picture_stream.encode(to_video_frame(picture(255, (16, 16)), "yuvj420p")))
        for stream, language in zip(texts, subtitles, strict=True):
            out.mux(_subtitle_packet(stream, f"text in {language}"))
        for stream in sounds:
            _encode_sine(out, stream, seconds)
        for index in range(frames):
            frame = to_video_frame(picture(index, size), pix_fmt, tags)
            frame.pts = pts[index] if pts else index
            frame.time_base = time_base or 1 / Fraction(rate)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


# --- Reading and writing them with the product, and with PyAV alone -----------------------------


def read_video(path: Path | str, **options: Any) -> tuple[list[Frame], VideoReader]:
    """All frames of a `VideoReader`, and the reader, at its end."""
    with VideoReader(path, **options) as source:
        return list(source), source


def stored_pts(path: Path) -> list[int]:
    """Every pts of the video stream of a file, sorted, from its packets: nothing is decoded."""
    with av.open(str(path)) as container:
        return sorted(p.pts for p in container.demux(video=0) if p.pts is not None)


def frame_count(path: Path) -> int:
    """How many frames the video stream of a file has, by decoding them."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def info_of(
    size: tuple[int, int] = SIZE, time_base: Fraction = 1 / RATE, **more: Any
) -> StreamInfo:
    """The info of the stream that `frames_of` makes."""
    return StreamInfo(*size, time_base=time_base, **{"frame_rate": RATE, **more})


def frames_of(
    count: int = 8,
    size: tuple[int, int] = SIZE,
    time_base: Fraction = 1 / RATE,
    pts: list[int] | None = None,
) -> Iterator[Frame]:
    """Numbered frames; pts: their timestamps, else 0, 1, 2 ..."""
    for index in range(count):
        yield Frame(numbered_picture(index, size), pts[index] if pts else index, time_base)


def write_video(
    path: Path,
    frames: Iterable[Frame],
    info: StreamInfo,
    *,
    overwrite: bool = False,
    **options: Any,
) -> VideoWriter:
    """Write frames with a `VideoWriter`; options: of `EncoderOptions`. Returns it, closed."""
    encoder = EncoderOptions(**options)
    with VideoWriter(path, info, encoder=encoder, overwrite=overwrite) as sink:
        for frame in frames:
            sink.write(frame)
    return sink


def decoded(path: Path) -> tuple[list[np.ndarray], list[Fraction], Fraction]:
    """Pictures, their times, and the duration, in seconds, by PyAV alone; WebP's by Pillow."""
    if path.suffix == ".webp":
        return _decoded_webp(path)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        frames = list(container.decode(stream))
        times = [(frame.pts or 0) * stream.time_base for frame in frames]
        duration = Fraction(container.duration or 0, av.time_base)
        if path.suffix == ".apng":  # it has the delay of each frame only
            duration = times[-1] + frames[-1].duration * stream.time_base
    return [frame.to_ndarray(format="rgb24") for frame in frames], times, duration


def _decoded_webp(path: Path) -> tuple[list[np.ndarray], list[Fraction], Fraction]:
    pictures, times, time = [], [], Fraction(0)
    with Image.open(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            pictures.append(np.array(image.convert("RGB")))
            times.append(time)
            time += Fraction(image.info["duration"], 1000)
    return pictures, times, time


def open_files(path: Path) -> list[str]:
    """Files at `path`, or in this folder, that this process has open; skips where unknown."""
    if not sys.platform.startswith("linux"):
        pytest.skip("open files are listed in /proc, on Linux")
    links = [os.path.join("/proc/self/fd", n) for n in os.listdir("/proc/self/fd")]
    targets = [os.readlink(link) for link in links if os.path.islink(link)]
    real = os.path.realpath(path)
    return [target for target in targets if target == real or target.startswith(real + os.sep)]


# --- Broken ones --------------------------------------------------------------------------------


def make_audio_only(path: Path, *, seconds: float = 0.5) -> Path:
    """A file with audio and no video."""
    with av.open(str(path), "w") as out:
        _encode_sine(out, _add_audio(out, "aac", "eng"), seconds)
    return path


def make_two_videos(
    path: Path, *, codecs: tuple[str, str] = ("libx264", "mpeg4"), frames: int = 5
) -> Path:
    """A file with two video streams of numbered pictures: 64x48, and 128x96."""
    with av.open(str(path), "w") as out:
        streams: list[Any] = [out.add_stream(codec, rate=25) for codec in codecs]
        for scale, stream in enumerate(streams, start=1):
            stream.height, stream.width = scale * SIZE[0], scale * SIZE[1]
            stream.pix_fmt = "yuv420p"
        for index in range(frames):
            for stream in streams:
                picture = numbered_picture(index, (stream.height, stream.width))
                frame = to_video_frame(picture, "yuv420p")
                frame.pts, frame.time_base = index, 1 / RATE
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    return path


def with_unknown_codec(path: Path, tag: bytes) -> Path:
    """Replace a codec's tag in a file by one that nobody has, in place."""
    data = path.read_bytes()
    assert tag in data
    path.write_bytes(data.replace(tag, tag[:-2] + b"!!"))
    return path


def truncated(path: Path, fraction: float = 0.5) -> Path:
    """Cut a file short, in place."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    return path


def without_moov(path: Path) -> Path:
    """Cut the index off an MP4 that has it at its end, like an interrupted recording."""
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"moov") - 4])
    return path


def corrupted_middle(path: Path, *, packets: slice = slice(4, 5)) -> Path:
    """Overwrite some video packets with noise, in place; the container stays intact."""
    with av.open(str(path)) as container:
        packets_at = [
            (p.pos, p.size) for p in container.demux(video=0) if p.size and p.pos is not None
        ]
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(0)
    for position, size in packets_at[packets]:
        data[position : position + size] = noise.bytes(size)
    path.write_bytes(data)
    return path


def with_dimensions(path: Path, height: int, width: int) -> Path:
    """Write other dimensions into the header of an AVI, in place."""
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 12  # after the chunk's name and length, and the header's length
    data[at : at + 8] = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    path.write_bytes(data)
    return path


def text_file(path: Path) -> Path:
    """Text, under any file name."""
    path.write_text("This is a letter, not a video.\n" * 50)
    return path


def _encoder_options(codec: str, interlaced: bool) -> dict[str, str]:
    if codec == "libx264":
        return {"preset": "ultrafast", "crf": "12"} | (
            {"x264-params": "tff=1"} if interlaced else {}
        )
    if codec == "libx265":
        return {"preset": "ultrafast", "crf": "12", "x265-params": "log-level=none"}
    if codec == "libvpx-vp9":
        return {"deadline": "realtime", "cpu-used": "8", "crf": "12", "b": "0"}
    if codec == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "0")  # read once in a process
        return {"preset": "12", "crf": "20"}
    if codec in ("mpeg4", "mpeg2video", "mjpeg"):
        return {"qmin": "2", "qmax": "2"} | ({"flags": "+ildct+ilme"} if interlaced else {})
    return {}


def _add_audio(out: Any, codec: str, language: str) -> Any:
    stream = out.add_stream(codec, rate=48000, layout="mono")
    stream.metadata["language"] = language
    return stream


def _encode_sine(out: Any, stream: Any, seconds: float) -> None:
    """A tone of 440 Hz, in frames of 1024 samples."""
    total = round(48000 * seconds)
    for start in range(0, total, 1024):
        at = np.arange(start, min(start + 1024, total))
        samples = (0.3 * np.sin(2 * np.pi * 440 / 48000 * at)).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def _add_subtitle(out: Any, extension: str, language: str) -> Any:
    stream = out.add_stream(_SUBTITLES[extension])
    stream.codec_context.subtitle_header = _ASS_HEADER
    stream.codec_context.time_base = Fraction(1, 1000)
    stream.metadata["language"] = language
    return stream


def _subtitle_packet(stream: Any, text: str) -> av.Packet:
    from av.subtitles.subtitle import SubtitleSet

    line = f"0,0,Default,,0,0,0,,{text}".encode()
    packet = stream.codec_context.encode_subtitle(SubtitleSet.create(line, start=0, end=300))
    packet.stream, packet.time_base = stream, Fraction(1, 1000)
    packet.pts, packet.dts, packet.duration = 0, 0, 300
    return packet


def _add_cover(out: Any) -> Any:
    stream = out.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 16, 16, "yuvj420p"
    stream.disposition = av.stream.Disposition.attached_pic
    return stream


def _chapters(titles: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    edges = [round(1000 * seconds * k / len(titles)) for k in range(len(titles) + 1)]
    return [
        {
            "id": k + 1,
            "start": edges[k],
            "end": edges[k + 1],
            "time_base": Fraction(1, 1000),
            "metadata": {"title": title},
        }
        for k, title in enumerate(titles)
    ]
