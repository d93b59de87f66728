"""What the keys of the preview window change, and what each key does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from impasto.realtime.temporal.modes import STEADINESS, Steadiness

_STRENGTH_STEP = 0.1
_STROKE_STEPS = 4  # from one size to its double
_LARGEST_STROKE = 2.0  # and the smallest is one over it


@dataclass
class Controls:
    """What a user has chosen so far. The live loop reads it, and begins nothing by itself."""

    style: int = 0  # which of the styles
    strength: float = 1.0  # 0 the picture itself, 1 the style in full
    compare: float | None = None  # the bar's place, 0 left to 1 right; None: no comparison
    keep_color: bool = False
    steadiness: Steadiness = "off"
    stroke: float = 1.0  # size of the strokes over their usual size, 0.5 to 2
    frozen: bool = False
    mirror: bool = True  # on the screen only
    readouts: bool = True
    help: bool = False
    full_screen: bool = False
    snapshot: bool = False  # one is asked for; whoever takes it sets this back
    recording: bool = False
    quit: bool = False


class Key(NamedTuple):
    """A line of the help: keys, what they change, and how to say what that is now."""

    keys: tuple[str, ...]  # as `name_of` names them
    does: str
    value: Callable[[Controls], str] | None = None  # None: a look at the picture tells


def _on(chosen: bool) -> str:
    return "on" if chosen else "off"


KEYS = (
    Key(("←", "→", "p", "n"), "style"),
    Key(("↓", "↑", "-", "+"), "strength", lambda now: f"{now.strength:.0%}"),
    Key(("[", "]", ",", "."), "stroke size", lambda now: f"{now.stroke:.2g}×"),
    Key(("k",), "keep the colours", lambda now: _on(now.keep_color)),
    Key(("t",), "steadiness", lambda now: now.steadiness),
    Key(("c",), "compare: drag the bar"),
    Key(("space",), "freeze", lambda now: _on(now.frozen)),
    Key(("m",), "mirror", lambda now: _on(now.mirror)),
    Key(("s",), "snapshot"),
    Key(("r",), "record", lambda now: _on(now.recording)),
    Key(("i",), "read-outs"),
    Key(("f",), "full screen"),
    Key(("h",), "this help"),
    Key(("q", "esc"), "quit"),
)

# Codes that are not ASCII, as cv2.pollKey gives them: X11's (Qt, GTK), Windows', macOS's.
_NAMES = {
    **dict.fromkeys((65361, 0x250000, 63234), "←"),
    **dict.fromkeys((65362, 0x260000, 63232), "↑"),
    **dict.fromkeys((65363, 0x270000, 63235), "→"),
    **dict.fromkeys((65364, 0x280000, 63233), "↓"),
    # The number pad.
    65451: "+",
    65453: "-",
    # A plus without the shift key, where that is what the key next to minus gives.
    ord("="): "+",
    ord("_"): "-",
    ord(" "): "space",
    27: "esc",
}


def name_of(key: int) -> str:
    """The name that KEYS has for a code of cv2.pollKey; "" for -1 and for keys that have none."""
    low = key & 0xFFFF  # GTK puts shift, lock and the like above that
    if key < 0:
        return ""
    if name := _NAMES.get(key) or _NAMES.get(low):
        return name
    return chr(low).lower() if 32 < low < 127 else ""


def press(key: int, controls: Controls, styles: Sequence[str]) -> None:
    """Change `controls` as this key says; a key that says nothing changes nothing.

    key: what cv2.pollKey gave. styles: all there are to go through.
    Esc leaves the full screen first, and quits where there is none to leave.
    """
    match name_of(key):
        case "→" | "n":
            _turn(controls, +1, len(styles))
        case "←" | "p":
            _turn(controls, -1, len(styles))
        case "↑" | "+":
            controls.strength = min(1.0, round(controls.strength + _STRENGTH_STEP, 1))
        case "↓" | "-":
            controls.strength = max(0.0, round(controls.strength - _STRENGTH_STEP, 1))
        case "]" | ".":
            controls.stroke = min(_LARGEST_STROKE, controls.stroke * 2 ** (1 / _STROKE_STEPS))
        case "[" | ",":
            controls.stroke = max(1 / _LARGEST_STROKE, controls.stroke / 2 ** (1 / _STROKE_STEPS))
        case "k":
            controls.keep_color = not controls.keep_color
        case "t":
            # From raft, which only the command has, to the first.
            following = dict(zip(STEADINESS, STEADINESS[1:], strict=False))
            controls.steadiness = following.get(controls.steadiness, STEADINESS[0])
        case "c":
            controls.compare = 0.5 if controls.compare is None else None
        case "space":
            controls.frozen = not controls.frozen
        case "m":
            controls.mirror = not controls.mirror
        case "s":
            controls.snapshot = True
        case "r":
            controls.recording = not controls.recording
        case "i":
            controls.readouts = not controls.readouts
        case "f":
            controls.full_screen = not controls.full_screen
        case "h":
            controls.help = not controls.help
        case "esc" if controls.full_screen:
            controls.full_screen = False
        case "q" | "esc":
            controls.quit = True


def _turn(controls: Controls, by: int, count: int) -> None:
    if count:
        controls.style = (controls.style + by) % count


def values(controls: Controls) -> dict[str, str]:
    """What the keys have set, by what KEYS calls it: {"strength": "80%", "mirror": "on", ...}."""
    return {key.does: key.value(controls) for key in KEYS if key.value is not None}
