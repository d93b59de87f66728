"""Predicts the style of any painting, in a fraction of a second and without PyTorch.

After Ghiasi et al. 2017, "Exploring the structure of a real-time, arbitrary neural artistic
stylization network": a style is the scales and shifts of a network's norms (conditional instance
norm, Dumoulin et al. 2017), and a second network, the predictor, finds them from the painting.
Theirs looks at pixels; this one at what Gram matrices are made of, the features of the compact loss
network, so that it need not learn to see first. It is trained by `training.any_painting`.
"""

from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np
from safetensors.numpy import load_file

from impasto.models.architectures import ARCHITECTURES, convolutions
from impasto.models.errors import WeightsError
from impasto.models.styles import StyleWeights, dequantized, manifest, verified_file

ANY = "any"  # the key in the manifest: a body without norms, and the predictor of these
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")  # losses.STYLE_LAYERS
MIN_SIDE = 32  # px: below, the deepest layer has less than 2x2 positions
PREDICTOR = "predictor."  # what the names of the predictor's weights begin with
COMPONENTS = 24  # principal components of each layer's features that the predictor sees
_TONE = ("gain", "gain_deviation", "offset", "offset_mean")

# The mean and deviation of ImageNet's colors, in [0, 1], which the compact network expects.
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def predicted_shapes(architecture: str) -> dict[str, tuple[int, ...]]:
    """Name and shape of the weights that are predicted: of all norms, and of the tone."""
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_TONE, (3, 1, 1))
    for each in convolutions(ARCHITECTURES[architecture]):
        if each.norm is not None:
            shapes |= {f"{each.norm}.{part}": (each.outputs,) for part in ("weight", "bias")}
    return shapes


def predict_style(painting: np.ndarray) -> dict[str, StyleWeights]:
    """The networks that paint like a painting, by architecture.

    painting: (H, W, 3) uint8 RGB, MIN_SIDE or more a side, at the size at which its strokes are to
    be seen: training compares paintings and stylized photos of equal size. Raises ValueError for a
    smaller painting, WeightsError where the package's files are damaged.
    """
    if min(painting.shape[:2]) < MIN_SIDE:
        raise ValueError(f"expected {MIN_SIDE} px a side or more, got {painting.shape[:2]}")
    architectures = list(_installed())
    grams = {layer: gram_with_mean(x) for layer, x in features(painting)}
    return {architecture: _network(architecture, grams) for architecture in architectures}


def _network(architecture: str, grams: Mapping[str, np.ndarray]) -> StyleWeights:
    """The network for a painting with these Gram matrices, see `gram_with_mean`."""
    arrays = dict(package_weights(architecture))
    predictor = {k: arrays.pop(k) for k in list(arrays) if k.startswith(PREDICTOR)}
    flat = _predicted(predictor, statistics(predictor, grams))
    sizes = [int(np.prod(shape)) for shape in predicted_shapes(architecture).values()]
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    for (name, shape), part in zip(predicted_shapes(architecture).items(), parts, strict=True):
        arrays[name] = part.reshape(shape)
    return StyleWeights(architecture, arrays)


def _installed() -> dict[str, dict[str, str]]:
    """The rows of the table by architecture. Raises WeightsError if there are none."""
    rows: dict[str, dict[str, str]] = manifest().get(ANY, {})
    if not rows:
        raise WeightsError("no network for any painting is installed: install impasto again")
    return rows


@cache
def package_weights(architecture: str) -> Mapping[str, np.ndarray]:
    """The body without norms, and the predictor, of the package; float32."""
    row = _installed()[architecture]
    return dequantized(load_file(verified_file(row)))


# --- The compact network ----------------------------------------------------------------------


@cache
def _compact() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Layer, weight (3, 3, I, O) and bias (O,) of each convolution, float32."""
    tensors = load_file(verified_file(manifest()["loss_network"]))
    names = [name.split(".")[1] for name in tensors if name.startswith("convs.")]
    return [
        (
            layer,
            np.ascontiguousarray(
                tensors[f"convs.{layer}.weight"].transpose(2, 3, 1, 0), np.float32
            ),
            tensors[f"convs.{layer}.bias"].astype(np.float32),
        )
        for layer in sorted(set(names))
    ]


def features(image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Layer and features, (h, w, C) float32, of the compact network at LAYERS.

    image: (H, W, 3) uint8 RGB. The same as `vgg.CompactNetwork.backbone`.
    """
    x = (image.astype(np.float32) / 255 - _MEAN) / _DEVIATION
    for layer, weight, bias in _compact():
        if layer.endswith("_1") and layer != "relu1_1":
            x = _max_pooled(x)
        x = np.maximum(_convolved(x, weight) + bias, 0)
        if layer in LAYERS:
            yield layer, x


def _convolved(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """A 3x3 convolution with zeros around: (h, w, I) to (h, w, O)."""
    height, width, channels = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    # Three columns side by side: a row of the kernel is one product, as long as BLAS likes it.
    columns = np.concatenate([padded[:, k : k + width] for k in range(3)], axis=2)
    rows = weight.reshape(3, 3 * channels, -1)
    return sum(columns[k : k + height] @ rows[k] for k in range(3))


def _max_pooled(x: np.ndarray) -> np.ndarray:
    """The maxima of 2x2 positions; what is left over at the end is dropped."""
    height, width, channels = x.shape
    even = x[: height // 2 * 2, : width // 2 * 2]
    return even.reshape(height // 2, 2, width // 2, 2, channels).max((1, 3))


# --- The predictor ----------------------------------------------------------------------------


def gram_with_mean(features: np.ndarray) -> np.ndarray:
    """The Gram matrix of features with a one appended, whose last row and column are the means.

    (h, w, C) to (C + 1, C + 1), divided by the number of positions.
    """
    flat = features.reshape(-1, features.shape[-1])
    flat = np.concatenate([flat, np.ones((len(flat), 1), np.float32)], axis=1)
    return flat.T @ flat / len(flat)


def statistics(predictor: Mapping[str, np.ndarray], grams: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the predictor knows of a painting, (size,): means and second moments by layer.

    Of COMPONENTS principal components of the features, whitened. All is standardized by what is
    usual among paintings, a few large values being limited.
    """
    parts, upper = [], np.triu_indices(COMPONENTS)
    for layer in LAYERS:
        projection = predictor[f"{PREDICTOR}statistics.{layer}_projection"]
        projected = projection @ grams[layer]
        parts += [projected[:, -1], (projected @ projection.T)[upper]]
    raw = np.concatenate(parts)
    raw = np.sign(raw) * np.sqrt(np.abs(raw) + 0.01)
    mean, deviation = (predictor[f"{PREDICTOR}statistics.{x}"] for x in ("mean", "deviation"))
    return np.clip((raw - mean) / deviation, -5, 5)


def _predicted(predictor: Mapping[str, np.ndarray], values: np.ndarray) -> np.ndarray:
    """Three linear layers with ReLU between them."""
    for number in (0, 2, 4):
        weight, bias = (predictor[f"{PREDICTOR}layers.{number}.{x}"] for x in ("weight", "bias"))
        values = weight @ (np.maximum(values, 0) if number else values) + bias
    return values
