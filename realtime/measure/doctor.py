"""Diagnosis of this machine: packages, devices, encoders, cameras and styles, each tried."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from impasto.models.errors import ImpastoError, first_line
from impasto.models.machine_cache import version_of
from impasto.realtime.cpu import cores, same_scheduling
from impasto.realtime.engines.devices import EXPERIMENTAL as EXPERIMENTAL_DEVICES
from impasto.realtime.engines.devices import problem_with

PACKAGES = (
    "torch",
    "torchvision",
    "onnxruntime-gpu",
    "onnxruntime",
    "av",
    "numpy",
    "opencv-python",
    "safetensors",
    "onnx",
    "openvino",
)
_OPTIONAL = {"openvino"}
_EITHER = {"onnxruntime-gpu", "onnxruntime"}  # one is enough
_CPU_FLAGS = (
    *("avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16"),
    *("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"),  # products of bytes
)
# Written from the documentation and tested without a GPU. Remove an entry once it has run on one.
EXPERIMENTAL = (
    "PyTorch on CUDA, with CUDA graphs",
    "ONNX Runtime on CUDA",
    "TensorRT",
    "decoding by NVDEC (--hwaccel cuda)",
    "encoding by NVENC (--codec h264_nvenc, hevc_nvenc, av1_nvenc)",
    *(f"{device.title} (--device {name})" for name, device in EXPERIMENTAL_DEVICES.items()),
)
OK = "ok"


def examine() -> dict[str, Any]:
    """Examine this machine; returns plain data, ready for JSON.

    What was tried is "ok", or one line with the reason why it failed. "experimental": what has
    never run on its hardware. "problems": what keeps `impasto video` from working; normally empty.
    "speed": see `capability.quick_capability`.
    """
    packages = {name: version_of(name) for name in PACKAGES}
    report: dict[str, Any] = {
        "impasto": version_of("impasto"),
        "os": platform.platform(),
        "python": platform.python_version(),
        "packages": packages,
        "cpu": _cpu(),
        "memory_gib": _memory_gib(),
        "gpus": _or_reason(_gpus),
        "devices": _devices(),
        "onnxruntime": _or_reason(_providers),
        "opencv": _or_reason(_opencv),
        "encoders": _or_reason(_encoders),
        "decoding_devices": _or_reason(_decoding_devices),
        "cameras": _or_reason(_cameras),
        "microphones": _or_reason(_microphones),
        "virtual_camera": _or_reason(_virtual_camera),
        "styles": _or_reason(_styles),
        "experimental": list(EXPERIMENTAL),
    }
    report["problems"] = _problems(report)
    report["speed"] = _or_reason(_speed)
    return report


def _speed() -> dict[str, Any]:
    """What the rates of this machine mean, measured in a few seconds."""
    from impasto.models.styles import known_styles
    from impasto.realtime.measure.capability import quick_capability

    return quick_capability(next(iter(known_styles())))


def _problems(report: dict[str, Any]) -> list[str]:
    packages, problems = report["packages"], []
    needed = [name for name in PACKAGES if name not in _EITHER | _OPTIONAL]
    missing = [name for name in needed if packages[name] is None]
    if not any(packages[name] for name in _EITHER):
        missing.append("onnxruntime")
    problems += [f"{name} is not installed: install impasto again" for name in missing]
    for part in ("gpus", "onnxruntime", "encoders", "styles"):
        if isinstance(report[part], str):
            problems.append(f"{part}: {report[part]}")
    encoders, providers, styles = report["encoders"], report["onnxruntime"], report["styles"]
    if isinstance(encoders, dict) and encoders["h264"] != OK:
        problems.append(f"H.264 cannot be written: {encoders['h264']}")
    if isinstance(providers, dict) and providers["CPUExecutionProvider"] != OK:
        problems.append(f"ONNX Runtime does not run: {providers['CPUExecutionProvider']}")
    if isinstance(styles, dict):
        problems += [why for why in styles.values() if why != OK]
        if not styles:
            problems.append("no style is installed: install impasto again")
    return problems


def _or_reason(examine_one: Callable[[], Any]) -> Any:
    """The answer of one examination, or the reason why it failed."""
    try:
        return examine_one()
    except Exception as error:
        return first_line(error)


def _cpu() -> dict[str, Any]:
    """Name, cores, and the instruction sets that make bfloat16 and int8 fast."""
    name, flags = platform.processor() or platform.machine(), []
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        fields = dict(part.split(":", 1) for part in lines if ":" in part)
        fields = {key.strip(): value.strip() for key, value in fields.items()}
        name = fields.get("model name", name)
        supported = fields.get("flags", fields.get("Features", "")).split()
        flags = [flag for flag in _CPU_FLAGS if flag in supported]
    elif sys.platform == "darwin":
        ask = ["sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.run(ask, capture_output=True, text=True).stdout.strip() or name
    return {"name": name, "cores": cores(), "flags": flags}


def _memory_gib() -> float | None:
    """The machine's memory; None where the system does not report it."""
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    return round(size / 2**30, 1)


def _gpus() -> list[dict[str, Any]]:
    import torch

    if not torch.cuda.is_available():
        return []
    gpus = []
    for index in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(index)
        gpus.append(
            {
                "name": gpu.name,
                "memory_gib": round(gpu.total_memory / 2**30, 1),
                "compute_capability": f"{gpu.major}.{gpu.minor}",
            }
        )
    return gpus


def _devices() -> dict[str, str]:
    """The experimental devices, without painting: that is done when one is used."""
    return {name: problem_with(name) or OK for name in EXPERIMENTAL_DEVICES}


def _providers() -> dict[str, str]:
    from impasto.realtime.engines.onnx_gpu import PROVIDERS, provider_error

    return {PROVIDERS[kind]: provider_error(kind) or OK for kind in ("cuda", "cpu")}


def _opencv() -> str:
    import_module("cv2")  # fails where libGL is missing
    return OK


def _encoders() -> dict[str, str]:
    """Every codec of `files.codecs`, opened once."""
    from impasto.realtime.files.codecs import CODECS

    return {name: _opened(name) for name in CODECS}


def _opened(codec: str) -> str:
    from fractions import Fraction

    import av

    from impasto.realtime.files.codecs import CODECS, CONTAINERS, EncoderOptions, encoding_for

    os.environ.setdefault("SVT_LOG", "0")  # or SVT-AV1 prints to the terminal
    extension = next(ext for ext, kind in CONTAINERS.items() if codec in kind.codecs)
    depth = min(CODECS[codec].pixel_formats)
    try:
        encoder = EncoderOptions(codec=codec, bit_depth=depth)
        encoding = encoding_for(Path(f"probe{extension}"), (256, 256), encoder)
        context: Any = av.CodecContext.create(encoding.encoder, "w")
        context.height = context.width = 256
        context.pix_fmt, context.options = encoding.pixel_format, encoding.options
        context.time_base = Fraction(1, 30)
        with same_scheduling():
            context.open()
    except (ImpastoError, av.FFmpegError) as error:
        hardware = CODECS[codec].hardware
        return "did not open: " + (f"it needs {hardware}" if hardware else first_line(error))
    return OK


def _decoding_devices() -> dict[str, str]:
    """Devices that this FFmpeg can decode on, each tried with H.264."""
    import av
    from av.codec.hwaccel import HWAccel, hwdevices_available

    answers = {}
    for kind in hwdevices_available():
        try:
            HWAccel(kind, allow_software_fallback=False).create(av.Codec("h264", "r"))
            answers[kind] = OK
        except av.FFmpegError as error:
            answers[kind] = f"did not open: {error.strerror}"
        except RuntimeError:  # from PyAV, where the decoder does not support the device
            answers[kind] = "does not decode H.264 in this FFmpeg"
    return answers


def _cameras() -> list[str]:
    from impasto.realtime.live.cameras import list_cameras

    return [f"{camera.number}: {camera.name} ({camera.device})" for camera in list_cameras()]


def _microphones() -> list[str]:
    from impasto.realtime.live.microphone import list_microphones

    return list_microphones()


def _virtual_camera() -> str:
    from impasto.realtime.live.virtual_camera import VirtualCamera

    VirtualCamera(size=(480, 640)).close()
    return OK


def _styles() -> dict[str, str]:
    """Every style, loaded, with its checksum."""
    from impasto.models.styles import known_styles, load_style, networks_of

    answers = {}
    for name in known_styles():
        try:
            for network in networks_of(name):
                load_style(name, network=network)
            answers[name] = OK
        except ImpastoError as error:
            answers[name] = first_line(error)
    return answers
