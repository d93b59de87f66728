"""The sizes in which our network comes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """How wide a network is at each scale."""

    stem: int  # channels at 1/4 of the picture's size, on the way down and up
    width: int  # channels in the residual blocks, at 1/8
    refine: int  # channels at 1/2, on the way up
    blocks: int = 5


# Chosen by the bake-off in docs/research/log.md. Widths are multiples of 16, which fill the
# vector units.
FORMS = {"fast": Form(stem=32, width=64, refine=16)}

MARGIN = 24  # px of mirror image around the picture: see "The margin" in docs/research/log.md
STRIDE = 8  # px; the sides of the padded picture are multiples of it


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Every weight of a `TransformNet` of this form, and its shape: the contract of a style file.

    Known here without PyTorch, so that a file can be checked, and painted with, where it is not.
    """
    form = FORMS[name]
    found: dict[str, tuple[int, ...]] = {
        recolor: (3, 1, 1) for recolor in ("gain", "gain_deviation", "offset", "offset_mean")
    }

    def add(layer: str, outputs: int, inputs: int, size: int, norm: str | None = None) -> None:
        found[f"{layer}.weight"], found[f"{layer}.bias"] = (outputs, inputs, size, size), (outputs,)
        if norm is not None:
            found[f"{norm}.weight"] = found[f"{norm}.bias"] = (outputs,)

    add("body.stem.0", form.stem, 3, 7, "body.stem.1")
    add("body.down.0", form.width, form.stem, 3, "body.down.1")
    for block in range(form.blocks):
        for part in (1, 2):
            layer = f"body.blocks.{block}"
            add(f"{layer}.conv{part}", form.width, form.width, 3, f"{layer}.norm{part}")
    add("body.up.0.conv", form.stem, form.width, 3, "body.up.1")
    add("body.refine.0.conv", form.refine, form.stem, 3, "body.refine.1")
    add("body.out.conv", 4 * 3, form.refine, 3)
    return found
