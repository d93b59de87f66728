"""Add a trained network to the package: its file to weights/, its row to the manifest.

    python -m impasto.models.training.publish \\
        style wave.safetensors --name great_wave --painting "The Great Wave" \\
        --artist "Katsushika Hokusai" --year 1831 --license "public domain" --sentence "..."
    python -m impasto.models.training.publish identity identity.safetensors
    python -m impasto.models.training.publish loss-network compact.safetensors

A style has a network of each architecture: where one is added, or replaced, the others stay, and so
does the description that is not given anew. Of a style that was trained together with the published
identity network, only its own weights are written: a tenth of the file.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from impasto.models.architectures import shared_weights
from impasto.models.styles import SHARED, WEIGHTS, architecture_of, identity_file, manifest

_DESCRIPTION = ("painting", "artist", "year", "licence", "sentence")


def row_for(source: Path, file_name: str) -> dict:
    """Copy `source` to weights/`file_name`; return its row in the manifest."""
    WEIGHTS.mkdir(exist_ok=True)
    shutil.copyfile(source, WEIGHTS / file_name)
    return _row(WEIGHTS / file_name)


def style_row(source: Path, name: str) -> dict:
    """Copy a style to weights/, without the weights that it shares; return its row."""
    architecture = architecture_of(source)
    target = WEIGHTS / f"{name}.{architecture}.safetensors"
    shutil.copyfile(source, target)
    identity = manifest()["trunks"].get(architecture)
    if identity is not None:
        tensors, whole = load_file(source), load_file(identity_file(architecture))
        shared = shared_weights(architecture)
        if all(np.array_equal(tensors[key], whole[key]) for key in shared):
            own = {key: value for key, value in tensors.items() if key not in shared}
            with safe_open(source, "numpy") as file:
                note = file.metadata()
            save_file(own, target, note | {SHARED: identity["sha256"]})
    return _row(target)


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
    kinds = ["style", "identity", "loss-network"]
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
        row = style_row(args.source, args.name)
        old = table["styles"].get(args.name, {"weights": {}})
        described = {field: getattr(args, field) or old.get(field, "") for field in _DESCRIPTION}
        weights = old["weights"] | {architecture: row}
        table["styles"][args.name] = {**described, "weights": weights}
    elif args.kind in ("identity", "trunk"):
        architecture = architecture_of(args.source)
        file_name = f"trunk.{architecture}.safetensors"
        table["trunks"][architecture] = row_for(args.source, file_name)
    else:
        table["loss_network"] = row_for(args.source, "compact.safetensors")
    (WEIGHTS / "manifest.json").write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
