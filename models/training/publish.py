"""Add a trained network to the package: its file to weights/, its row to the manifest.

    python -m impasto.models.training.publish \\
        style wave.safetensors --name great_wave --painting "The Great Wave" \\
        --artist "Katsushika Hokusai" --year 1831 --license "public domain" --sentence "..."
    python -m impasto.models.training.publish identity identity.safetensors
    python -m impasto.models.training.publish shared wave.safetensors
    python -m impasto.models.training.publish loss-network compact.safetensors
    python -m impasto.models.training.publish any any_painting.safetensors

A style has a network of each architecture: where one is added, or replaced, the others stay, and so
does the description that is not given anew. Of styles that were trained together, `shared` writes
what they have in common, from any of them; then only their own weights are written, a tenth.
"""

import argparse
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from impasto.models.architectures import shared_weights
from impasto.models.prediction import ANY, predicted_shapes
from impasto.models.styles import SCALE, SHARED, WEIGHTS, architecture_of, manifest, verified_file

_DESCRIPTION = ("painting", "artist", "year", "licence", "sentence")


def row_for(source: Path, file_name: str) -> dict:
    """Copy `source` to weights/`file_name`; return its row in the manifest."""
    WEIGHTS.mkdir(exist_ok=True)
    shutil.copyfile(source, WEIGHTS / file_name)
    return _row(WEIGHTS / file_name)


def shared_row(source: Path) -> dict:
    """Write the weights that a style shares with those it was trained with; return their row."""
    architecture, tensors = architecture_of(source), quantized(load_file(source))
    target = WEIGHTS / f"shared.{architecture}.safetensors"
    save_file({k: v for k, v in tensors.items() if _is_shared(k, architecture)}, target)
    target.chmod(0o644)
    return _row(target)


def network_row(source: Path, name: str) -> dict:
    """Write a network in 8 bits, without the weights that it shares; return its row."""
    architecture, tensors = architecture_of(source), quantized(load_file(source))
    target = WEIGHTS / f"{name}.{architecture}.safetensors"
    with safe_open(source, "numpy") as file:
        note = file.metadata()
    row = manifest().get(SHARED, {}).get(architecture)
    if row is not None:
        shared = load_file(verified_file(row))
        if all(np.array_equal(tensors[key], value) for key, value in shared.items()):
            tensors = {key: value for key, value in tensors.items() if key not in shared}
            note[SHARED] = row["sha256"]
    save_file(tensors, target, note)
    target.chmod(0o644)
    return _row(target)


def any_row(source: Path) -> dict:
    """Write a network for any painting, without what it predicts; return its row."""
    architecture, predicted = architecture_of(source), predicted_shapes(architecture_of(source))
    tensors = {name.removeprefix("network."): x for name, x in load_file(source).items()}
    kept = {
        name: x if ".statistics." in name else x.astype(np.float16)
        for name, x in tensors.items()
        if name not in predicted
    }
    target = WEIGHTS / f"{ANY}.{architecture}.safetensors"
    with safe_open(source, "numpy") as file:
        save_file(quantized(kept), target, file.metadata())
    target.chmod(0o644)
    return _row(target)


def quantized(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Convolutions in int8, with a float16 scale for each output channel; other weights unchanged.

    Half the size; pictures stay the same to 60 dB, as norms take up most of the error.
    """
    result = dict(tensors)
    for name, value in tensors.items():
        if value.ndim == 4:
            largest = np.abs(value.astype(np.float32)).max((1, 2, 3), keepdims=True)
            scale = (np.maximum(largest, 1e-6) / 127).astype(np.float16)
            steps = np.round(value.astype(np.float32) / scale.astype(np.float32))
            result[name] = np.clip(steps, -127, 127).astype(np.int8)
            result[name + SCALE] = scale
    return result


def _is_shared(key: str, architecture: str) -> bool:
    return key.removesuffix(SCALE) in shared_weights(architecture)


def _row(path: Path) -> dict:
    with safe_open(path, "numpy") as file:
        note = file.metadata() or {}
    row = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        **{key: value for key, value in note.items() if key not in ("form", "recipe", SHARED)},
    }
    if "recipe" in note:
        row["recipe"] = json.loads(note["recipe"])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = ["style", "identity", "shared", "loss-network", ANY]
    parser.add_argument("kind", choices=[*kinds, "trunk"], metavar=f"{{{','.join(kinds)}}}")
    parser.add_argument("source", type=Path)
    for field in ("name", "painting", "artist", "year", "sentence"):
        parser.add_argument(f"--{field}", default="")
    parser.add_argument("--license", dest="licence", default="")
    parser.add_argument("--licence", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    args = parser.parse_args()

    table = manifest()
    if args.kind == "style":
        architecture = architecture_of(args.source)
        row = network_row(args.source, args.name)
        old = table["styles"].get(args.name, {"weights": {}})
        described = {field: getattr(args, field) or old.get(field, "") for field in _DESCRIPTION}
        weights = old["weights"] | {architecture: row}
        table["styles"][args.name] = {**described, "weights": weights}
    elif args.kind in ("identity", "trunk"):
        table["trunks"][architecture_of(args.source)] = network_row(args.source, "trunk")
    elif args.kind == ANY:
        table.setdefault(ANY, {})[architecture_of(args.source)] = any_row(args.source)
    elif args.kind == "shared":
        table.setdefault(SHARED, {})[architecture_of(args.source)] = shared_row(args.source)
    else:
        table["loss_network"] = row_for(args.source, "compact.safetensors")
    (WEIGHTS / "manifest.json").write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
