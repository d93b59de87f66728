"""The parameters of training a network."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """All parameters of training. Fields are saved with a network, so their names stay."""

    form: str = "fast"  # the architecture
    loss_network: str = "compact"
    steps: int = 1500
    batch: int = 2
    crop: int = 224  # px
    learning_rate: float = 2e-3
    content_weight: float = 1.0
    style_weight: float = 3.5
    # of relu1_1 ... relu5_1; strokes live in relu3_1 and relu4_1
    layer_weights: tuple[float, ...] = (1.0, 1.0, 2.0, 2.0, 0.5)
    vigor_weight: float = 1.0  # of gradients distributed as the painting's
    tv_weight: float = 0.05
    temporal_weight: float = 0.0
    grid_weight: float = 500.0  # of patterns that repeat at the network's stride
    border_weight: float = 100.0  # of border effects of zero padding
    range_weight: float = 10.0  # keeps the unclamped output near [0, 1]
    painting_side: int = 512  # px, long side of the painting for images reduced to 2/3
    seed: int = 1
    painting: str = ""  # name and SHA-256 of the picture file
    painting_sha256: str = ""
