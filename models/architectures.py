"""The architectures of `TransformNet`: sizes, and the names and shapes of their weights."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkConfig:
    """Channels of a `TransformNet` at each scale."""

    stem: int  # channels at 1/4 of the image's size, on the way down and up
    width: int  # channels in the residual blocks, at 1/8
    refine: int  # channels at 1/2, on the way up
    blocks: int = 5


# By name; a style file names its architecture in its metadata, under the key "form". Chosen by the
# comparison in docs/research. Widths are multiples of 16, which fill the vector units.
ARCHITECTURES = {"fast": NetworkConfig(stem=32, width=64, refine=16)}

MARGIN = 24  # px of reflection around the image: see "The margin" in docs/research
STRIDE = 8  # px; the sides of the padded image are multiples of it


def state_dict_shapes(architecture: str) -> dict[str, tuple[int, ...]]:
    """The name and shape of every weight of a `TransformNet`: what a style file must hold.

    Computed without PyTorch, so that a file can be checked, and run by other engines, without it.
    """
    config = ARCHITECTURES[architecture]
    shapes: dict[str, tuple[int, ...]] = {
        name: (3, 1, 1) for name in ("gain", "gain_deviation", "offset", "offset_mean")
    }

    def add(layer: str, outputs: int, inputs: int, size: int, norm: str | None = None) -> None:
        shapes[f"{layer}.weight"] = (outputs, inputs, size, size)
        shapes[f"{layer}.bias"] = (outputs,)
        if norm is not None:
            shapes[f"{norm}.weight"] = shapes[f"{norm}.bias"] = (outputs,)

    add("body.stem.0", config.stem, 3, 7, "body.stem.1")
    add("body.down.0", config.width, config.stem, 3, "body.down.1")
    for block in range(config.blocks):
        for part in (1, 2):
            layer = f"body.blocks.{block}"
            add(f"{layer}.conv{part}", config.width, config.width, 3, f"{layer}.norm{part}")
    add("body.up.0.conv", config.stem, config.width, 3, "body.up.1")
    add("body.refine.0.conv", config.refine, config.stem, 3, "body.refine.1")
    add("body.out.conv", 4 * 3, config.refine, 3)
    return shapes
