"""Null packets of MPEG-TS (ISO/IEC 13818-1), which players pass over."""

from pathlib import Path

_LEAST_BYTES = 1 << 12  # FFmpeg does not know an MPEG-TS by its first 2 KiB if it has fewer
_NULL_PACKET = b"\x47\x1f\xff\x10" + b"\xff" * 184


def pad(path: Path) -> None:
    """Append null packets to an MPEG-TS of a few frames, so that players know what it is."""
    missing = _LEAST_BYTES - path.stat().st_size
    if missing > 0:
        with path.open("ab") as file:
            file.write(_NULL_PACKET * -(-missing // len(_NULL_PACKET)))
