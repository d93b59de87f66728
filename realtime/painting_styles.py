"""Pictures as styles: where a style is named, a painting stands for the one predicted from it.

A predicted style is kept in a folder of the cache, by the picture's content, as two files that are
style files like all others: `fast.safetensors` and `fine.safetensors`.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import numpy as np
from platformdirs import user_cache_path

from impasto.models import prediction
from impasto.models.errors import SourceError, WeightsError
from impasto.models.styles import known_styles, manifest, parse_blend

Log = Callable[[str], None]

_LONG_SIDE = 384  # px, of the painting as the predictor sees it (docs/research, "Any painting")
_LEAST_SHORT_SIDE = 64  # px, of one that is long and narrow
_KEPT = 200  # styles in the cache, about 1 MB each
_PART = re.compile(r"(?P<file>.+)@(?P<box>\d+(,\d+)*)")
_STYLE_FILES = (".safetensors", ".onnx")


def with_predicted_styles(spec: str, log: Log = lambda line: None) -> str:
    """A style as `models.styles.load_style` takes it, from one that may name pictures.

    spec: as there, and "painting.jpg", "painting.jpg:0.6+great_wave:0.4"; "painting.jpg@X,Y,W,H"
    is a part of one, in pixels. log: gets a line about each painting. Raises SourceError for a
    picture that cannot be read or is too small, WeightsError for a part that it does not have.
    """
    shares = parse_blend(spec)
    for name in shares:
        if is_folder_of_paintings(name):
            raise SourceError(
                f"{name} is a folder: name a picture in it; impasto live steps through all of them"
            )
    if not any(map(is_painting, shares)):
        return spec
    names = [str(predicted_style(name, log)) if is_painting(name) else name for name in shares]
    if len(names) == 1:
        return names[0]
    return "+".join(f"{name}:{share!r}" for name, share in zip(names, shares.values(), strict=True))


@lru_cache(maxsize=1000)
def shown_name(spec: str) -> str:
    """A style's name as a user knows it: a painting's is that of its file."""
    for name in parse_blend(spec):
        if Path(name).is_relative_to(_cache()) or is_painting(name):
            spec = spec.replace(name, Path(name).name)
    return spec


def is_painting(name: str) -> bool:
    """Whether a part of a blend is a picture: no style of the package, and a file or named so."""
    from impasto.realtime.files.images import IMAGE_SUFFIXES

    if name in known_styles() or name.endswith(_STYLE_FILES):
        return False
    path = _file_and_box(name)[0]
    if path.is_dir():
        return False
    return path.suffix.lower() in (*IMAGE_SUFFIXES, ".gif") or path.is_file()


def is_folder_of_paintings(name: str) -> bool:
    """Whether a style is a folder, and not one of a style's own files."""
    is_folder = name not in known_styles() and Path(name).is_dir()
    return is_folder and not any(Path(name).glob("*.safetensors"))


def predicted_style(name: str, log: Log = lambda line: None) -> Path:
    """The folder with the style of a picture, or of a part of it, in both architectures.

    name: see `with_predicted_styles`, which says what is raised.
    """
    began = perf_counter()
    path, box = _file_and_box(name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}; check the name") from None
    predictors = [row["sha256"] for row in manifest().get(prediction.ANY, {}).values()]
    key = sha256("\n".join([sha256(content).hexdigest(), f"{box}", *predictors]).encode())
    # The name is shown where a style's name is; characters of blends have no place in it.
    folder = _cache() / key.hexdigest()[:16] / re.sub(r"[+:@]", "_", path.name)
    if folder.is_dir():
        return folder
    painting = _painting(path, box, log)
    _write_styles(painting, folder, name)
    seconds = perf_counter() - began
    log(f"style of {name}: predicted in {seconds:.1f} s; impasto learn takes longer, and is better")
    return folder


def _file_and_box(name: str) -> tuple[Path, tuple[int, ...] | None]:
    """The picture's file, and of a part left, top, width and height."""
    part = _PART.fullmatch(name)
    if part is None or Path(name).exists():
        return Path(name), None
    return Path(part["file"]), tuple(map(int, part["box"].split(",")))


def _painting(path: Path, box: tuple[int, ...] | None, log: Log) -> np.ndarray:
    """The picture, or its part, at the size at which the predictor is to see it."""
    from impasto.realtime.files.images import read_picture
    from impasto.realtime.pixels import resized

    picture = read_picture(path)
    for note in picture.notes:  # it is cut off, for one
        log(f"{path}: {note}")
    image = picture.image
    height, width = image.shape[:2]
    if box is not None:
        if len(box) != 4 or not all(box[2:]) or box[0] + box[2] > width or box[1] + box[3] > height:
            raise WeightsError(
                f"{path} is {width}x{height}: it has no part {','.join(map(str, box))}; give "
                "@LEFT,TOP,WIDTH,HEIGHT in pixels"
            )
        x, y, w, h = box
        image = image[y : y + h, x : x + w]
        height, width = h, w
    if min(height, width) < prediction.MIN_SIDE:
        raise SourceError(
            f"{path} is {width}x{height}, too small to have a style: at least "
            f"{prediction.MIN_SIDE}x{prediction.MIN_SIDE} is needed"
        )
    scale = min(1.0, max(_LONG_SIDE / max(height, width), _LEAST_SHORT_SIDE / min(height, width)))
    return resized(image, (round(height * scale), round(width * scale)))


def _write_styles(painting: np.ndarray, folder: Path, name: str) -> None:
    """Write the predicted styles into `folder`, complete or not at all."""
    from safetensors.numpy import save_file

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        for architecture, weights in prediction.predict_style(painting).items():
            half = {key: value.astype(np.float16) for key, value in weights.arrays.items()}
            metadata = {"form": architecture, "painting": name, "parent": prediction.ANY}
            save_file(half, Path(partial) / f"{architecture}.safetensors", metadata)
        with suppress(OSError):  # another process was faster
            Path(partial).rename(folder)
            os.mkdir(partial)  # for the context manager, which removes it


@cache
def _cache() -> Path:
    """The folder of all predicted styles, tidied; one of this process's own where it cannot be."""
    with suppress(OSError, RuntimeError):  # RuntimeError: the user has no home folder
        path = user_cache_path("impasto") / "paintings"
        path.mkdir(parents=True, exist_ok=True)
        by_age = sorted(path.iterdir(), key=lambda kept: kept.stat().st_mtime)
        for old in by_age[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        if os.access(path, os.W_OK):
            return path
    return Path(tempfile.mkdtemp(prefix="impasto-paintings-"))
