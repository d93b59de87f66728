"""The user's settings during a live session, and the keys that change them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from impasto.models.stroke import NARROWEST, WIDEST
from impasto.realtime.temporal.modes import STEADINESS, Steadiness

_STRENGTH_STEP = 0.1
_STROKE_STEPS = 4  # from one stroke size to its double


@dataclass(frozen=True)
class Controls:
    """What the user has chosen. Frozen, so any thread may read it: a change makes a new one."""

    style: int = 0  # index into the list of styles
    strength: float = 1.0  # 0 the unstylized picture, 1 the full style
    compare: float | None = None  # position of the bar, 0 left to 1 right; None: no comparison
    keep_color: bool = False
    steadiness: Steadiness = "off"
    stroke: float = 1.0  # size of the strokes relative to the style's own, 0.5 to 4
    frozen: bool = False
    mirror: bool = True  # on the screen only
    readouts: bool = True
    help: bool = False
    full_screen: bool = False
    snapshot: bool = False  # one is requested; the live loop resets it
    recording: bool = False
    quit: bool = False


class Key(NamedTuple):
    """A line of the help: keys, the setting they change, and how to show its value."""

    keys: tuple[str, ...]  # as `key_name` names them
    setting: str
    value: Callable[[Controls], str] | None = None  # None: the picture shows it


def _on_or_off(value: bool) -> str:
    return "on" if value else "off"


KEYS = (
    Key(("←", "→", "p", "n"), "style"),
    Key(("↓", "↑", "-", "+"), "strength", lambda now: f"{now.strength:.0%}"),
    Key(("[", "]", ",", "."), "stroke size", lambda now: f"{now.stroke:.2g}×"),
    Key(("k",), "keep colors", lambda now: _on_or_off(now.keep_color)),
    Key(("t",), "steadiness", lambda now: now.steadiness),
    Key(("c",), "compare: drag the bar"),
    Key(("space",), "freeze", lambda now: _on_or_off(now.frozen)),
    Key(("m",), "mirror", lambda now: _on_or_off(now.mirror)),
    Key(("s",), "snapshot"),
    Key(("r",), "record", lambda now: _on_or_off(now.recording)),
    Key(("i",), "readouts"),
    Key(("f",), "full screen"),
    Key(("h",), "this help"),
    Key(("q", "esc"), "quit"),
)

# Codes of cv2.pollKey that are not ASCII: of X11 (Qt, GTK), of Windows, of macOS.
_NAMES = {
    **dict.fromkeys((65361, 0x250000, 63234), "←"),
    **dict.fromkeys((65362, 0x260000, 63232), "↑"),
    **dict.fromkeys((65363, 0x270000, 63235), "→"),
    **dict.fromkeys((65364, 0x280000, 63233), "↓"),
    # The number pad.
    65451: "+",
    65453: "-",
    # Plus without Shift, on keyboards where the key next to minus is = and +.
    ord("="): "+",
    ord("_"): "-",
    ord(" "): "space",
    27: "esc",
}


_TOGGLES = {
    "k": "keep_color",
    "space": "frozen",
    "m": "mirror",
    "r": "recording",
    "i": "readouts",
    "f": "full_screen",
    "h": "help",
}


def key_name(code: int) -> str:
    """The name that KEYS uses for a code of cv2.pollKey; "" for -1 and for unnamed keys."""
    low = code & 0xFFFF  # GTK sets bits above these for Shift, lock keys and the like
    if code < 0:
        return ""
    if name := _NAMES.get(code) or _NAMES.get(low):
        return name
    return chr(low).lower() if 32 < low < 127 else ""


def press(code: int, controls: Controls, styles: Sequence[str]) -> Controls:
    """The controls after a key; the same if the key means nothing.

    code: as cv2.pollKey returned it. styles: those that the keys step through. Esc leaves full
    screen first, and quits otherwise.
    """
    name = key_name(code)
    if name == "esc" and controls.full_screen:
        return replace(controls, full_screen=False)
    if name in _TOGGLES:
        toggled: dict[str, Any] = {_TOGGLES[name]: not getattr(controls, _TOGGLES[name])}
        return replace(controls, **toggled)
    match name:
        case "→" | "n":
            return _step_style(controls, +1, len(styles))
        case "←" | "p":
            return _step_style(controls, -1, len(styles))
        case "↑" | "+":
            return _step_strength(controls, +_STRENGTH_STEP)
        case "↓" | "-":
            return _step_strength(controls, -_STRENGTH_STEP)
        case "]" | ".":
            return _scale_stroke(controls, 2 ** (1 / _STROKE_STEPS))
        case "[" | ",":
            return _scale_stroke(controls, 2 ** (-1 / _STROKE_STEPS))
        case "t":
            # From raft, which only the command offers, to the first.
            following = dict(zip(STEADINESS, STEADINESS[1:], strict=False))
            return replace(controls, steadiness=following.get(controls.steadiness, STEADINESS[0]))
        case "c":
            return replace(controls, compare=0.5 if controls.compare is None else None)
        case "s":
            return replace(controls, snapshot=True)
        case "q" | "esc":
            return replace(controls, quit=True)
    return controls


def _step_style(controls: Controls, step: int, count: int) -> Controls:
    return replace(controls, style=(controls.style + step) % count) if count else controls


def _step_strength(controls: Controls, step: float) -> Controls:
    return replace(controls, strength=min(1.0, max(0.0, round(controls.strength + step, 1))))


def _scale_stroke(controls: Controls, factor: float) -> Controls:
    stroke = min(WIDEST, max(NARROWEST, controls.stroke * factor))
    return replace(controls, stroke=stroke)


def values(controls: Controls) -> dict[str, str]:
    """The settings as text, by the names in KEYS: {"strength": "80%", "mirror": "on", ...}."""
    return {key.setting: key.value(controls) for key in KEYS if key.value is not None}
