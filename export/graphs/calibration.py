"""The ranges of a style network's activations for int8, measured once on a machine.

Loads ONNX only where they have to be measured.
"""

from hashlib import sha256

from impasto.export.graphs.quantization import ActivationRange
from impasto.models import machine_cache
from impasto.models.styles import StyleWeights


def calibrate(weights: StyleWeights) -> dict[str, ActivationRange]:
    """The ranges of `int8.measure_ranges` for a network of the package's architectures."""
    digest = sha256(weights.architecture.encode())
    for name in sorted(weights.arrays):
        digest.update(weights.arrays[name].tobytes())
    case = "ranges for int8 by weights", digest.hexdigest()
    stored = machine_cache.load(*case)
    try:
        return {name: ActivationRange(*limits) for name, limits in stored.items()}
    except (AttributeError, TypeError):  # nothing, or something else
        import onnx

        from impasto.export.graphs.int8 import measure_ranges
        from impasto.export.graphs.templates import fill_template

        ranges = measure_ranges(onnx.load_from_string(fill_template(weights, "instance")))
        machine_cache.store(*case, value=ranges)
        return ranges
