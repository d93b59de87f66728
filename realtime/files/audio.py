"""Sound in another codec: which encoder, layout and rate, and one steady stream of samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

# By muxer, what sound is re-encoded with if the container does not support the original codec:
# encoder, and bits a second and channel.
_ENCODERS = {
    "mp4": ("aac", 96_000),
    "mov": ("aac", 96_000),
    "matroska": ("aac", 96_000),
    "mpegts": ("aac", 96_000),
    "webm": ("libopus", 64_000),
    "avi": ("libmp3lame", 96_000),
}
_WITH_PCM = ("mov", "matroska", "avi")
_PCM_ENCODERS = {
    "u8": "pcm_u8",
    "s16": "pcm_s16le",
    "s32": "pcm_s32le",
    "s64": "pcm_s32le",
    "flt": "pcm_f32le",
    "dbl": "pcm_f64le",
}
# The layout that every decoder knows with this number of channels, or more.
_LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1", "7.1")
# Layouts that decoders know, and the next larger one of others. Speakers at the side and at the
# back are one thing to encoders.
_NEAREST = {
    **{name: name for name in ("mono", "stereo", "2.1", "3.0", "4.0", "quad", "5.0", "5.1", "7.1")},
    **{"quad(side)": "quad", "5.0(side)": "5.0", "3.1": "5.1", "4.1": "5.1", "5.1(side)": "5.1"},
    **{"6.0": "7.1", "6.0(front)": "7.1", "hexagonal": "7.1"},
}
# A gap or an overlap up to this length is jitter of the time stamps.
_JITTER_SECONDS = Fraction(1, 10)
_MAX_GAP_SECONDS = 24 * 3600  # a longer one is a damaged time stamp


@dataclass(frozen=True, slots=True)
class AudioEncoding:
    """An encoder of sound and what it is given."""

    encoder: str  # FFmpeg's name
    layout: str
    rate: int  # Hz
    bit_rate: int  # bits a second; 0 for PCM

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec."""
        return av.Codec(self.encoder, "w").canonical_name


def encodings_for(
    muxer: str, context: Any, *, rate: int | None = None, channels: int | None = None
) -> Iterator[AudioEncoding]:
    """The encodings for sound into a container, best first, that this FFmpeg opens.

    context: the decoder's. rate, channels: instead of its own.
    """
    name = context.codec.canonical_name
    rate = rate or context.sample_rate or 48000
    layouts = _layouts(context.layout.name, channels or context.channels or 2)
    if channels is not None and channels != context.channels:
        layouts = _layouts("", channels)
    encoders = []
    if name.startswith("pcm_") and muxer in _WITH_PCM:
        encoders.append((_pcm_encoder(name, context.format), 0))
    if muxer in _ENCODERS:
        encoders.append(_ENCODERS[muxer])
    for encoder, bit_rate in encoders:
        for layout in layouts:
            number = av.AudioLayout(layout).nb_channels
            found = AudioEncoding(encoder, layout, _rate(encoder, rate), bit_rate * number)
            if _opens(found) and _converts(context, found):
                yield found
                break


def _layouts(name: str, channels: int) -> list[str]:
    """Layouts to try: the same or the next larger one; by the number of channels; stereo."""
    nearest = [_NEAREST[name]] if name in _NEAREST else []
    larger = ["5.1"] if 2 < channels < 6 else ["7.1"] if channels > 6 else []
    usual = [_LAYOUTS[channels - 1]] if channels <= len(_LAYOUTS) else []
    return [*nearest, *usual, *larger, "stereo"]


def _pcm_encoder(name: str, form: Any) -> str:
    packed = form.packed.name if form else "s16"
    if packed == "s32" and ("24" in name or name in ("pcm_dvd", "pcm_bluray")):
        return "pcm_s24le"
    return _PCM_ENCODERS.get(packed, "pcm_s16le")


def _rate(encoder: str, rate: int) -> int:
    """The encoder's nearest sample rate that loses nothing."""
    rates = av.Codec(encoder, "w").audio_rates or [rate]
    return min(rates, key=lambda r: (r < rate, abs(r - rate)))


def _opens(encoding: AudioEncoding) -> bool:
    context: Any = av.CodecContext.create(encoding.encoder, "w")
    forms = av.Codec(encoding.encoder, "w").audio_formats
    try:
        context.sample_rate, context.layout = encoding.rate, encoding.layout
        context.time_base = Fraction(1, encoding.rate)
        context.bit_rate = encoding.bit_rate
        if forms:
            context.format = forms[0]
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _converts(context: Any, encoding: AudioEncoding) -> bool:
    """Whether the decoder's layout can be mixed to that of an encoding, tried with silence."""
    channels, rate = context.layout.nb_channels, context.sample_rate or 48000
    if not channels:
        return True  # not known before the first frame
    samples = np.zeros((1, 64 * channels), np.int16)
    try:
        frame = av.AudioFrame.from_ndarray(samples, "s16", context.layout.name)
        frame.sample_rate = rate
        av.AudioResampler("s16", encoding.layout, encoding.rate).resample(frame)
    except (av.FFmpegError, ValueError):
        return False
    return True


class SteadyAudio:
    """One layout, rate and packed sample format without gaps, from frames of any; from zero on.

    Sound that starts late has silence before it, a gap is filled with silence, what overlaps or
    lies before zero is dropped. Frames out have consecutive time stamps in units of 1 / rate.
    """

    def __init__(self, form: av.AudioFormat, layout: str, rate: int) -> None:
        # Samples of all channels together: PyAV 18 reads past the planes of 8 channels.
        self._form, self._layout, self._rate = form.packed.name, layout, rate
        self._channels = av.AudioLayout(layout).nb_channels
        self._setup: tuple[str, str, int] | None = None
        self._resampler: Any = None
        self._next = 0  # the sample to come, counted from zero
        self._is_first = True

    def send(self, frame: av.AudioFrame | None) -> Iterator[av.AudioFrame]:
        """The samples that a decoded frame gives; None: the last ones."""
        setup = None
        if frame is not None:
            setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        if setup != self._setup:
            if self._resampler is not None:
                yield from self._placed(self._resampler.resample(None))
            self._setup = setup
            self._resampler = av.AudioResampler(self._form, self._layout, self._rate)
        if frame is None:
            return
        pts, unit = frame.pts, frame.time_base
        if pts is None or unit is None:
            pts, unit = self._next, Fraction(1, self._rate)
        # The resampler takes the time base of its first frame for all.
        frame.pts = round(pts * unit * frame.sample_rate)
        frame.time_base = Fraction(1, frame.sample_rate)
        yield from self._placed(self._resampler.resample(frame))

    def _placed(self, frames: list[av.AudioFrame]) -> Iterator[av.AudioFrame]:
        """Frames one after the other, with silence where their time stamps leave a gap."""
        for frame in frames:
            unit = frame.time_base or Fraction(1, self._rate)
            gap = round((frame.pts or 0) * unit * self._rate) - self._next
            is_jitter = abs(gap) <= _JITTER_SECONDS * self._rate and not self._is_first
            if is_jitter or gap > _MAX_GAP_SECONDS * self._rate:
                gap = 0
            while gap > 0:
                count = min(gap, self._rate)
                yield self._numbered(self._silence(count))
                gap -= count
            if -gap < frame.samples:
                self._is_first = False
                yield self._numbered(frame if gap == 0 else self._without(frame, -gap))

    def _numbered(self, frame: av.AudioFrame) -> av.AudioFrame:
        frame.pts, frame.time_base = self._next, Fraction(1, self._rate)
        self._next += frame.samples
        return frame

    def _silence(self, samples: int) -> av.AudioFrame:
        quiet = 128 if self._form == "u8" else 0
        kind = av.AudioFrame(self._form, self._layout, 1).to_ndarray().dtype
        return self._frame(np.full((1, self._channels * samples), quiet, kind))

    def _without(self, frame: av.AudioFrame, samples: int) -> av.AudioFrame:
        """A frame without its first samples."""
        return self._frame(np.ascontiguousarray(frame.to_ndarray()[:, self._channels * samples :]))

    def _frame(self, samples: np.ndarray) -> av.AudioFrame:
        frame = av.AudioFrame.from_ndarray(samples, self._form, self._layout)
        frame.sample_rate = self._rate
        return frame
