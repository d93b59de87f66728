"""Recordings joined end to end: their clocks made one."""

from fractions import Fraction

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

# Seconds by which the packets of one recording may come too early or too late. More of the latter
# is a gap in most containers; those of broadcasts have no gaps, but clocks that jump.
_EARLY, _LATE = 1, 10


class TimestampUnwrapper:
    """Moves the times of packets on, from where another recording begins.

    It begins where decoding times jump. (Those of frames jump in a damaged stream as well, where
    the decoder has lost its references.) Sound and subtitles move by as much as the picture does;
    on their own only until it follows, for they are not in step to the packet.
    """

    def __init__(self, container: InputContainer, picture: VideoStream) -> None:
        self.discontinuities = 0  # as far as the picture has been read
        self.is_broadcast = container.format.name in ("mpegts", "mpeg")
        self._picture = picture.index
        rate = picture.average_rate or picture.guessed_rate
        self._step = 1 / rate if rate else Fraction(0)
        self._offset = Fraction(0)  # of the picture, in seconds
        self._offsets: dict[int, Fraction] = {}  # of each stream
        self._due: dict[int, Fraction] = {}  # when its next packet should come

    def unwrap(self, packet: Packet) -> None:
        """Move the times of a packet, in place."""
        if packet.dts is None or packet.time_base is None:
            return
        index, unit = packet.stream_index, packet.time_base
        time, is_picture = packet.dts * unit, index == self._picture
        due = self._due.get(index, time + self._offset)
        choices = (self._offset, self._offsets.get(index, self._offset), due - time)
        offset = next(o for o in choices if self._fits(time + o - due, time + o, is_picture))
        if is_picture and offset != self._offset:
            self.discontinuities, self._offset = self.discontinuities + 1, offset
        self._offsets[index] = offset
        length = (packet.duration or 0) * unit or (self._step if is_picture else 0)
        self._due[index] = time + offset + length
        if offset:
            packet.dts += round(offset / unit)
            packet.pts = None if packet.pts is None else packet.pts + round(offset / unit)

    def _fits(self, late: Fraction, time: Fraction, is_picture: bool) -> bool:
        if late < -_EARLY:
            return False
        if not self.is_broadcast or late <= _LATE:
            return True
        # Sound and subtitles may pause for as long as they like, while the picture goes on.
        return not is_picture and abs(time - self._due.get(self._picture, time)) <= _LATE
