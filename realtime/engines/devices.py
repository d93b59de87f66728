"""The devices that networks run on, by the names of `--device`, and which of them this machine has.

The CPU and NVIDIA's GPUs are known. The others are experimental: what they paint is compared with
the CPU before they are used (see `select`).
"""

import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from impasto.models import machine_cache
from impasto.models.errors import EngineError, first_line
from impasto.realtime.engines.cuda import cuda_devices

_INTEL = "0x8086"  # the vendor, in PCI's numbers
_DEVICE_FILES = Path("/")  # of Linux


@dataclass(frozen=True)
class Device:
    """A device that has to be tried.

    engine: what runs a network on it. precisions: the fastest first. likely: whether this kind of
    machine may have it, without loading anything. missing: asked of a likely one: why it cannot be
    used; None if it can be.
    """

    name: str
    title: str
    engine: str
    precisions: tuple[str, ...]
    likely: Callable[[], bool]
    missing: Callable[[], str | None]


def has_intel_gpu() -> bool:
    """Whether this may be a machine with one; Windows does not say without its own interfaces."""
    if sys.platform == "linux":
        vendors = _DEVICE_FILES.glob("sys/class/drm/renderD*/device/vendor")
        in_wsl = (_DEVICE_FILES / "dev/dxg").exists()
        return in_wsl or any(_INTEL in _text(file) for file in vendors)
    return sys.platform == "win32"


def has_intel_npu() -> bool:
    """Whether this may be a machine with one."""
    on_linux = sys.platform == "linux" and (_DEVICE_FILES / "dev/accel").exists()
    return on_linux or sys.platform == "win32"


def is_apple_silicon() -> bool:
    """Whether this is a Mac with Apple's processor."""
    return sys.platform == "darwin" and platform.machine() == "arm64"


def is_windows() -> bool:
    """Whether this is Windows."""
    return sys.platform == "win32"


def openvino_device(name: str) -> Callable[[], str | None]:
    """A function that tells why OpenVINO cannot use its device `name`, such as "GPU"."""

    def missing() -> str | None:
        if find_spec("openvino") is None:
            return "OpenVINO is not installed: pip install 'impasto[openvino]'"
        import openvino

        found = openvino.Core().available_devices  # GPU, or GPU.0 and GPU.1
        if any(device.partition(".")[0] == name for device in found):
            return None
        return f"OpenVINO finds no {name}: it needs Intel's driver"

    return missing


def onnx_provider(name: str, advice: str) -> Callable[[], str | None]:
    """A function that tells why ONNX Runtime cannot use a provider."""

    def missing() -> str | None:
        import onnxruntime

        if name in onnxruntime.get_available_providers():
            return None
        return f"this build of ONNX Runtime lacks it: {advice}"

    return missing


def mps() -> str | None:
    """Why PyTorch cannot use Apple's GPU; None if it can."""
    import torch

    return (
        None if torch.backends.mps.is_available() else "PyTorch does not support it on this macOS"
    )


EXPERIMENTAL = {
    device.name: device
    for device in (
        Device(
            "gpu",
            "Intel GPU",
            "openvino",
            ("fp16", "fp32"),
            has_intel_gpu,
            openvino_device("GPU"),
        ),
        Device("npu", "Intel NPU", "openvino", ("fp16",), has_intel_npu, openvino_device("NPU")),
        Device("mps", "Apple GPU", "torch", ("fp16", "fp32"), is_apple_silicon, mps),
        Device(
            "coreml",
            "Apple GPU and Neural Engine",
            "onnxruntime",
            ("fp32",),
            is_apple_silicon,
            onnx_provider("CoreMLExecutionProvider", "pip install onnxruntime"),
        ),
        Device(
            "directml",
            "GPU of Windows, by DirectX 12",
            "onnxruntime",
            ("fp32",),
            is_windows,
            onnx_provider(
                "DmlExecutionProvider",
                "pip uninstall onnxruntime-gpu, then pip install onnxruntime-directml",
            ),
        ),
    )
}
NAMES = ("auto", "cpu", "cuda", *EXPERIMENTAL)


def problem_with(name: str) -> str | None:
    """Why this machine has no device `name` of EXPERIMENTAL; None if it has it."""
    device = EXPERIMENTAL[name]
    if not device.likely():
        return f"this machine has no {device.title}"
    try:
        return device.missing()
    except Exception as error:  # of a driver, or a damaged installation
        return first_line(error)


def require(name: str) -> None:
    """Raise EngineError, with what this machine has, for an unknown or missing device."""
    if name not in NAMES:
        raise EngineError(f"unknown device {name!r}; use {', '.join(NAMES[1:])} or auto")
    if name == "cuda" and not cuda_devices():
        raise EngineError(
            "no CUDA device found: check that nvidia-smi shows one, or use --device cpu"
        )
    problem = problem_with(name) if name in EXPERIMENTAL else None
    if problem is not None:
        has = ["cpu", *(["cuda"] if cuda_devices() else [])]
        has += [device.name for device in EXPERIMENTAL.values() if device.likely()]
        others = " or ".join(device for device in has if device != name)
        raise EngineError(f"{name} cannot be used ({problem}): use --device {others}")


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Remember a device whose driver ends the program within this block, or hangs until Ctrl-C."""
    machine_cache.store("device in use", name, value=True)
    try:
        yield
    except Exception:
        machine_cache.store("device in use", name, value=False)
        raise
    machine_cache.store("device in use", name, value=False)


def ended_the_program(name: str) -> bool:
    """Whether a `guarded` block of this device has begun, the last time, and never ended."""
    return machine_cache.load("device in use", name) is True


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
