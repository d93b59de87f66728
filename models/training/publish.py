"""Put a trained network into the package: its file into weights/, its row into the table.

    python -m impasto.models.training.publish \\
        style wave.safetensors --name great_wave --painting "The Great Wave" \\
        --artist "Katsushika Hokusai" --year 1831 --licence "public domain" --sentence "..."
    python -m impasto.models.training.publish trunk trunk.safetensors
    python -m impasto.models.training.publish loss-network compact.safetensors
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

from safetensors import safe_open

from impasto.models.styles import WEIGHTS, manifest


def row_for(source: Path, file_name: str) -> dict:
    """Copy `source` to weights/`file_name`; the row that describes it."""
    WEIGHTS.mkdir(exist_ok=True)
    shutil.copyfile(source, WEIGHTS / file_name)
    with safe_open(source, "pt") as file:
        note = file.metadata() or {}
    row = {
        "file": file_name,
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        **{key: value for key, value in note.items() if key != "recipe"},
    }
    if "recipe" in note:
        row["recipe"] = json.loads(note["recipe"])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["style", "trunk", "loss-network"])
    parser.add_argument("source", type=Path)
    for field in ("name", "painting", "artist", "year", "licence", "sentence"):
        parser.add_argument(f"--{field}", default="")
    given = parser.parse_args()

    table = manifest()
    if given.kind == "style":
        with safe_open(given.source, "pt") as file:
            form = file.metadata()["form"]
        described = {
            field: getattr(given, field)
            for field in ("painting", "artist", "year", "licence", "sentence")
        }
        row = row_for(given.source, f"{given.name}.{form}.safetensors")
        table["styles"][given.name] = {**described, "weights": row}
    elif given.kind == "trunk":
        with safe_open(given.source, "pt") as file:
            form = file.metadata()["form"]
        table["trunks"][form] = row_for(given.source, f"trunk.{form}.safetensors")
    else:
        table["loss_network"] = row_for(given.source, "compact.safetensors")
    (WEIGHTS / "manifest.json").write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
