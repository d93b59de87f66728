"""Folders of weights like the package's, of untrained networks: their pictures are noise."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from impasto.models.training.results import save_network
from impasto.models.transform_net import TransformNet


def make_library(
    folder: Path, styles: Mapping[str, Sequence[str]], identities: Sequence[str] = ("fast",)
) -> Path:
    """Write style files ("dawn.fast.safetensors") and their manifest into a folder; return it.

    styles: the architectures of each. identities: those of the identity networks.
    """
    folder.mkdir(exist_ok=True)
    table = {
        name: {
            "painting": f"The {name}",
            "artist": "Nobody",
            "year": "1900",
            "licence": "public domain",
            "sentence": "Noise.",
            "weights": {each: _row(folder, name, each) for each in architectures},
        }
        for name, architectures in styles.items()
    }
    trunks = {each: _row(folder, "trunk", each) for each in identities}
    manifest = {"credits": [], "trunks": trunks, "styles": table}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def _row(folder: Path, name: str, architecture: str) -> dict[str, str]:
    path = folder / f"{name}.{architecture}.safetensors"
    torch.manual_seed(sum(path.name.encode()))
    save_network(TransformNet(architecture), path)
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
