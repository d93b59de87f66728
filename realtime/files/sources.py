"""Where a film is read from: a file, a network address, or a pipe."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
from av.container import InputContainer

from impasto.realtime.files.addresses import WebAddress, is_address
from impasto.realtime.files.pipes import InputPipe

Source = str | Path | InputPipe | WebAddress


def source_of(given: Source) -> Path | InputPipe | WebAddress:
    """A source as what it is: text is an address or the path of a file."""
    if isinstance(given, str):
        return WebAddress(given) if is_address(given) else Path(given)
    return given


@dataclass
class SharedInput:
    """An open container whose pictures and other streams are read by one demuxer, in one pass.

    `packets` are those of the other streams, read on the way to the pictures so far, in order; the
    thread that decodes appends, and the one that writes takes.
    """

    container: InputContainer
    packets: deque[av.Packet] = field(default_factory=deque)

    def available(self) -> Iterator[av.Packet]:
        """Take the packets that are there now."""
        while self.packets:
            yield self.packets.popleft()
