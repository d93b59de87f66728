"""Figures of the benchmarks, printed for reading."""

from collections.abc import Sequence
from typing import Any

from impasto.realtime.cli.terminal import print_line, show_nested, show_table

Figures = dict[str, Any]


def show_bench(figures: Figures) -> None:
    """Print the figures of `measure.bench.bench`."""
    _show_networks(figures["networks"])
    if on_gpu := figures.get("on_gpu"):
        columns = ("on the GPU alone", "engine", "precision", "size", "batch", "fps")
        named = ("network", "engine", "precision")
        rows = [
            (*(r[name] for name in named), _size(r), r["batch"], f"{r['fps']:.0f}") for r in on_gpu
        ]
        show_table(columns, rows)
    for precision, limit in figures["limit"].items():
        matmul, conv = limit["matmul_gflops"], limit["convolution_gflops"]
        line = f"{matmul:.0f} gflops (matrix product), {conv:.0f} (convolution)"
        print_line(f"limit in {precision}: {line}")
    if conversion := figures.get("end_to_end"):
        _show_conversion(conversion)
    else:
        print_line("no conversion was timed: name a clip with --clip")
    show_nested("machine", figures["machine"])
    for line in figures["summary"]["lines"]:
        print_line(line)


def _show_networks(rows: Sequence[Figures]) -> None:
    def case(row: Figures) -> tuple[Any, ...]:
        return row["engine"], row["precision"], row["width"]

    classic = {case(row): row["fps"] for row in rows if row["network"] == "classic"}
    columns = ("network", "engine", "precision", "norms", "size", "fps", "ms a frame", "x classic")
    table = []
    for row in rows:
        spread = f"{row['ms']:.1f} ({row['ms_min']:.1f} to {row['ms_max']:.1f})"
        peer = classic.get(case(row))  # there is no classic network in int8
        times = "" if peer is None else f"{row['fps'] / peer:.1f}"
        norms = "running" if row["folded"] else "instance"
        named = (row["network"], row["engine"], row["precision"], norms, _size(row))
        table.append((*named, f"{row['fps']:.1f}", spread, times))
    show_table(columns, table)


def _show_conversion(row: Figures) -> None:
    print_line(
        f"{row['clip']} from end to end: {row['fps']:.1f} fps, "
        f"{row['fps'] / row['network_fps']:.0%} of the network alone "
        f"({row['network']}, {row['network_fps']:.1f} fps, {row['engine']} {row['precision']}); "
        f"first frame after {row['first_frame_s']:.1f} s, "
        f"{row['steady_fps']:.1f} fps from it on"
    )
    parts = {part: f"{row[part + '_ms']:.1f} ms" for part in ("decode", "stylize", "encode")}
    print_line("busy a frame: " + ", ".join(f"{part} {time}" for part, time in parts.items()))
    print_line(f"processor time a frame, of all cores: {row['processor_ms']:.1f} ms")
    if row["peak_memory_mb"]:
        print_line(f"peak memory: {row['peak_memory_mb']:.0f} MB")


def _size(row: Figures) -> str:
    return f"{row['width']}x{row['height']}"


def show_live(figures: Figures) -> None:
    """Print the figures of `measure.bench_live.bench_live`."""
    delay, scale, memory = figures["delay_ms"], figures["working_scale"], figures["rss_mb"]
    print_line(
        f"{_size(figures)}, {figures['target_fps']} fps wanted, "
        f"{figures['shown_fps']:.1f} shown for {figures['seconds']:.0f} s "
        f"({figures['engine']} {figures['precision']}), {figures['dropped']} dropped"
    )
    p50, p95, most = (f"{delay[name]:.0f}" for name in ("p50", "p95", "max"))
    print_line(f"delay: half within {p50} ms, 95% {p95}, all {most}")
    print_line(f"stylized at {scale['median']:.0%} of the size, at least {scale['min']:.0%}")
    if figures["moved_frames"]:
        print_line(f"paint moved along with the picture: {figures['moved_frames']} frames")
    print_line(f"processor time: {figures['cpu_seconds']:.0f} s")
    other = figures["other_ms"]
    parts = ", ".join(f"{part} {other[part]:.1f}" for part in ("camera", "scaling", "window"))
    print_line(f"without the network: {other['all']:.1f} ms of one core a frame ({parts})")
    if memory["start"] is not None:
        print_line(f"memory: {memory['start']:.0f} MB at the start, {memory['end']:.0f} at the end")
    show_nested("machine", figures["machine"])


def show_gatys(figures: Figures) -> None:
    """Print the figures of `measure.bench_gatys.bench_gatys`."""
    from impasto.realtime.measure.bench_gatys import tables

    for columns, rows in tables(figures):
        show_table(columns, rows)
    show_nested("limit", figures["limit"])
    show_nested("machine", figures["machine"])
