"""What each key does to the controls, in the codes of every system's window."""

from dataclasses import asdict
from typing import Any

import pytest

from impasto.realtime.live.controls import KEYS, Controls, key_name, press, values

STYLES = ("dawn", "noon", "dusk")
LEFT, UP, RIGHT, DOWN = 65361, 65362, 65363, 65364  # X11 key symbols


def changed_by(*keys: int | str, styles: tuple[str, ...] = STYLES, **before: Any) -> dict[str, Any]:
    """The fields that these keys change, pressed one after another."""
    controls = Controls(**before)
    for key in keys:
        controls = press(ord(key) if isinstance(key, str) else key, controls, styles)
    old = asdict(Controls(**before))
    return {name: value for name, value in asdict(controls).items() if value != old[name]}


@pytest.mark.parametrize(
    ("keys", "change"),
    [
        ((RIGHT,), {"style": 1}),
        (("n", "n"), {"style": 2}),
        (("n", "n", "n"), {}),  # round to the first
        ((LEFT,), {"style": 2}),
        (("p", "p"), {"style": 1}),
        ((DOWN,), {"strength": 0.9}),
        (("-", "-", "-"), {"strength": 0.7}),
        (("-", "+"), {}),
        ((DOWN, UP), {}),
        ((UP,), {}),  # it is at its most
        (tuple("-" * 12), {"strength": 0.0}),
        (tuple("]]]]]]]]]"), {"stroke": 4.0}),
        (tuple(",,,,,,"), {"stroke": 0.5}),
        (("k",), {"keep_color": True}),
        (("k", "k"), {}),
        (("t",), {"steadiness": "auto"}),
        (("t", "t"), {"steadiness": "hold"}),
        (("t",) * 4, {}),
        (("c",), {"compare": 0.5}),
        (("c", "c"), {}),
        ((" ",), {"frozen": True}),
        (("m",), {"mirror": False}),
        (("s",), {"snapshot": True}),
        (("s", "s"), {"snapshot": True}),
        (("r",), {"recording": True}),
        (("r", "r"), {}),
        (("i",), {"readouts": False}),
        (("f",), {"full_screen": True}),
        (("f", 27), {}),
        (("h",), {"help": True}),
        (("q",), {"quit": True}),
        ((27,), {"quit": True}),
        ((-1,), {}),  # no key
        ((65505,), {}),  # Shift alone, whose low byte is a letter of Latin-1
        ((0,), {}),  # a letter that Qt has no code for
        (("x",), {}),
    ],
)
def test_keys_change_what_they_say(keys: tuple[int | str, ...], change: dict[str, Any]) -> None:
    assert changed_by(*keys) == pytest.approx(change)


def test_four_steps_double_the_strokes() -> None:
    assert changed_by(*"]]]]", stroke=0.75) == pytest.approx({"stroke": 1.5})


@pytest.mark.parametrize("codes", [(LEFT, UP, RIGHT, DOWN), (63234, 63232, 63235, 63233)])
def test_arrows_have_other_codes_elsewhere(codes: tuple[int, ...]) -> None:
    assert [key_name(code) for code in codes] == ["←", "↑", "→", "↓"]
    windows = [virtual << 16 for virtual in (0x25, 0x26, 0x27, 0x28)]
    assert [key_name(code) for code in windows] == ["←", "↑", "→", "↓"]


def test_letters_count_with_shift_and_with_number_lock() -> None:
    assert key_name(ord("N")) == "n"
    assert key_name(0x100000 | ord("n")) == "n"  # as GTK gives it
    assert key_name(0x100000 | LEFT) == "←"


def test_without_styles_there_is_nothing_to_go_to() -> None:
    assert changed_by("n", styles=()) == {}


def test_every_key_of_the_help_does_something() -> None:
    codes = {"←": LEFT, "↑": UP, "→": RIGHT, "↓": DOWN, "space": 32, "esc": 27}
    names = [name for key in KEYS for name in key.keys]
    assert len(set(names)) == len(names)
    for name in names:
        code = codes.get(name) or ord(name)
        assert key_name(code) == name
        assert changed_by(code, strength=0.5), name


def test_every_key_that_does_something_is_in_the_help() -> None:
    told = {name for key in KEYS for name in key.keys}
    for code in (*range(0x100), *range(0xFF00, 0x10000)):  # ASCII, and X11's other keys
        assert key_name(code) in told or not changed_by(code, strength=0.5), code


def test_values_are_words() -> None:
    now = values(Controls(strength=0.8, stroke=2**0.25, steadiness="flow", mirror=False))
    assert now["strength"] == "80%"
    assert now["stroke size"] == "1.2×"
    assert now["steadiness"] == "flow"
    assert now["mirror"] == "off"
