"""Speed of the networks on this machine, against each other and its limit.

Everything is timed in turns, in one process: each round times every case once, so that other load
on the machine affects all of them alike. Medians and spread are over the rounds.
"""

import copy
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from impasto.models.architectures import ARCHITECTURES
from impasto.models.classic import ClassicNet
from impasto.models.errors import EngineError, SourceError
from impasto.models.styles import choose_network
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.devices import EXPERIMENTAL
from impasto.realtime.engines.options import live_network
from impasto.realtime.engines.select import open_engine
from impasto.realtime.engines.torch_engine import DTYPES, precisions
from impasto.realtime.measure.bench_convert import convert_in_new_process
from impasto.realtime.measure.bench_gpu import gpu_engines, time_on_device
from impasto.realtime.measure.capability import capability
from impasto.realtime.measure.timing import Figures, in_turns, machine, rates, stylizing
from impasto.realtime.samples import SAMPLE_VIDEO

SIZES = ((360, 640), (720, 1280), (1080, 1920))  # (height, width)


def bench(
    style: str,
    *,
    clip: Path | None = SAMPLE_VIDEO,
    device: str = "cpu",
    network: str = "auto",
    sizes: tuple[tuple[int, int], ...] = SIZES,
    rounds: int = 7,
    quick: bool = False,
    log: Callable[[str], None] = lambda part: None,
) -> Figures:
    """Run the benchmark; returns plain data, ready for JSON.

    style, network: of the conversion, as for `models.styles.load_style`; the networks alone are
    timed untrained, which is as fast. clip: None leaves the conversion out. sizes: (height, width).
    quick: 640x360, three rounds and the first second of the clip, under a minute on two cores.
    log: called with the name of each part as it begins.
    Raises WeightsError, SourceError and EngineError.

    "networks": a row for each network, engine, precision and size; "folded": a video with running
    norm statistics, an update every fifth frame included; not folded: every frame with its own
    statistics. "limit": the best that a large matrix product or convolution reaches, in 10^9
    floating-point operations a second; a multiply-add counts as two. "on_gpu", with a GPU: the
    network without copies from and to the host, see `bench_gpu.time_on_device`. "end_to_end": one
    conversion in a new process, start-up and memory included. "summary": what it means, see
    `capability.capability`.
    """
    if quick:
        sizes, rounds = SIZES[:1], 3
    if clip is not None and not clip.is_file():
        raise SourceError(f"there is no clip {clip} to convert; check the name")
    log("limit")
    processor = "cpu" if device in EXPERIMENTAL else device
    figures: Figures = {"limit": {p: limit(p, processor) for p in precisions(processor)}}
    figures["networks"] = []
    for size in sizes:
        log(f"networks at {size[1]}x{size[0]}")
        figures["networks"] += time_networks(size, device=device, rounds=rounds)
    if device == "cuda":
        log("networks on the GPU alone")
        figures["on_gpu"] = [
            {"network": name} | row
            for name in ARCHITECTURES
            for engines in [gpu_engines(TransformNet(name).eval())]
            for size in sizes
            for row in time_on_device(engines, size)
        ]
    if clip is not None:
        log(f"conversion of {clip.name}")
        end = 1.0 if quick else None  # the classic network takes minutes for a whole clip
        figures["end_to_end"] = convert_in_new_process(
            clip, style, device, network=network, end=end
        )
    figures["machine"] = machine(device)
    figures["summary"] = _summary(figures, style, network, device)
    return figures


def _summary(figures: Figures, style: str, network: str, device: str) -> Figures:
    """`capability`, from what was measured."""
    rows, film = figures["networks"], figures.get("end_to_end")
    seconds = None
    if film is not None:
        besides = 1 / film["steady_fps"] - 1 / film["network_fps"]
        seconds = max(0.0, besides) / (film["width"] * film["height"])
    else:
        film = {"network": choose_network(style, network)}
    live = live_network(style, network, device) if network == "auto" else network
    return capability(rows, live=live, film=film, file_seconds=seconds)


def time_networks(size: tuple[int, int], *, device: str, rounds: int) -> list[Figures]:
    """Time every network on every engine and precision at (height, width), in turns."""
    networks: dict[str, nn.Module] = {form: TransformNet(form) for form in ARCHITECTURES}
    networks["classic"] = ClassicNet()
    height, width = size
    rows: list[Figures] = []
    cases: list[Callable[[], int]] = []
    for name, network in networks.items():
        macs = multiply_adds(network.eval(), size) / (height * width)
        for engine in _engines(network, device):
            for folded in (True, False) if engine.has_running_statistics else (False,):
                rows.append(
                    {
                        "network": name,
                        "engine": engine.name,
                        "precision": engine.precision,
                        "device": engine.device,
                        "folded": folded,
                        "width": width,
                        "height": height,
                        "multiply_adds_per_pixel": round(macs),
                    }
                )
                cases.append(stylizing(engine, size, folded=folded))
    for row, seconds in zip(rows, in_turns(cases, rounds), strict=True):
        row |= rates(seconds)
    return rows


def _engines(network: nn.Module, device: str) -> list[Engine]:
    if device in EXPERIMENTAL:  # beside the CPU, with which it is compared
        tried = [
            open_engine(network, device=device, precision=precision)
            for precision in EXPERIMENTAL[device].precisions
        ]
        return [engine for engine in tried if engine.device == device] + _engines(network, "cpu")
    engines: list[Engine] = [
        open_engine(network, engine="torch", device=device, precision=precision)
        for precision in precisions(device)
    ]
    exact = precisions(device)[0]
    for name, precision in (("onnxruntime", "auto"), ("openvino", exact), ("openvino", "int8")):
        with suppress(EngineError):  # not installed
            engines.append(open_engine(network, engine=name, precision=precision, device=device))
    return engines


@torch.inference_mode()
def multiply_adds(network: nn.Module, size: tuple[int, int]) -> int:
    """Multiply-adds of all convolutions of `network` for one image of (height, width)."""
    counts: list[int] = []

    def count(conv: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        assert isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
        # Every weight is used once at each position of the output, or of the input if transposed.
        positions = inputs[0] if isinstance(conv, nn.ConvTranspose2d) else output
        counts.append(conv.weight.numel() * positions.shape[2] * positions.shape[3])

    network = copy.deepcopy(network).to("meta")  # shapes only
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    for module in network.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(count)
    network(torch.zeros(1, 3, *size, device="meta"))
    return sum(counts)


@torch.inference_mode()
def limit(precision: str, device: str) -> Figures:
    """The best this machine reaches: a 2048 x 2048 matrix product; 64 to 64 channels by 3x3."""
    dtype = DTYPES[precision]
    matrix = torch.rand(2048, 2048, device=device, dtype=dtype)
    picture = torch.rand(1, 64, 180, 320, device=device, dtype=dtype)
    picture = picture.to(memory_format=torch.channels_last)
    conv = nn.Conv2d(64, 64, 3, padding=1, device=device, dtype=dtype)
    conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def done(result: torch.Tensor) -> int:
        result.flatten()[0].item()  # waits for a GPU
        return 1

    product, convolution = in_turns([lambda: done(matrix @ matrix), lambda: done(conv(picture))], 5)
    matmul = 2 * 2048**3 / min(product) / 1e9
    conv2d = 2 * 64 * 64 * 9 * 180 * 320 / min(convolution) / 1e9
    return {
        "gflops": max(matmul, conv2d),
        "matmul_gflops": matmul,
        "convolution_gflops": conv2d,
    }
