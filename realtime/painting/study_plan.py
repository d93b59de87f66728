"""Which pictures a study compares: its values, and the settings of each picture."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np

from impasto.models.gatys.optimize import Settings, StyleImage, changes_for_network
from impasto.models.loss_network_names import vgg_layer
from impasto.realtime.files.images import image_files
from impasto.realtime.painting.choices import Study
from impasto.realtime.painting.paint import read_content, read_styles
from impasto.realtime.painting.sheet import LabeledImage
from impasto.realtime.pixels import as_picture, as_tensor, fitted_size, resized

Size = int | tuple[int, int]
SIDE = 256  # px, short side where no size is asked for
_DEFAULT_VALUES: dict[str, Sequence[str]] = {
    "content": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"),
    "start": ("content", "style", "noise"),
    "weight": ("1..100000",),
    "content-layers": ("relu2_2", "relu3_1", "relu4_2", "relu5_1"),
    "loss-network": ("compact", "vgg16", "vgg19"),
    "size": ("128", "256", "512"),
}
_DEFAULT_SEEDS = {"noise": 2, "start": 4}  # figure 6 of Gatys et al. 2016 has four


@dataclass(frozen=True)
class StudyImage:
    """One picture of a study: what it is painted from, and how."""

    name: str  # as on the sheet; no other picture of the study has it
    settings: Settings
    content: np.ndarray  # (H, W, 3) uint8
    styles: Sequence[StyleImage]


@dataclass(frozen=True)
class StudyPlan:
    """The pictures of a study in the order of its sheet, and the originals beside them."""

    images: list[StudyImage]
    contents: list[LabeledImage]
    paintings: list[LabeledImage]


def plan_study(
    study: Study,
    content: Path | None,
    styles: Sequence[tuple[Path, float]],
    settings: Settings,
    *,
    values: Sequence[str] = (),
    seeds: int | None = None,
    size: Size = SIDE,
) -> StudyPlan:
    """Read the originals of a study and plan its pictures.

    study, values, seeds: see `study.StudyJob`. content may be None for "texture", styles empty for
    "content". Raises SourceError, and ValueError for a value that is not one of the study's.
    """
    if study == "grid":
        assert content is not None
        return _plan_grid(image_files([content]), paintings_in(styles), settings, size)
    paintings = read_styles(styles, ())
    values = values or usual_values(study, settings)
    sides = [_parsed(study, text, _side) for text in values] if study == "size" else []
    size = max(sides) if sides else size
    picture = _blank(paintings[0], size) if content is None else read_content(content, size)
    base = StudyImage("", settings, picture, paintings)
    if study == "content":
        images = _reconstructions(base, values)
    elif study == "texture":
        images = _textures(base, values)
    elif study in ("noise", "start"):
        images = _starts(base, study, values, seeds or _DEFAULT_SEEDS[study])
    elif study == "size":
        assert content is not None
        images = [replace(base, name=f"{s} px", content=read_content(content, s)) for s in sides]
    else:
        images = [
            replace(base, name=name, settings=replace(settings, **changes))
            for name, changes in _one_setting(study, values, settings)
        ]
    names = [image.name for image in images]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"--study {study} has {twice[0]} twice")
    height, width = picture.shape[:2]
    shown = [
        _original("style", path, as_picture(painting.image), (height, width))
        for (path, _), painting in zip(styles, paintings, strict=True)
    ]
    with_content = content is not None and study != "texture"
    contents = [(f"content: {content.name}", picture)] if content and with_content else []
    return StudyPlan(images, contents, [] if study == "content" else shown)


def usual_values(study: Study, settings: Settings) -> Sequence[str]:
    """What a study compares where no values are given."""
    layers = list(settings.style_layers)
    if study == "texture" or (study == "content" and not all(map(_vgg_layer, layers))):
        return layers
    if study == "layers":
        return ["+".join(layers[:count]) for count in range(1, len(layers) + 1)]
    return _DEFAULT_VALUES.get(study) or (() if study == "noise" else choices(study))


def choices(setting: str) -> tuple[str, ...]:
    """The values that a setting with a few of them can have."""
    values: tuple[str, ...] = get_args(get_type_hints(Settings)[setting])
    return values


def paintings_in(styles: Sequence[tuple[Path, float]]) -> list[Path]:
    """The files of the paintings, folders expanded; weights are ignored."""
    return image_files(path for path, _ in styles)


# --- The kinds of study -----------------------------------------------------------------------


def _reconstructions(base: StudyImage, values: Sequence[str]) -> list[StudyImage]:
    """The content from noise, by one layer each. No painting is needed, so it is its own."""
    own = [StyleImage(as_tensor(base.content))]
    alone: dict[str, Any] = {"content_weight": 1.0, "style_layers": {}, "init": "noise"}
    return [
        replace(
            base,
            name=name,
            styles=own,
            settings=replace(base.settings, content_layers={layer: 1.0}, **alone),
        )
        for name, layer in _layers("content", values)
    ]


def _textures(base: StudyImage, values: Sequence[str]) -> list[StudyImage]:
    """The painting from noise, by each of the layers, and by all up to each but the first."""
    layers = list(_layers("texture", values))
    sets = [[layer] for layer in layers] + [layers[:count] for count in range(2, len(layers) + 1)]
    alone: dict[str, Any] = {"style_weight": 1.0, "content_layers": {}, "init": "noise"}
    return [
        replace(
            base,
            name=some[0][0] if len(some) == 1 else f"{some[0][0]} to {some[-1][0]}",
            settings=replace(base.settings, style_layers={n: 1.0 for _, n in some}, **alone),
        )
        for some in sets
    ]


def _starts(base: StudyImage, study: str, values: Sequence[str], seeds: int) -> list[StudyImage]:
    """From content and style once, from noise with several seeds."""
    first = base.settings.seed
    numbers = [str(first + k) for k in range(seeds)]
    if study == "noise":
        numbers, values = list(values) or numbers, ["noise"]
    images = []
    for init in values:
        if init not in choices("init"):
            raise _refused("start", "content, style or noise", init)
        for number in numbers if init == "noise" else [""]:
            seed = _parsed("noise", number, int) if number else first
            settings = replace(base.settings, init=init, seed=seed)  # type: ignore[arg-type]
            name = f"noise, seed {seed}" if init == "noise" else f"from {init}"
            images.append(replace(base, name=name, settings=settings))
    return images


def _one_setting(
    study: str, values: Sequence[str], settings: Settings
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(name, changes of the settings) of the pictures of a study of one setting."""
    if study == "weight":
        for weight in _weights(values):
            yield f"style weight {weight:,g}", {"style_weight": weight}
    elif study == "content-layers":
        for name, layer in _layers(study, values):
            yield f"content {name}", {"content_layers": {layer: 1.0}}
    elif study == "layers":
        for text in values:
            some = [pair for part in text.split("+") for pair in _layers(study, [part])]
            weights = {layer: settings.style_layers.get(layer, 1.0) for _, layer in some}
            yield text, {"style_layers": weights}
    elif study == "loss-network":
        for name in values:
            yield Path(name).name, changes_for_network(name)
    else:
        for name in values:
            if name not in choices(study):
                raise _refused(study, ", ".join(choices(study)), name)
            yield name, {study: name}


def _plan_grid(
    contents: Sequence[Path], paintings: Sequence[Path], settings: Settings, size: Size
) -> StudyPlan:
    """Every content in every painting, each content in its own shape."""
    pictures = [read_content(path, size) for path in contents]
    styles = [read_styles([(path, 1.0)], ()) for path in paintings]
    images = [
        StudyImage(f"{path.stem}, {painting.stem}", settings, picture, style)
        for path, picture in zip(contents, pictures, strict=True)
        for painting, style in zip(paintings, styles, strict=True)
    ]
    height, width = pictures[0].shape[:2]
    return StudyPlan(
        images,
        [(path.name, picture) for path, picture in zip(contents, pictures, strict=True)],
        [
            _original("", path, as_picture(style.image), (height, width))
            for path, (style,) in zip(paintings, styles, strict=True)
        ],
    )


# --- Values -----------------------------------------------------------------------------------


def _layers(study: str, values: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(as it was given, its name) of layers; "conv1_1..conv5_1" is one of each block.

    What is not named as the layers of a VGG stays as it is: the loss network knows.
    """
    for text in values:
        first, dots, last = text.partition("..")
        ends = _vgg_layer(first), _vgg_layer(last if dots else first)
        if not dots:
            yield text, text if ends[0] is None else "relu{}_{}".format(*ends[0])
            continue
        if ends[0] is None or ends[1] is None or ends[0][1] != ends[1][1] or ends[0] > ends[1]:
            raise _refused(study, "layers such as conv1_1..conv5_1, one of each block", text)
        for block in range(ends[0][0], ends[1][0] + 1):
            yield f"relu{block}_{ends[0][1]}", f"relu{block}_{ends[0][1]}"


def _vgg_layer(text: str) -> tuple[int, int] | None:
    """Block and number of a layer of a VGG: (4, 2) for "4_2", "conv4_2" or "block4_conv2"."""
    match = re.fullmatch(r"relu([1-5])_([1-4])", vgg_layer(text, (), {}))
    return (int(match[1]), int(match[2])) if match else None


def _weights(values: Sequence[str]) -> list[float]:
    """Weights above zero; "1..1000" is 1, 10, 100 and 1000."""
    weights = []
    for text in values:
        first, dots, last = text.partition("..")
        weight, end = _parsed("weight", first, float), _parsed("weight", last or first, float)
        if not 0 < weight <= end < 1e12:
            raise _refused("weight", "weights above zero such as 1,10,100 or 1..100000", text)
        weights.append(weight)
        while dots and weights[-1] * 10 <= end * 1.001:
            weights.append(weights[-1] * 10)
    return weights


def _side(text: str) -> int:
    side = int(text)
    if not 16 <= side <= 16384:
        raise ValueError
    return side


_EXPECTED = {
    "weight": "weights such as 1,10,100 or 1..100000",
    "noise": "seeds such as 0,1,2",
    "size": "short sides in px from 16 to 16384, such as 128,256",
}


def _parsed(study: str, text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except ValueError:
        raise _refused(study, _EXPECTED[study], text) from None


def _refused(study: str, expected: str, got: str) -> ValueError:
    return ValueError(f"--study {study} compares {expected}; got {got!r}")


# --- Originals --------------------------------------------------------------------------------


def _blank(painting: StyleImage, size: Size) -> np.ndarray:
    """A picture in the shape of a painting: of a texture, only its size is used."""
    height, width = painting.image.shape[-2:]
    return np.zeros((*fitted_size(height, width, size), 3), np.uint8)


def _original(kind: str, path: Path, image: np.ndarray, size: tuple[int, int]) -> LabeledImage:
    """A painting with its name, reduced to fit a cell of `size` (height, width)."""
    height, width = image.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    small = resized(image, (max(1, round(scale * height)), max(1, round(scale * width))))
    return f"{kind}: {path.name}" if kind else path.name, small
