"""What measured rates mean: the size that live video holds, and how fast films are converted."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from impasto.models.errors import EngineError
from impasto.models.styles import StyleWeights, choose_network, load_weights
from impasto.realtime.cpu import cores
from impasto.realtime.engines.base import Engine, IdentityEngine
from impasto.realtime.engines.cuda import cuda_devices
from impasto.realtime.engines.devices import EXPERIMENTAL, problem_with
from impasto.realtime.engines.options import live_network
from impasto.realtime.engines.select import open_engine, seconds_per_frame
from impasto.realtime.files.convert import stylize_video
from impasto.realtime.measure.timing import Figures
from impasto.realtime.samples import SAMPLE_VIDEO
from impasto.realtime.stylizer import Stylizer, default_steadiness

Size = tuple[int, int]  # height, width
FILM_SIZES: tuple[Size, ...] = ((360, 640), (720, 1280), (1080, 1920))
LIVE_FPS = 30
_NETWORK_SHARE = 0.8  # of a frame's time: live takes no larger size that would leave it less room
_LIVE_SIZES: tuple[Size, ...] = (
    *((2160, 3840), (1440, 2560), (1080, 1920), (900, 1600), (720, 1280), (576, 1024)),
    *((540, 960), (480, 854), (360, 640), (270, 480), (180, 320)),
)

_TIMED: Size = (360, 640)  # by `quick_capability`
_FILM_SECONDS = 0.5  # of the sample


def quick_capability(style: str) -> Figures:
    """`capability`, measured in a few seconds: one size is timed, with what "auto" would use.

    "lines" ends with the devices that are left out, and why. Raises WeightsError and EngineError.
    """
    networks = {
        "live": live_network(style, "auto", "auto"),
        "film": choose_network(style, "auto"),
    }
    timed: list[tuple[str, Engine]] = []
    notes: list[str] = []
    for network in dict.fromkeys(networks.values()):
        engines, reasons = _engines(load_weights(style, network=network))
        timed += [(network, engine) for engine in engines]
        notes += [reason for reason in reasons if reason not in notes]
    rows = [
        {
            "network": network,
            "engine": engine.name,
            "precision": engine.precision,
            "device": engine.device,
            "height": _TIMED[0],
            "width": _TIMED[1],
            "fps": 1 / min(seconds_per_frame(engine, _TIMED, repeats=2)),
        }
        for network, engine in timed
    ]
    film = networks["film"]
    found = capability(
        rows,
        live=networks["live"],
        film={"network": film},
        file_seconds=_seconds_besides(film),
    )
    return found | {"lines": [*found["lines"], *notes]}


def _engines(weights: StyleWeights) -> tuple[list[Engine], list[str]]:
    """Those that "auto" may take, and why others are left out.

    On the CPU in float and in int8, with OpenVINO, and on experimental devices.
    """
    has_openvino = find_spec("openvino") is not None
    if cuda_devices() or not has_openvino:
        opened = open_engine(weights, size=_TIMED)
        if opened.device != "cpu" or not has_openvino:
            return [opened], opened.notes
    from impasto.realtime.engines.openvino_engine import OpenVinoEngine

    try:
        opened = open_engine(weights, engine="openvino", device="cpu", precision="int8")
    except EngineError:  # this processor, or network, has none
        opened = OpenVinoEngine(weights)
    assert isinstance(opened, OpenVinoEngine)
    engines: list[Engine] = [opened] if opened.exact is opened else [opened, opened.exact]
    notes = [*opened.notes]
    for name in [name for name in EXPERIMENTAL if problem_with(name) is None]:
        tried = open_engine(weights, device=name, size=_TIMED)
        engines += [tried] if tried.device == name else []
        notes += tried.notes
    return engines, notes


def _seconds_besides(network: str) -> float:
    """What a pixel of a film takes besides the network, from file to file on all cores."""
    steady = default_steadiness(network, "auto")
    stylizer = Stylizer(IdentityEngine(), steadiness=steady)
    with TemporaryDirectory() as folder:
        began = process_time()
        target = Path(folder) / SAMPLE_VIDEO.name
        report = stylize_video(SAMPLE_VIDEO, target, stylizer, end=_FILM_SECONDS)
        seconds = (process_time() - began) / cores()
    return seconds / (report.frames * _pixels(FILM_SIZES[0]))  # the sample's size


def capability(
    rows: Sequence[Figures], *, live: str, film: Figures, file_seconds: float | None
) -> Figures:
    """What the rates of networks come to for a user; plain data, ready for JSON.

    rows: as of `bench.time_networks`. live: the network of live video. film: "network", "engine"
    and "precision" of a conversion; without the last two, those of the fastest row.
    file_seconds: what a pixel of a film takes besides the network; None: not measured.

    "live": for each precision, on its fastest engine, the largest usual size painted in full at 30
    fps, "WxH"; None if it is under 320x180. "video": frames a second that `impasto video` reaches,
    by size. "timed_at": the sizes that were timed; others are computed from the nearest of them by
    the area. "lines": the same in words.
    """
    named = {key: film[key] for key in ("network", "engine", "precision") if key in film}
    of_film = [row for row in rows if named.items() <= row.items()]
    fastest = max(of_film, key=_pixels_per_second)
    film_rows = [row for row in of_film if _runs(row) == _runs(fastest)]
    live_rows = [row for row in rows if row["network"] == live]
    sizes = {_precision(row): _live_size(live_rows, _precision(row)) for row in live_rows}
    seconds_besides = file_seconds or 0.0
    video = {
        _text(size): round(1 / (_seconds(film_rows, size) + _pixels(size) * seconds_besides), 1)
        for size in FILM_SIZES
    }
    timed = dict.fromkeys(_text((row["height"], row["width"])) for row in [*film_rows, *live_rows])
    found: Figures = {
        "live": {"network": live, "fps": LIVE_FPS, "sizes": sizes},
        "video": {
            "network": fastest["network"],
            "engine": fastest["engine"],
            "precision": fastest["precision"],
            "files_included": file_seconds is not None,
            "fps": video,
        },
        "timed_at": list(timed),
    }
    return found | {"lines": _lines(found)}


def _lines(found: Figures) -> list[str]:
    live, video = found["live"], found["video"]
    held = ", ".join(
        f"{precision} {size or 'less than ' + _text(_LIVE_SIZES[-1])}"
        for precision, size in live["sizes"].items()
    )
    rates = ", ".join(f"{fps:g} fps at {size}" for size, fps in video["fps"].items())
    what = f"{video['network']} network, {video['engine']} {video['precision']}"
    if not video["files_included"]:
        what += "; without reading and writing the film"
    timed = " and ".join(found["timed_at"])
    lines = [
        f"live video at {live['fps']} fps, painted in full: {held} ({live['network']} network)",
        f"impasto video: about {rates} ({what})",
    ]
    if {*video["fps"]} - {*found["timed_at"]}:
        lines.append(f"timed at {timed}; the other sizes are computed from their area")
    return lines


def _live_size(rows: Sequence[Figures], precision: str) -> str | None:
    """The largest size that the fastest engine of a precision paints with time to spare."""
    fastest = max((r for r in rows if _precision(r) == precision), key=_pixels_per_second)
    engine = [row for row in rows if _runs(row) == _runs(fastest)]
    for size in _LIVE_SIZES:
        if _seconds(engine, size) <= _NETWORK_SHARE / LIVE_FPS:
            return _text(size)
    return None


def _seconds(rows: Sequence[Figures], size: Size) -> float:
    """What a frame of this size takes: that of the nearest size, in proportion to the area."""
    pixels = _pixels(size)

    def distance(row: Figures) -> float:
        timed = row["height"] * row["width"]
        return max(pixels / timed, timed / pixels)

    return pixels / _pixels_per_second(min(rows, key=distance))


def _pixels_per_second(row: Figures) -> float:
    fps: float = row["fps"]
    return fps * row["height"] * row["width"]


def _runs(row: Figures) -> tuple[Any, ...]:
    """What a row was timed with, but for the size."""
    return tuple(row.get(key) for key in ("network", "engine", "precision", "device", "folded"))


def _precision(row: Figures) -> str:
    """The precision, and the device if it is neither the CPU nor a CUDA one."""
    on = "" if row["device"] in ("cpu", "cuda") else f" on {row['device']}"
    return f"{row['precision']}{on}"


def _pixels(size: Size) -> int:
    return size[0] * size[1]


def _text(size: Size) -> str:
    return f"{size[1]}x{size[0]}"
