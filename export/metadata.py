"""Metadata of exported files: the style, its painting and artist, inputs and outputs."""

import json
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import onnx

from impasto.export.spec import FRAMES, STYLIZED, WEIGHTS, GraphPrecision, TensorLayout, describe
from impasto.models.errors import SourceError
from impasto.models.styles import (
    architecture_of,
    known_styles,
    manifest,
    parse_blend,
    short_name,
    style_file,
    style_in,
)

_VERSION = "impasto"  # the key of our version, which every exported file has


def style_metadata(
    spec: str, *, strength: float, network: str, interactive: bool
) -> dict[str, str]:
    """Metadata about a style or a blend: its paintings, artists, recipes and credits.

    network: its architecture.
    """
    shares, known = parse_blend(spec), known_styles()
    rows = [
        known[name] if name in known else style_in(style_file(name, network)) for name in shares
    ]
    style = spec
    for name in shares:
        style = style.replace(name, short_name(name))
    metadata = {"style": style, "strength": f"{strength:g}", "network": network}
    for field in ("painting", "artist", "year", "licence"):
        values = filter(None, (getattr(row, field) for row in rows))
        metadata[field] = " + ".join(dict.fromkeys(values)) or "unknown: not a style of the package"
    recipes = {
        short_name(name): known[name].weights[network].get("recipe")
        if name in known
        else _recipe_in(style_file(name, network))
        for name in shares
    }
    metadata["recipe"] = json.dumps(recipes)
    metadata["credits"] = "; ".join(manifest()["credits"])
    if interactive:
        metadata["styles"] = json.dumps([short_name(name) for name in shares])
        metadata[WEIGHTS] = (
            f"({len(shares)},) float32, each style's share from 0, in the order of 'styles'; the "
            "rest up to 1 is the original picture, and a sum above 1 is scaled to 1"
        )
    return metadata


def _recipe_in(path: Path) -> Any:
    """How the network in a safetensors file was trained, or None if it does not say."""
    from safetensors import safe_open

    architecture_of(path)  # raises WeightsError for other files
    with safe_open(path, "pt") as file:
        recipe = file.metadata().get("recipe")
    return None if recipe is None else json.loads(recipe)


def set_metadata(
    model: onnx.ModelProto,
    style: Mapping[str, str],
    layout: TensorLayout,
    precision: GraphPrecision,
) -> None:
    """Write metadata into `model`, where Netron and ONNX Runtime show it.

    style: the result of `style_metadata`; empty for a network that is not a style.
    """
    own_version = _own_version()
    input_text, output_text = describe(layout)
    entries = {
        **style,
        "input": f"{FRAMES}: {input_text}",
        "output": f"{STYLIZED}: {output_text}",
        "precision": precision,
        _VERSION: own_version,
    }
    onnx.helper.set_model_props(model, {k: v for k, v in entries.items() if v})
    model.producer_name, model.producer_version = "impasto", own_version
    name = style.get("style", "a style network")
    model.doc_string = f"{name}. In: {entries['input']}. Out: {entries['output']}."
    model.graph.doc_string = model.doc_string


def _own_version() -> str:
    try:
        return version("impasto")
    except PackageNotFoundError:  # run from a copy that is not installed
        return "not installed"


def read_metadata(path: str | Path) -> dict[str, Any]:
    """What `impasto export --show` shows of an exported file. Raises SourceError for others."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    try:
        model = onnx.load_from_string(data)
    except Exception:  # protobuf's DecodeError, whose module depends on its version
        raise SourceError(f"{path} is not an ONNX file, or incomplete") from None
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if _VERSION not in metadata:
        raise SourceError(
            f"{path} was not written by impasto export: it has no metadata of a style"
        )
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    return {
        "file": str(path),
        "bytes": len(data),
        "opset": opset,
        "inputs": {info.name: _typed(info) for info in model.graph.input},
        "outputs": {info.name: _typed(info) for info in model.graph.output},
        "operators": dict(Counter(node.op_type for node in model.graph.node).most_common()),
        "metadata": metadata,
    }


def _typed(info: onnx.ValueInfoProto) -> str:
    """The type of an input or output, such as "uint8 n x height x width x 3"."""
    tensor = info.type.tensor_type
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return f"{kind} " + " x ".join(str(d.dim_param or d.dim_value) for d in tensor.shape.dim)
