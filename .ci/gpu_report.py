"""Run everything that needs an NVIDIA GPU, and write the figures as a section for BENCHMARKS.md.

    .venv/bin/python .ci/gpu_report.py --out FOLDER

Each part runs in a separate process with a time limit; a part that fails or takes too long is
reported, and the others still run. FOLDER gets report.md, report.json and a log of each part.
Exit code 1: there is no CUDA device, or a part has failed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

from impasto.models.errors import first_line
from impasto.realtime.engines.cuda import cuda_devices

ROOT = Path(__file__).parents[1]
STYLE = "great_wave"
SIZE = (1080, 1920)  # height, width
Figures = dict[str, Any]  # plain data, ready for JSON


class Part(NamedTuple):
    """A function that measures, and its time limit."""

    name: str
    minutes: float
    measure: Callable[[str], Figures]  # given the device


# --- Parts: what they import is heavy, and each runs in a separate process --------------------


def tests(device: str) -> Figures:
    """The tests that are marked `gpu`."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "-m",
        "gpu",
        "-rs",
        "--tb=short",
        "tests",
    ]
    environment = {**os.environ, "IMPASTO_REQUIRE_GPU": "1"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    lines = ran.stdout.strip().splitlines() or ran.stderr.strip().splitlines() or ["no output"]
    return {"passed": ran.returncode == 0, "line": lines[-1], "output": lines[-200:]}


def network(device: str) -> Figures:
    """The network on frames that are on the GPU already; ONNX Runtime against PyTorch."""
    from impasto.models.architectures import ARCHITECTURES
    from impasto.models.transform_net import TransformNet
    from impasto.realtime.measure.bench_gpu import gpu_engines, time_on_device
    from impasto.realtime.measure.timing import machine

    engines = gpu_engines(TransformNet(next(iter(ARCHITECTURES))).eval())
    rows = time_on_device(engines, SIZE)
    notes = [f"{engine.name}: {note}" for engine in engines for note in engine.notes]
    return {"rows": rows, "notes": notes, "machine": machine(device)}


def providers(device: str) -> Figures:
    """ONNX Runtime under different settings of its CUDA provider."""
    from impasto.models.styles import load_weights
    from impasto.realtime.engines.onnx_gpu import OnnxGpuEngine
    from impasto.realtime.frame import ColorTags
    from impasto.realtime.measure.bench_gpu import time_on_device

    def rows_with(options: dict[str, str]) -> list[Figures]:
        color = ColorTags(1, 1, 1)
        weights = load_weights(STYLE)
        engine = OnnxGpuEngine(weights, provider=device, color=color, options=options)
        return time_on_device([engine], SIZE, batches=(1, 4))

    rows: list[Figures] = []
    for options in ({}, {"prefer_nhwc": "1"}, {"enable_cuda_graph": "0"}, {"fuse_conv_bias": "1"}):
        settings = ", ".join(f"{name}={value}" for name, value in options.items()) or "as shipped"
        rows += [row | {"settings": settings} for row in or_error(lambda: rows_with(options))]  # noqa: B023
    return {"rows": rows}


def conversion(device: str) -> Figures:
    """A video of 1920x1080 from file to file: each engine, a batch, NVDEC and NVENC."""
    from impasto.realtime.measure.bench_convert import convert_in_new_process

    rows: list[Figures] = []
    with TemporaryDirectory() as folder:
        clip = full_hd_clip(Path(folder))
        options: dict[str, Any]
        for options in (
            {"engine": "torch"},
            {"engine": "torch", "batch": 4},
            {"engine": "onnxruntime"},
            {"engine": "torch", "hwaccel": "cuda"},
            {"engine": "torch", "codec": "h264_nvenc"},
            {"engine": "torch", "hwaccel": "cuda", "codec": "h264_nvenc"},
        ):
            convert = lambda: [convert_in_new_process(clip, STYLE, device, **options)]  # noqa: B023, E731
            rows += [options | row for row in or_error(convert)]
    return {"rows": rows}


def gatys(device: str) -> Figures:
    """Painting by optimization: 512x512, 300 steps."""
    from impasto.realtime.measure.bench_gatys import bench_gatys

    figures = bench_gatys(STYLE, device=device)
    runs = ("plain", "coarse_to_fine", "default")
    return figures | {"rows": [figures[run] | {"settings": run} for run in runs]}


def bench(device: str) -> Figures:
    """`impasto bench --device cuda`."""
    from impasto.realtime.measure.bench import bench as measure

    figures = measure(STYLE, device=device, rounds=5)
    return figures | {"rows": figures["networks"]}


PARTS = (
    Part("tests", 8, tests),
    Part("network", 4, network),
    Part("conversion", 8, conversion),
    Part("gatys", 4, gatys),
    Part("providers", 4, providers),
    Part("bench", 8, bench),
)


def or_error(measure: Callable[[], list[Figures]]) -> list[Figures]:
    """The rows that `measure` returns, or one with "error": a setting may fail in any way."""
    try:
        return measure()
    except Exception as error:
        return [{"error": first_line(error)}]


def full_hd_clip(folder: Path, *, size: tuple[int, int] = SIZE, rate: int = 90) -> Path:
    """The sample clip at 1920x1080, each frame three times, since it is short."""
    from impasto.realtime.files.codecs import EncoderOptions
    from impasto.realtime.files.convert import stylize_video
    from impasto.realtime.samples import SAMPLE_VIDEO

    clip = folder / "full_hd.mp4"
    unchanged = lambda batches: (frame for batch in batches for frame in batch)  # noqa: E731
    encoder = EncoderOptions(preset="veryfast")
    stylize_video(SAMPLE_VIDEO, clip, unchanged, size=size, frame_rate=rate, encoder=encoder)
    return clip


# --- Running them -------------------------------------------------------------------------------


def report(folder: Path) -> Figures:
    """Run all parts; the figures of each, or its error, by name. Files are written after each."""
    folder.mkdir(parents=True, exist_ok=True)
    figures: Figures = {}
    for part in PARTS:
        log(f"{part.name}, at most {part.minutes:g} minutes")
        figures[part.name] = in_new_process(part, folder, "cuda")
        if error := figures[part.name].get("error"):
            log(f"{part.name}: {error}")
        (folder / "report.json").write_text(json.dumps(figures, indent=1))
        (folder / "report.md").write_text(markdown(figures))
    return figures


def in_new_process(part: Part, folder: Path, device: str) -> Figures:
    """The figures of one part, with its seconds; or an error, with the name of the log."""
    answer, log_file = folder / f"{part.name}.json", folder / f"{part.name}.log"
    answer.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--out", folder, "--part", part.name, "--device", device]
    began = perf_counter()
    with log_file.open("w") as file:
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            start_new_session=True,  # so that its children end with it
        )
        try:
            process.wait(60 * part.minutes)
            figures = json.loads(answer.read_text())
        except subprocess.TimeoutExpired:
            figures = {"error": f"not done within {part.minutes:g} minutes; see {log_file.name}"}
        except (OSError, ValueError):  # no answer, or half of one
            lines = log_file.read_text().strip().splitlines() or ["it failed"]
            figures = {"error": f"{lines[-1]} (see {log_file.name})"}
        finally:  # after Ctrl-C too
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return figures | {"seconds": perf_counter() - began}


def log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# --- A section for BENCHMARKS.md ----------------------------------------------------------------

TABLES = {  # by part: what the table shows, and which figures of a row
    "network": ("The network alone, 1920x1080, frames on the GPU", "engine precision batch fps ms"),
    "providers": ("ONNX Runtime by settings of its CUDA provider", "settings batch fps ms"),
    "conversion": (
        "From file to file, 1920x1080",
        "engine batch hwaccel codec fps steady_fps network_fps decode_ms stylize_ms encode_ms "
        "first_frame_s",
    ),
    "gatys": ("Painting by optimization, 512x512, 300 steps", "settings seconds steps_per_second"),
    "bench": (
        "Through the host, frame by frame (`impasto bench --device cuda`)",
        "network engine precision folded width height fps",
    ),
}


def markdown(figures: Figures) -> str:
    """A section for BENCHMARKS.md: what it ran on, errors, and a table of each part."""
    lines = ["## An NVIDIA GPU", ""]
    if machine := figures.get("network", {}).get("machine"):
        versions = ", ".join(f"{name} {machine[name]}" for name in ("torch", "onnxruntime", "av"))
        lines += [
            f"{machine['gpu']}, {machine['cores']} cores; {versions}; `.ci/gpu_report.py`.",
            "",
        ]
    for name, part in figures.items():
        texts = [part[key] for key in ("error", "line") if key in part] + part.get("notes", [])
        lines += [f"- {name}: {text}" for text in texts]
    for name, (title, columns) in TABLES.items():
        if rows := figures.get(name, {}).get("rows"):
            lines += ["", f"### {title}", "", *table(columns.split(), rows)]
    return "\n".join(lines).rstrip() + "\n"


def table(columns: Sequence[str], rows: Sequence[Figures]) -> list[str]:
    """Rows as a Markdown table; why one has failed is in a last column."""
    if any("error" in row for row in rows):
        columns = [*columns, "error"]
    lines = [columns, ["---"] * len(columns)]
    for row in rows:
        cells = [row.get(column, "") for column in columns]
        lines.append([f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in cells])
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    parser.add_argument("--part", choices=[part.name for part in PARTS], help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not cuda_devices():
        log("no CUDA device found: check that nvidia-smi shows one")
        return 1
    if given.part:
        (part,) = (part for part in PARTS if part.name == given.part)
        answer = json.dumps(part.measure(given.device))
        (given.out / f"{part.name}.json").write_text(answer)
        return 0
    figures = report(given.out)
    log(str(given.out / "report.md"))
    failed = any("error" in part for part in figures.values())
    return int(failed or not figures["tests"]["passed"])


if __name__ == "__main__":
    sys.exit(main())
