"""How fast the networks are on this machine, against each other and its own limit.

Everything is measured in turns, in one process: each round times every case once, so that whatever
else the machine does falls on all of them alike. Medians and spread are over the rounds.
"""

import copy
import os
import platform
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import Any

import av
import numpy as np
import onnxruntime
import torch
from torch import nn

from impasto.models.architectures import ARCHITECTURES
from impasto.models.classic import ClassicNet
from impasto.models.errors import EngineError, SourceError
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.select import open_engine
from impasto.realtime.engines.torch_engine import DTYPES, precisions
from impasto.realtime.frame import Frame
from impasto.realtime.measure.bench_convert import convert_in_new_process
from impasto.realtime.measure.bench_gpu import gpu_engines, rates, time_on_device
from impasto.realtime.measure.doctor import version_of
from impasto.realtime.stylizer import UPDATE_INTERVAL, Stylizer

SIZES = ((360, 640), (720, 1280), (1080, 1920))  # (height, width)
CLIP = Path(__file__).parents[2] / "samples" / "harbor.mp4"
Figures = dict[str, Any]
Say = Callable[[str], None]


def bench(
    style: str,
    *,
    clip: Path | None = CLIP,
    device: str = "cpu",
    sizes: tuple[tuple[int, int], ...] = SIZES,
    rounds: int = 7,
    quick: bool = False,
    say: Say = lambda text: None,
) -> Figures:
    """Measure everything; returns plain data, ready for JSON.

    style: what the clip is converted with, as for `models.styles.load_style`; the networks alone
    are timed untrained, which is as fast. clip: None leaves the conversion out. sizes: (height,
    width). quick: 640x360 and three rounds, under a minute on two cores. say: is given a line as
    each part begins. Raises WeightsError, SourceError and EngineError.

    "networks": a row a network, engine, precision and size; `folded` is a video with carried
    statistics, a refresh every fifth frame included; not folded, every frame by itself.
    "limit": the best that a large matrix product or convolution reaches, in 10^9 floating-point
    operations a second, a multiply-add counting two. "on_gpu", where there is one: our network
    without copies from and to the host, see `bench_gpu.time_on_device`. "end_to_end": one
    conversion, in a process of its own, so that its start and its memory are its own too.
    """
    if quick:
        sizes, rounds = SIZES[:1], 3
    if clip is not None and not clip.is_file():
        raise SourceError(f"there is no clip {clip} to convert; name one, or leave it out")
    say("limit")
    figures: Figures = {"limit": {p: limit(p, device) for p in precisions(device)}}
    figures["networks"] = []
    for size in sizes:
        say(f"networks at {size[1]}x{size[0]}")
        figures["networks"] += time_networks(size, device=device, rounds=rounds)
    if device == "cuda":
        say("networks on the GPU alone")
        ours = gpu_engines(TransformNet(next(iter(ARCHITECTURES))).eval())
        figures["on_gpu"] = [row for size in sizes for row in time_on_device(ours, size)]
    if clip is not None:
        say(f"conversion of {clip.name}")
        figures["end_to_end"] = convert_in_new_process(clip, style, device)
    figures["machine"] = machine(device)
    return figures


def time_networks(size: tuple[int, int], *, device: str, rounds: int) -> list[Figures]:
    """Every network on every engine and precision at (height, width), in turns."""
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


def in_turns(cases: list[Callable[[], int]], rounds: int) -> list[list[float]]:
    """Seconds for each unit of work of each case, round by round, after one round to warm up.

    A case does some work and returns how many units it did.
    """
    seconds: list[list[float]] = [[] for _ in cases]
    for _ in range(1 + rounds):
        for case, times in zip(cases, seconds, strict=True):
            began = perf_counter()
            count = case()
            times.append((perf_counter() - began) / count)
    return [times[1:] for times in seconds]


def _engines(network: nn.Module, device: str) -> list[Engine]:
    engines: list[Engine] = [
        open_engine(network, engine="torch", device=device, precision=precision)
        for precision in precisions(device)
    ]
    for name, precision in (("onnxruntime", "auto"), ("openvino", "auto"), ("openvino", "int8")):
        with suppress(EngineError):  # it is not here: then there is nothing to time
            engines.append(open_engine(network, engine=name, precision=precision, device=device))
    return engines


def stylizing(engine: Engine, size: tuple[int, int], *, folded: bool) -> Callable[[], int]:
    """A video of one frame over and over, as long as it takes to come round to the next refresh."""
    stylizer = Stylizer(engine, is_video=folded, ahead=False)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    frame = Frame(image, 0, Fraction(1))
    count = UPDATE_INTERVAL if folded else 1
    return lambda: len(list(stylizer([[frame]] * count)))


@torch.inference_mode()
def multiply_adds(network: nn.Module, size: tuple[int, int]) -> int:
    """Of all convolutions of `network` for one picture of (height, width), padding included."""
    counts: list[int] = []

    def count(conv: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        assert isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
        # A product for every weight at every place: of the output, or of the input if transposed.
        places = inputs[0] if isinstance(conv, nn.ConvTranspose2d) else output
        counts.append(conv.weight.numel() * places.shape[2] * places.shape[3])

    network = copy.deepcopy(network).to("meta")  # shapes alone: nothing is computed
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    for module in network.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(count)
    network(torch.zeros(1, 3, *size, device="meta"))
    return sum(counts)


@torch.inference_mode()
def limit(precision: str, device: str) -> Figures:
    """What this machine can do at best: a 2048 x 2048 matrix product; 64 to 64 channels by 3x3."""
    dtype = DTYPES[precision]
    matrix = torch.rand(2048, 2048, device=device, dtype=dtype)
    picture = torch.rand(1, 64, 180, 320, device=device, dtype=dtype)
    picture = picture.to(memory_format=torch.channels_last)
    conv = nn.Conv2d(64, 64, 3, padding=1, device=device, dtype=dtype)
    conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def done(result: torch.Tensor) -> int:
        result.flatten()[0].item()  # a GPU has finished when its result is here
        return 1

    product, convolution = in_turns([lambda: done(matrix @ matrix), lambda: done(conv(picture))], 5)
    matmul = 2 * 2048**3 / min(product) / 1e9
    conv2d = 2 * 64 * 64 * 9 * 180 * 320 / min(convolution) / 1e9
    return {
        "gflops": max(matmul, conv2d),
        "matmul_gflops": matmul,
        "convolution_gflops": conv2d,
    }


def machine(device: str) -> Figures:
    """What the figures were measured on."""
    return {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "vector_units": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "openvino": version_of("openvino"),
        "av": av.__version__,
        "numpy": np.__version__,
    }
