"""Parsers of command-line arguments; each raises ValueError with what was expected."""

import re
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path

from impasto.models import architectures
from impasto.models.loss_network_names import LOSS_NETWORKS
from impasto.models.stroke import check_stroke

NETWORKS = ("auto", *architectures.NETWORKS)
MIN_SIDE, MAX_SIDE = 16, 16384  # px


def parse_size(text: str) -> int | tuple[int, int]:
    """ "720" as the short side 720; "1280x720" (width first) as (height, width) = (720, 1280)."""
    match = re.fullmatch(r"(\d+)(?:[x:](\d+))?", text.strip().lower())
    sides = [int(side) for side in match.groups() if side] if match else []
    if not sides or not all(MIN_SIDE <= side <= MAX_SIDE for side in sides):
        raise ValueError(
            f"expected a short side such as 720, or WxH such as 1280x720, "
            f"with sides from {MIN_SIDE} to {MAX_SIDE}; got {text!r}"
        )
    return sides[0] if len(sides) == 1 else (sides[1], sides[0])


def parse_width_and_height(text: str) -> tuple[int, int]:
    """ "1280x720" (width first) as (height, width) = (720, 1280)."""
    size = parse_size(text)
    if isinstance(size, int):
        raise ValueError(f"expected WxH such as 1280x720; got {text!r}")
    return size


def parse_time(text: str) -> Fraction:
    """ "90", "1:30" or "0:01:30.5" in seconds, exactly."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)", text.strip())
    if not match:
        raise ValueError(f"expected seconds or mm:ss, such as 90 or 1:30; got {text!r}")
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def parse_interval(text: str) -> Fraction:
    """ "2s", "2" or "1:30" in seconds."""
    seconds = parse_time(text.strip().removesuffix("s"))
    if seconds <= 0:
        raise ValueError(f"expected an interval above zero, such as 2s; got {text!r}")
    return seconds


def parse_times(text: str) -> tuple[Fraction, ...]:
    """ "0:03,0:07.5" in seconds, in order."""
    return tuple(sorted({parse_time(part) for part in text.split(",")}))


def parse_rate(text: str) -> Fraction:
    """ "30", "29.97" or "30000/1001" in frames a second."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise ValueError(
            f"expected frames a second such as 30 or 30000/1001, up to 1000; got {text!r}"
        )
    return rate


def parse_bitrate(text: str) -> int:
    """ "8M", "800k" or "800000" in bits a second."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmM]?)", text.strip())
    bits = Fraction(match[1]) * {"": 1, "k": 1000, "m": 10**6}[match[2].lower()] if match else 0
    if bits < 1000:
        raise ValueError(f"expected 1000 bits a second or more, such as 8M or 800k; got {text!r}")
    return int(bits)


def parse_bit_depth(text: str | int) -> int:
    """ "8" or "10"."""
    if str(text) not in ("8", "10"):
        raise ValueError(f"expected 8 or 10; got {text!r}")
    return int(text)


def parse_stroke(text: str | float) -> float:
    """ "0.5" to "4", a factor of the width of strokes."""
    try:
        return check_stroke(float(text))
    except ValueError:
        raise ValueError(f"expected a factor from 0.5 to 4, such as 2; got {text!r}") from None


def parse_network(text: str) -> str:
    """The name of an architecture of networks, or "auto"."""
    if text not in NETWORKS:
        raise ValueError(f"expected {', '.join(NETWORKS[:-1])} or {NETWORKS[-1]}; got {text!r}")
    return text


def parse_layers(text: str) -> dict[str, float]:
    """ "relu3_1:0.5,conv4_1" as weights by layer, 1 where none is given.

    The loss network knows the names, see `LossNetwork.layer`.
    """
    layers: dict[str, float] = {}
    for part in text.split(","):
        match = re.fullmatch(r"(\w[\w./]*)(?::(\d+(?:\.\d*)?|\.\d+))?", part.strip())
        if not match:
            raise ValueError(f"expected layers such as relu3_1:0.5,relu4_1; got {text!r}")
        layers[match[1]] = float(match[2] or 1)
    if not any(layers.values()):
        raise ValueError(f"expected a layer with a weight above zero; got {text!r}")
    return layers


def parse_loss_network(text: str) -> str:
    """The name of a loss network, or a file of weights that exists."""
    if text not in LOSS_NETWORKS and not Path(text).is_file():
        if Path(text).suffix in (".pth", ".pt", ".safetensors"):
            raise ValueError(f"there is no file {text}")
        near = get_close_matches(text, LOSS_NETWORKS, 3, 0.5) or LOSS_NETWORKS
        raise ValueError(f"expected a file of weights, or {', '.join(near)}; got {text!r}")
    return text


def parse_paintings(text: str) -> list[tuple[Path, float]]:
    """ "wave.jpg", or "wave.jpg:0.6+scream.jpg:0.4", as files with weights above zero.

    A file whose name is the whole text is taken first.
    """
    if Path(text).exists():
        return [(Path(text), 1.0)]
    paintings = []
    for part in (part.strip() for part in text.split("+")):
        match = re.fullmatch(r"(.+):(\d+(?:\.\d*)?|\.\d+)", part)
        name, weight = (
            (match[1], float(match[2])) if match and not Path(part).exists() else (part, 1)
        )
        if not name or not weight > 0:
            raise ValueError(
                f"expected paintings such as wave.jpg or wave.jpg:0.6+scream.jpg:0.4; got {text!r}"
            )
        paintings.append((Path(name), float(weight)))
    return paintings
