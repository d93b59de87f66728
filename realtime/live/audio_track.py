"""What a microphone hears, in a file or a stream beside the pictures."""

import time
from collections import deque
from fractions import Fraction
from typing import Any

import av
import av.filter
from av.audio.frame import AudioFrame

from impasto.realtime.live.microphone import Heard, Microphone

_BITS_PER_CHANNEL = 96_000
_ENCODERS = {"webm": ("libopus", 48_000), "avi": ("libmp3lame", None)}  # name, rate; else AAC
_AHEAD_SECONDS = 5  # that the end may still lie ahead, and is waited for


class Sound:
    """What a microphone hears, as the companion of one recording's or stream's pictures.

    It stands where `remux.StreamCopier` stands for a file, and cannot be that: there is no file
    to copy from, and the device's own clock, which runs a little fast or slow, is brought to the
    pictures' by stretching (FFmpeg's aresample), also over gaps.

    zero: the `time.monotonic()` that is zero in the file. begin: where the sound starts, in seconds
    of the file. Set `end`, in the same, before the file is closed: there the sound is cut. `notes`
    says what a user should know.
    """

    def __init__(self, microphone: Microphone, zero: float, begin: Fraction = Fraction(0)) -> None:
        self.notes: list[str] = []
        self.end: Fraction | None = None
        self._microphone = microphone
        self._zero = zero
        self._begin = begin
        self._taken = 0  # pieces of the microphone's
        self._output: Any = None
        self._stream: Any = None
        self._graph: Any = None
        self._waiting: deque[Any] = deque()  # AudioFrames, as the encoder takes them, not yet due

    def attach(self, output: Any, video: Any, first: Fraction, *, muxer: str) -> Fraction:
        """Give `output` a stream of sound, where it holds any. Returns its zero: none is moved."""
        if muxer == "gif":
            self.notes.append("a .gif holds no sound: record to .mp4")
            return Fraction(0)
        encoder, rate = _ENCODERS.get(muxer, ("aac", None))
        self._output = output
        self._stream = output.add_stream(encoder, rate=rate or self._microphone.rate)
        self._stream.layout = "mono" if self._microphone.channels == 1 else "stereo"
        self._stream.bit_rate = _BITS_PER_CHANNEL * min(2, self._microphone.channels)
        if muxer in ("matroska", "webm"):
            # The encoder's lead-in lies before zero; the muxer would move the picture for it.
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
        """Write what was heard before `time`, or else before `end`."""
        if self._stream is None:
            return
        end = self.end if time is None else time
        if end is not None:
            self._wait(self._zero + float(end))
        self._take()
        if self._graph is not None:
            self._graph.push(None)
            self._pull()
        for sound in self._waiting:
            if end is None or sound.pts * sound.time_base < end:
                self._output.mux(self._stream.encode(sound))
        self._output.mux(self._stream.encode(None))

    def _wait(self, when: float) -> None:
        """Devices deliver late, in portions of up to half a second."""
        ahead = max(0.0, when - time.monotonic())
        self._microphone.wait_until(when, min(ahead, _AHEAD_SECONDS) + 1)

    def _take(self) -> None:
        """Whatever the microphone has heard since."""
        pieces, self._taken = self._microphone.heard(self._taken)
        for piece in pieces:
            self._push(piece)

    def _push(self, piece: Heard) -> None:
        sound = piece.sound
        if piece.time - self._zero + sound.samples / sound.sample_rate <= self._begin:
            return
        if self._graph is None:
            self._graph = self._aligning(sound)
        self._graph.push(sound)
        self._pull()

    def _aligning(self, sound: AudioFrame) -> Any:
        """Sound in, sound out in the encoder's own form and portions, each at its time.

        first_pts: cut or filled with silence so that it starts at `begin`. async: drift is
        stretched away, by at most that many samples a second, and gaps of 0.1 s and over are
        filled.
        """
        context = self._stream.codec_context  # open, as the file is begun: its form is decided
        graph = av.filter.Graph()
        source = graph.add_abuffer(
            sample_rate=sound.sample_rate,
            format=sound.format,
            layout="mono" if self._microphone.channels == 1 else sound.layout,
            time_base=Fraction(1, sound.sample_rate),
        )
        rate = context.sample_rate
        graph.link_nodes(
            source,
            graph.add("asetpts", f"PTS-{round(self._zero * sound.sample_rate)}"),
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

    def _end_of(self, sound: Any) -> Fraction:
        return sound.pts * sound.time_base + Fraction(sound.samples, sound.sample_rate)
