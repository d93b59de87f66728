"""What an exported file says of itself: the style, whose it is, and how it is called."""

import json
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import onnx

from impasto.export.spec import WEIGHTS, Layout, Precision, describe
from impasto.models.errors import SourceError
from impasto.models.styles import form_of, known_styles, manifest, parse_blend

_MARK = "impasto"  # the key of our version: what makes a file one of ours


def about_style(spec: str, *, strength: float, interactive: bool) -> dict[str, str]:
    """The painting or paintings of a style or a blend, as metadata of a file."""
    shares, known = parse_blend(spec), known_styles()
    rows = [known[name] for name in shares if name in known]
    about = {"style": spec, "strength": f"{strength:g}"}
    for field in ("painting", "artist", "year", "licence"):
        values = [getattr(row, field) for row in rows]
        about[field] = " + ".join(dict.fromkeys(values)) or "unknown: not a style of the package"
    recipes = {
        name: known[name].weights.get("recipe") if name in known else _recipe_in(Path(name))
        for name in shares
    }
    about["recipe"] = json.dumps(recipes)
    about["credits"] = "; ".join(manifest()["credits"])
    if interactive:
        about["styles"] = json.dumps(list(shares))
        about[WEIGHTS] = (
            f"({len(shares)},) float32, each style's share from 0, in the order of 'styles'; what "
            "they lack to 1 is the picture as it was, more than 1 in all is scaled to 1"
        )
    return about


def _recipe_in(path: Path) -> Any:
    """How the network in a safetensors file was trained, or None where it does not say."""
    from safetensors import safe_open

    form_of(path)  # raises WeightsError for what is none of ours
    with safe_open(path, "pt") as file:
        recipe = file.metadata().get("recipe")
    return None if recipe is None else json.loads(recipe)


def sign(
    model: onnx.ModelProto, about: Mapping[str, str], layout: Layout, precision: Precision
) -> None:
    """Write the metadata into `model`, where Netron and ONNX Runtime show it."""
    ours = _our_version()
    given, made = describe(layout)
    entries = {
        **about,
        "input": f"frames: {given}",
        "output": f"stylized: {made}",
        "precision": precision,
        _MARK: ours,
    }
    onnx.helper.set_model_props(model, {k: v for k, v in entries.items() if v})
    model.producer_name, model.producer_version = "impasto", ours
    style = about.get("style", "a style network")
    model.doc_string = f"{style}. In: {entries['input']}. Out: {entries['output']}."
    model.graph.doc_string = model.doc_string


def _our_version() -> str:
    try:
        return version("impasto")
    except PackageNotFoundError:  # run from a copy that is not installed
        return "not installed"


def read_about(path: str | Path) -> dict[str, Any]:
    """What `impasto export --show` shows of a file. Raises SourceError for any but ours."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    try:
        model = onnx.load_from_string(data)
    except Exception:  # protobuf's DecodeError, whose module depends on its version
        raise SourceError(f"{path} is no ONNX file, or not a whole one") from None
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if _MARK not in metadata:
        raise SourceError(f"{path} was not written by impasto export: it says nothing of a style")
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
    """Such as "uint8 n x height x width x 3"."""
    tensor = info.type.tensor_type
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return f"{kind} " + " x ".join(str(d.dim_param or d.dim_value) for d in tensor.shape.dim)
