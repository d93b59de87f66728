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
# The layout that every decoder expects for a number of channels (ISO/IEC 14496-3, 1.6.3.5).
_LAYOUTS = {
    1: "mono",
    2: "stereo",
    3: "3.0",
    4: "4.0",
    5: "5.0",
    6: "5.1",
    7: "6.1",
    8: "7.1",
}
# Speakers at the side and at the back are one thing to encoders.
_SAME_LAYOUTS = {"5.0(side)": "5.0", "5.1(side)": "5.1", "quad(side)": "quad"}
# A gap or an overlap up to this length is jitter of the time stamps.
_JITTER_SECONDS = Fraction(1, 25)
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
            if _opens(found):
                yield found
                break


def _layouts(name: str, channels: int) -> list[str]:
    """Layouts to try: the same; one of the same number; a larger one; stereo."""
    same = _SAME_LAYOUTS.get(name, name)
    known = [] if same.endswith("channels") or not same else [same]
    larger = ["5.1"] if 2 < channels < 6 else ["7.1"] if channels == 7 else []
    return [*known, *([_LAYOUTS[channels]] if channels in _LAYOUTS else []), *larger, "stereo"]


def _pcm_encoder(name: str, form: Any) -> str:
    packed = form.packed.name
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


class SteadyAudio:
    """One layout, rate and sample format without gaps, from frames of any; starts at zero.

    Sound that starts late has silence before it, a gap is filled with silence, what overlaps or
    lies before zero is dropped. Frames out have consecutive time stamps in units of 1 / rate.
    """

    def __init__(self, form: str, layout: str, rate: int) -> None:
        self._form, self._layout, self._rate = form, layout, rate
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
        form = av.AudioFormat(self._form)
        channels = av.AudioLayout(self._layout).nb_channels
        shape = (channels, samples) if form.is_planar else (1, channels * samples)
        quiet = 128 if form.packed.name == "u8" else 0
        kind = av.AudioFrame(self._form, self._layout, 1).to_ndarray().dtype
        return self._frame(np.full(shape, quiet, kind))

    def _without(self, frame: av.AudioFrame, samples: int) -> av.AudioFrame:
        """A frame without its first samples."""
        width = 1 if frame.format.is_planar else frame.layout.nb_channels
        return self._frame(np.ascontiguousarray(frame.to_ndarray()[:, samples * width :]))

    def _frame(self, samples: np.ndarray) -> av.AudioFrame:
        frame = av.AudioFrame.from_ndarray(samples, self._form, self._layout)
        frame.sample_rate = self._rate
        return frame
