"""What the tests of sound share: short films with any sound, and hearing what came out."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from impasto.realtime.pixels import to_video_frame
from tests.media import SIZE, numbered_picture

_PICTURE = {
    ".webm": "libvpx-vp9",
    ".vob": "mpeg2video",
    ".m2ts": "mpeg2video",
    ".flv": "flv1",
    ".wmv": "wmv2",
}
_EXPERIMENTAL = ("vorbis",)
_BIT_RATES = {"wmav1": 128_000, "wmav2": 128_000, "g723_1": 6_300}


class Sound(NamedTuple):
    """A sound to encode: a tone in every channel, or a short beep in silence."""

    codec: str = "aac"
    layout: str = "mono"
    rate: int = 48000
    start: float = 0.0  # seconds
    seconds: float = 1.0
    tone: float = 440.0  # Hz
    beep: float | None = None  # seconds from the start, at which a tenth of a second is heard
    pause: tuple[float, float] | None = None  # from, to: seconds that are not stored at all


def samples_of(sound: Sound) -> np.ndarray:
    """(1, N) float32, in -0.3 to 0.3."""
    at = np.arange(round(sound.seconds * sound.rate)) / sound.rate
    wave = 0.3 * np.sin(2 * np.pi * sound.tone * at)
    if sound.beep is not None:
        wave *= (at >= sound.beep) & (at < sound.beep + 0.1)
    return wave.astype(np.float32)[None]


def make_film(
    path: Path,
    *sounds: Sound,
    frames: int = 25,
    rate: int = 25,
    size: tuple[int, int] = SIZE,
    picture_start: float = 0.0,
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a film of numbered pictures and these sounds; the extension chooses the container.

    frames: 0 for no picture at all. options: of the muxer.
    """
    out: Any
    with av.open(str(path), "w", options=options or {}) as out:
        out.metadata.update(metadata or {})
        if frames:
            video = out.add_stream(_PICTURE.get(path.suffix, "mpeg4"), rate=rate)
            video.height, video.width, video.pix_fmt = *size, "yuv420p"
        streams = [_add_sound(out, sound) for sound in sounds]
        packets = [p for s, sound in zip(streams, sounds, strict=True) for p in _encoded(s, sound)]
        for index in range(frames):
            frame = to_video_frame(numbered_picture(index, size), "yuv420p")
            frame.pts, frame.time_base = index + round(picture_start * rate), Fraction(1, rate)
            packets += video.encode(frame)
        packets += video.encode(None) if frames else []
        for packet in sorted(packets, key=_due):
            out.mux(packet)
    return path


def heard(path: Path, index: int = 0) -> tuple[np.ndarray, int, Fraction]:
    """The sound of a file as a player gives it: (C, N) float32, its rate, and its first time.

    Fails if layout or rate change in the middle, or if more than a twentieth of a second is
    missing between two frames.
    """
    with av.open(str(path)) as container:
        stream = container.streams.audio[index]
        frames = list(container.decode(stream))
    assert frames, f"no sound in {path}"
    first = frames[0]
    assert {(f.layout.name, f.sample_rate) for f in frames} == {
        (first.layout.name, first.sample_rate)
    }
    resampler, channels = av.AudioResampler(format="flt"), first.layout.nb_channels
    parts = [
        out.to_ndarray().reshape(-1, channels).T
        for frame in (*frames, None)
        for out in resampler.resample(frame)
    ]
    if path.suffix != ".avi":  # whose sound has no time stamps
        for before, after in zip(frames, frames[1:], strict=False):
            end = before.pts * before.time_base + Fraction(before.samples, before.sample_rate)
            assert abs(after.pts * after.time_base - end) < Fraction(1, 20)
    time = Fraction(0) if first.pts is None else first.pts * first.time_base
    return np.concatenate(parts, axis=1), first.sample_rate, time


def beep_time(path: Path, index: int = 0) -> float:
    """Seconds, on the file's own clock, at which the sound first rises above silence."""
    samples, rate, first = heard(path, index)
    return float(first) + int((np.abs(samples).max(axis=0) > 0.1).argmax()) / rate


def loudest_tone(samples: np.ndarray, rate: int) -> float:
    """Hz, to the nearest whole, of the strongest tone in the first channel."""
    spectrum = np.abs(np.fft.rfft(samples[0] * np.hanning(samples.shape[1])))
    return float(spectrum[1:].argmax() + 1) * rate / samples.shape[1]


def picture_time(path: Path) -> float:
    """Seconds, on the file's own clock, at which the first picture is shown."""
    with av.open(str(path)) as container:
        return float(next(container.decode(video=0)).time or 0)


def streams(path: Path) -> list[tuple[str, str | None]]:
    """Type and codec of every stream."""
    with av.open(str(path)) as container:
        return [
            (s.type, s.codec_context and s.codec_context.codec.canonical_name)
            for s in container.streams
        ]


def _add_sound(out: Any, sound: Sound) -> Any:
    options = {"strict": "experimental"} if sound.codec in _EXPERIMENTAL else {}
    stream = out.add_stream(sound.codec, rate=sound.rate, layout=sound.layout, options=options)
    if sound.codec in _BIT_RATES:
        stream.bit_rate = _BIT_RATES[sound.codec]
    return stream


def _encoded(stream: Any, sound: Sound) -> Sequence[av.Packet]:
    samples = samples_of(sound)
    channels = stream.codec_context.channels
    packets: list[av.Packet] = []
    for start in range(0, samples.shape[1], 1024):
        if sound.pause and sound.pause[0] <= start / sound.rate < sound.pause[1]:
            continue
        # All channels together: PyAV 18 reads past the planes of 8 channels.
        part = np.repeat(samples[:, start : start + 1024], channels, axis=0).T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(part), format="flt", layout=sound.layout
        )
        frame.sample_rate, frame.time_base = sound.rate, Fraction(1, sound.rate)
        frame.pts = start + round(sound.start * sound.rate)
        packets += stream.encode(frame)
    return [*packets, *stream.encode(None)]


def _due(packet: av.Packet) -> Fraction:
    return (packet.dts or 0) * packet.time_base
