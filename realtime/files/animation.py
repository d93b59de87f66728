"""How often an animated picture is shown: the loop counts of GIF, APNG and WebP."""

from pathlib import Path

FOREVER = 0
_HEAD = 1 << 16  # bytes; the count stands before the first frame


def plays_of(path: Path) -> int | None:
    """How often the animation in a GIF, APNG or WebP file is shown; 0: forever; None: no such file.

    GIF counts repetitions after the first showing, and is shown once if it says nothing.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith((b"GIF87a", b"GIF89a")):
        at = head.find(b"NETSCAPE2.0\x03\x01")
        if at < 0:
            return 1
        repeats = int.from_bytes(head[at + 13 : at + 15], "little")
        return repeats + 1 if repeats else FOREVER
    if head.startswith(b"\x89PNG") and (at := head.find(b"acTL")) >= 0:
        return int.from_bytes(head[at + 8 : at + 12], "big")
    if head.startswith(b"RIFF") and (at := head.find(b"ANIM")) >= 0:
        return int.from_bytes(head[at + 12 : at + 14], "little")
    return None


def loop_option(muxer: str, plays: int | None) -> dict[str, str]:
    """The option of FFmpeg's muxer that shows an animation so often; None and 0: forever."""
    plays = plays or FOREVER
    if muxer == "gif":
        return {"loop": str(plays - 1 or -1) if plays else "0"}  # -1: no repetition
    option = {"apng": "plays", "webp": "loop"}.get(muxer)
    return {option: str(plays)} if option else {}
