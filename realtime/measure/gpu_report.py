"""Everything that wants a GPU, in one call: its tests, and its figures ready for BENCHMARKS.md.

    python -m impasto.realtime.measure.gpu_report --out FOLDER

writes report.json and report.md into FOLDER, and a log of each part. Each part is a process of its
own with a limit of time; one that fails or is too slow is told, and the others go on. Exit code 1:
there is no CUDA device, or a part has failed.
"""

import argparse
import json
import logging
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

ROOT = Path(__file__).parents[2]
STYLE = "great_wave"
SIZE = (1080, 1920)  # height, width
Found = dict[str, Any]
_log = logging.getLogger("gpu_report")


class Part(NamedTuple):
    """What is run, and for how long at most."""

    name: str
    minutes: float
    work: Callable[[str], Found]  # given the device


# The parts. What they import is heavy, and each runs in a process of its own.


def tests(device: str) -> Found:
    """The tests that are marked `gpu`, from a copy of the repository."""
    if not (ROOT / "tests").is_dir():
        return {"ran": False, "line": "no tests here: run it from a copy of the repository"}
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-rs", "--tb=short", "tests"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = ran.stdout.strip().splitlines()
    return {
        "ran": True,
        "passed": ran.returncode == 0,
        "line": lines[-1] if lines else ran.stderr.strip()[-300:],
        "output": lines[-200:],
    }


def network(device: str) -> Found:
    """Our network alone, on frames that are on the GPU; ONNX Runtime against PyTorch."""
    from impasto.models.architectures import ARCHITECTURES
    from impasto.models.transform_net import TransformNet
    from impasto.realtime.measure.bench import machine
    from impasto.realtime.measure.bench_gpu import gpu_engines, time_on_device

    engines = gpu_engines(TransformNet(next(iter(ARCHITECTURES))).eval())
    rows = time_on_device(engines, SIZE)
    notes = [f"{engine.name}: {note}" for engine in engines for note in engine.notes]
    return {"rows": rows, "notes": notes, "machine": machine(device)}


def providers(device: str) -> Found:
    """What ONNX Runtime gains or loses by settings of its CUDA provider."""
    from impasto.models.styles import load_weights
    from impasto.realtime.engines.onnx_gpu import OnnxGpuEngine
    from impasto.realtime.frame import ColorTags
    from impasto.realtime.measure.bench_gpu import time_on_device

    rows: list[Found] = []
    for options in ({}, {"prefer_nhwc": "1"}, {"enable_cuda_graph": "0"}, {"fuse_conv_bias": "1"}):
        said = ", ".join(f"{name}={value}" for name, value in options.items()) or "as shipped"
        try:
            engine = OnnxGpuEngine(
                load_weights(STYLE), provider=device, color=ColorTags(1, 1, 1), options=options
            )
            found = time_on_device([engine], SIZE, batches=(1, 4))
        except Exception as error:  # a setting may fail in any way: that is what is asked
            rows.append({"options": said, "error": first_line(error)})
        else:
            rows += [row | {"options": said} for row in found]
    return {"rows": rows}


def conversion(device: str) -> Found:
    """A film of 1920x1080 from file to file: each engine, a batch, NVDEC and NVENC."""
    from impasto.realtime.measure.bench_convert import convert_in_new_process

    rows: list[Found] = []
    with TemporaryDirectory() as folder:
        clip = full_hd_clip(Path(folder))
        for options in (
            {"engine": "torch"},
            {"engine": "torch", "batch": 4},
            {"engine": "onnxruntime"},
            {"engine": "torch", "hwaccel": "cuda"},
            {"engine": "torch", "codec": "h264_nvenc"},
            {"engine": "torch", "hwaccel": "cuda", "codec": "h264_nvenc"},
        ):
            try:
                rows.append(convert_in_new_process(clip, STYLE, device, **options))  # type: ignore[arg-type]
            except Exception as error:  # no encoder on this GPU, say
                rows.append(options | {"error": first_line(error)})
    return {"rows": rows}


def gatys(device: str) -> Found:
    """512x512, 300 steps."""
    from impasto.realtime.measure.bench_gatys import bench_gatys

    return bench_gatys(STYLE, device=device)


def bench(device: str) -> Found:
    """`impasto bench --device cuda`, but for what the other parts measure."""
    from impasto.realtime.measure.bench import bench as measure

    return measure(STYLE, device=device, rounds=5)


PARTS = (
    Part("tests", 8, tests),
    Part("network", 4, network),
    Part("conversion", 8, conversion),
    Part("gatys", 4, gatys),
    Part("providers", 4, providers),
    Part("bench", 8, bench),
)


def full_hd_clip(folder: Path, *, size: tuple[int, int] = SIZE, rate: int = 90) -> Path:
    """The sample clip at 1920x1080, each frame three times, for it is short."""
    from impasto.realtime.files.codecs import EncoderOptions
    from impasto.realtime.files.convert import stylize_video
    from impasto.realtime.measure.bench import CLIP

    clip = folder / "full_hd.mp4"
    as_it_is = lambda batches: (frame for batch in batches for frame in batch)  # noqa: E731
    encoder = EncoderOptions(preset="veryfast")
    stylize_video(CLIP, clip, as_it_is, size=size, frame_rate=rate, encoder=encoder)
    return clip


# All of them, one after the other.


def report(folder: Path, *, device: str = "cuda", parts: Sequence[Part] = PARTS) -> Found:
    """Run the parts; what each has found, or its error, by its name."""
    folder.mkdir(parents=True, exist_ok=True)
    found: Found = {}
    for part in parts:
        _log.info("%s, at most %g minutes", part.name, part.minutes)
        found[part.name] = in_new_process(part, folder, device)
        if error := found[part.name].get("error"):
            _log.info("%s: %s", part.name, error)
        (folder / "report.json").write_text(json.dumps(found, indent=1))
        (folder / "report.md").write_text(markdown(found))
    return found


def in_new_process(part: Part, folder: Path, device: str) -> Found:
    """What one part has found, with its seconds; or an error, with the log's name."""
    answer, log = folder / f"{part.name}.json", folder / f"{part.name}.log"
    answer.unlink(missing_ok=True)
    command = [sys.executable, "-m", "impasto.realtime.measure.gpu_report", "--out", str(folder)]
    began = perf_counter()
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, "--part", part.name, "--device", device],
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            start_new_session=True,  # so that what it has started can be ended with it
        )
        try:
            process.wait(60 * part.minutes)
            found = json.loads(answer.read_text())
        except subprocess.TimeoutExpired:
            _end(process)
            found = {"error": f"not done within {part.minutes:g} minutes; see {log.name}"}
        except (OSError, ValueError):  # no answer, or half of one
            lines = log.read_text().strip().splitlines()
            found = {"error": f"{lines[-1] if lines else 'it failed'} (see {log.name})"}
        except BaseException:  # Ctrl-C
            _end(process)
            raise
    return found | {"seconds": perf_counter() - began}


def _end(process: subprocess.Popen) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def markdown(found: Found) -> str:
    """A section for BENCHMARKS.md."""
    lines = ["## An NVIDIA GPU", ""]
    machine = found.get("network", {}).get("machine")
    if machine:
        lines += [
            f"{machine['gpu']}, {machine['cores']} cores; torch {machine['torch']}, onnxruntime "
            f"{machine['onnxruntime']}, PyAV {machine['av']}; "
            "`python -m impasto.realtime.measure.gpu_report`.",
            "",
        ]
    for name, part in found.items():
        if error := part.get("error"):
            lines += [f"{name}: {error}", ""]
    if line := found.get("tests", {}).get("line"):
        lines += [f"Tests marked `gpu`: {line}", ""]
    lines += _network_lines(found.get("network", {}).get("rows", ()))
    lines += [f"Said: {note}" for note in found.get("network", {}).get("notes", ())]
    lines += _table(
        "ONNX Runtime by settings of its CUDA provider",
        ("settings", "batch", "frames a second"),
        [
            (r["options"], r.get("batch", ""), r.get("error") or f"{r['fps']:.0f}")
            for r in found.get("providers", {}).get("rows", ())
        ],
    )
    lines += _table(
        "From file to file, 1920x1080",
        ("engine", "batch", "decoder", "encoder", "fps", "from the first frame on", "network alone")
        + ("decode, stylise, encode, ms", "first frame"),
        [_conversion_row(row) for row in found.get("conversion", {}).get("rows", ())],
    )
    painted = [(n, found["gatys"][n]) for n in _GATYS if n in found.get("gatys", {})]
    lines += _table(
        "Painting by optimisation, 512x512, 300 steps",
        ("settings", "seconds", "steps a second"),
        [
            (n.replace("_", " "), f"{row['seconds']:.1f}", f"{row['steps_per_second']:.1f}")
            for n, row in painted
        ],
    )
    lines += _table(
        "Through the host, frame by frame (`impasto bench --device cuda`)",
        ("network", "engine", "precision", "norms", "size", "fps"),
        [
            (
                *(r["network"], r["engine"], r["precision"]),
                "carried" if r["folded"] else "each frame's",
                *(f"{r['width']}x{r['height']}", f"{r['fps']:.1f}"),
            )
            for r in found.get("bench", {}).get("networks", ())
        ],
    )
    return "\n".join(lines).rstrip() + "\n"


_GATYS = ("plain", "coarse_to_fine", "default")


def _network_lines(rows: Sequence[Found]) -> list[str]:
    """Frames a second by batch, and ONNX Runtime as a share of PyTorch."""
    engines = list(dict.fromkeys((row["engine"], row["precision"]) for row in rows))
    fps = {(row["engine"], row["batch"]): row["fps"] for row in rows}
    batches = sorted({row["batch"] for row in rows})
    table = []
    for batch in batches:
        figures = [fps.get((engine, batch)) for engine, _ in engines]
        known = {engine: fps.get((engine, batch)) for engine in ("torch", "onnxruntime")}
        share = ""
        if known["torch"] and known["onnxruntime"]:
            share = f"{known['onnxruntime'] / known['torch']:.0%}"
        table.append((batch, *("" if f is None else f"{f:.0f}" for f in figures), share))
    columns = ("batch", *(f"{name} {precision}" for name, precision in engines))
    return _table(
        "The network alone, 1920x1080, frames on the GPU, frames a second",
        (*columns, "onnxruntime / torch"),
        table,
    )


def _conversion_row(row: Found) -> tuple[Any, ...]:
    named = (
        row["engine"],
        row.get("batch", 1),
        row.get("hwaccel") or "CPU",
        row.get("codec", "h264"),
    )
    if "error" in row:
        return (*named, row["error"], "", "", "", "")
    busy = ", ".join(f"{row[f'{part}_ms']:.1f}" for part in ("decode", "stylize", "encode"))
    rates = (f"{row[name]:.0f}" for name in ("fps", "steady_fps", "network_fps"))
    return (*named, *rates, busy, f"{row['first_frame_s']:.1f} s")


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    if not rows:
        return []
    lines = [f"### {title}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in rows]
    return [*lines, ""]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    from impasto.realtime.engines.cuda import cuda_devices

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for what is found")
    parser.add_argument("--part", choices=[part.name for part in PARTS], help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if given.device == "cuda" and not cuda_devices():
        _log.error("no CUDA device is to be had here: check that nvidia-smi shows one")
        return 1
    if given.part:
        (part,) = (part for part in PARTS if part.name == given.part)
        found = part.work(given.device)
        (given.out / f"{part.name}.json").write_text(json.dumps(found))
        return 0
    found = report(given.out)
    _log.info("%s", given.out / "report.md")
    failed = any("error" in part for part in found.values())
    return int(failed or not found["tests"].get("passed", True))


if __name__ == "__main__":
    sys.exit(main())
