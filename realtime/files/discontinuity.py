"""Timestamp discontinuities: recordings joined end to end, given one continuous clock."""

from fractions import Fraction

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

# Seconds by which the packets of one recording may be early or late. In most containers a later
# packet means a gap; in those of broadcasts (MPEG-TS, MPEG-PS) it means that the clock has jumped.
_MAX_EARLY, _MAX_LATE = 1, 10
_LARGEST = 1 << 62  # a timestamp has 64 bits


class TimestampUnwrapper:
    """Shifts the timestamps of packets so that they continue over discontinuities.

    A discontinuity is a jump of the decoding timestamps. (Presentation timestamps also jump in a
    damaged stream, where the decoder has lost its references.) Audio and subtitles are shifted by
    as much as the video; by their own jump only until the video's comes, as the packets of
    different streams are not interleaved exactly.

    `discontinuities` counts those of the video stream read so far.
    """

    def __init__(self, container: InputContainer, video: VideoStream) -> None:
        self.discontinuities = 0
        self.is_broadcast = container.format.name in ("mpegts", "mpeg")
        self._video = video.index
        rate = video.average_rate or video.guessed_rate
        self._step = 1 / rate if rate else Fraction(0)
        self._offset = Fraction(0)  # of the video, in seconds
        self._offsets: dict[int, Fraction] = {}  # of each stream, in seconds
        self._due: dict[
            int, Fraction
        ] = {}  # seconds at which each stream's next packet is expected

    def unwrap(self, packet: Packet) -> None:
        """Shift the timestamps of a packet, in place. Call it for every packet, in order."""
        if packet.dts is None or packet.time_base is None:
            return
        if abs(packet.dts) > _LARGEST or abs(packet.pts or 0) > _LARGEST:
            packet.dts = packet.pts = None  # of a damaged packet, which could not be shifted
            return
        index, unit = packet.stream_index, packet.time_base
        time, is_video = packet.dts * unit, index == self._video
        due = self._due.get(index, time + self._offset)
        choices = (self._offset, self._offsets.get(index, self._offset), due - time)
        offset = next(o for o in choices if self._fits(time + o - due, time + o, is_video))
        if is_video and offset != self._offset:
            self.discontinuities, self._offset = self.discontinuities + 1, offset
        self._offsets[index] = offset
        length = (packet.duration or 0) * unit or (self._step if is_video else 0)
        if packet.stream.type == "subtitle" or length > _MAX_LATE:
            length = Fraction(0)  # subtitles may overlap, or have no end
        self._due[index] = time + offset + length
        if offset:
            packet.dts += round(offset / unit)
            packet.pts = None if packet.pts is None else packet.pts + round(offset / unit)

    def _fits(self, late: Fraction, time: Fraction, is_video: bool) -> bool:
        if late < -_MAX_EARLY:
            return False
        if not self.is_broadcast or late <= _MAX_LATE:
            return True
        # Audio and subtitles may pause for any time, while the video goes on.
        return not is_video and abs(time - self._due.get(self._video, time)) <= _MAX_LATE
