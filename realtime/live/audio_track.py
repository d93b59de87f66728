"""The microphone's audio as a track of a recording or a stream."""

import time
from collections import deque
from fractions import Fraction
from typing import Any

import av
import av.filter
from av.audio.frame import AudioFrame

from impasto.realtime.files.animation import ANIMATIONS
from impasto.realtime.live.microphone import AudioChunk, Microphone

_BITS_PER_CHANNEL = 96_000
_ENCODERS = {"webm": ("libopus", 48_000), "avi": ("libmp3lame", None)}  # name, rate; else AAC
_AHEAD_SECONDS = 5  # that the end may lie in the future, and is waited for


class AudioTrack:
    """The microphone's audio beside the pictures of one recording or stream.

    It has the interface of `remux.StreamCopier`, but encodes instead of copying, and corrects the
    drift of the device's clock and gaps by resampling (FFmpeg's aresample).

    epoch: the `time.monotonic()` at time zero of the file. begin: where the audio starts, in
    seconds of the file. Set `end`, likewise, before the file is closed: the audio is cut there.
    `notes`: what a user should know.
    """

    def __init__(self, microphone: Microphone, epoch: float, begin: Fraction = Fraction(0)) -> None:
        self.notes: list[str] = []
        self.end: Fraction | None = None
        self._microphone = microphone
        self._epoch = epoch
        self._begin = begin
        self._taken = 0  # chunks of the microphone so far
        self._output: Any = None
        self._stream: Any = None
        self._graph: Any = None
        self._waiting: deque[Any] = deque()  # AudioFrames ready to encode, not yet due

    def attach(self, output: Any, video: Any, first: Fraction, *, muxer: str) -> Fraction:
        """Add an audio stream to `output` if its container can hold one. Returns 0: no shift."""
        if muxer in ANIMATIONS:
            self.notes.append(f"a .{muxer} cannot hold audio: record to .mp4")
            return Fraction(0)
        encoder, rate = _ENCODERS.get(muxer, ("aac", None))
        self._output = output
        self._stream = output.add_stream(encoder, rate=rate or self._microphone.rate)
        self._stream.layout = "mono" if self._microphone.channels == 1 else "stereo"
        self._stream.bit_rate = _BITS_PER_CHANNEL * min(2, self._microphone.channels)
        if muxer in ("matroska", "webm"):
            # The encoder's priming samples lie before zero; the muxer would delay the pictures.
            output.container_options["avoid_negative_ts"] = "disabled"
        return Fraction(0)

    def copy_until(self, time: Fraction) -> None:
        """Write everything before `time`, in seconds of the file."""
        if self._stream is None:
            return
        self._take()
        while self._waiting and self._end_of(self._waiting[0]) <= time:
            self._output.mux(self._stream.encode(self._waiting.popleft()))

    def finish(self, time: Fraction | None = None) -> None:
        """Write everything before `time`, by default before `end`, and flush the encoder."""
        if self._stream is None:
            return
        end = self.end if time is None else time
        if end is not None:
            self._wait(self._epoch + float(end))
        self._take()
        if self._graph is not None:
            self._graph.push(None)
            self._pull()
        for samples in self._waiting:
            if end is None or samples.pts * samples.time_base < end:
                self._output.mux(self._stream.encode(samples))
        self._output.mux(self._stream.encode(None))

    def _wait(self, when: float) -> None:
        """Wait for the audio before `when`: devices deliver up to half a second late."""
        ahead = max(0.0, when - time.monotonic())
        self._microphone.wait_until(when, min(ahead, _AHEAD_SECONDS) + 1)

    def _take(self) -> None:
        """Resample what the microphone has recorded since the last call."""
        chunks, self._taken = self._microphone.chunks(self._taken)
        for chunk in chunks:
            self._push(chunk)

    def _push(self, chunk: AudioChunk) -> None:
        if chunk.end - self._epoch <= self._begin:
            return
        if self._graph is None:
            self._graph = self._resampler(chunk.samples)
        self._graph.push(chunk.samples)
        self._pull()

    def _resampler(self, first: AudioFrame) -> Any:
        """A filter graph from the microphone's format to the encoder's, with corrected timing.

        first_pts: trim, or pad with silence, to start at `begin`. async: correct drift by at most
        that many samples per second, and fill gaps of 0.1 s and longer.
        """
        context = self._stream.codec_context  # already open, so its format is known
        graph = av.filter.Graph()
        source = graph.add_abuffer(
            sample_rate=first.sample_rate,
            format=first.format,
            layout="mono" if self._microphone.channels == 1 else first.layout,
            time_base=Fraction(1, first.sample_rate),
        )
        rate = context.sample_rate
        graph.link_nodes(
            source,
            graph.add("asetpts", f"PTS-{round(self._epoch * first.sample_rate)}"),
            graph.add("aresample", f"{rate}:async=1000:first_pts={round(self._begin * rate)}"),
            graph.add(
                "aformat",
                f"sample_fmts={context.format.name}:channel_layouts={context.layout.name}",
            ),
            graph.add("abuffersink"),
        ).configure()
        graph.set_audio_frame_size(context.frame_size)
        return graph

    def _pull(self) -> None:
        while True:
            try:
                self._waiting.append(self._graph.pull())
            except (av.BlockingIOError, av.EOFError):
                return

    def _end_of(self, samples: Any) -> Fraction:
        return samples.pts * samples.time_base + Fraction(samples.samples, samples.sample_rate)
