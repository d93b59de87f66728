"""Compares running norm statistics with each frame's own, on real clips: a development check.

    python -m impasto.models.training.check_folding STYLE CLIPS [--every 5] [--weight 0.3]

CLIPS is a folder of folders of frames. Prints a line a clip: the PSNR in dB of the folded bf16
network, its statistics updated so often, against the original network in float32; mean and worst
frame.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from impasto.models.fast.norm_folding import FoldedNetwork, RunningNormNetwork
from impasto.models.fast.norm_statistics import initial_statistics
from impasto.models.fast.running_statistics import statistics_to_tensors
from impasto.models.fast.uint8_io import Uint8Wrapper
from impasto.models.styles import load_style
from impasto.models.training.dataset import read_photo, resize_short_side
from impasto.models.transform_net import TransformNet


@torch.inference_mode()
def psnr_of_clip(style: str, clip: Path, *, every: int, weight: float, size: int) -> Tensor:
    """dB for each frame of `clip` after the first, short side `size` px."""
    network = load_style(style)
    assert isinstance(network, TransformNet), "the classic network has no running statistics"
    plain, folded = Uint8Wrapper(network), FoldedNetwork(network, torch.bfloat16)
    running = RunningNormNetwork(network, torch.bfloat16)
    statistics = statistics_to_tensors(initial_statistics(sum(folded.channels)))
    levels = []
    for index, path in enumerate(sorted(clip.iterdir())):
        picture = resize_short_side(read_photo(path), size)
        frame = (255 * picture).round().to(torch.uint8).permute(1, 2, 0)[None].contiguous()
        if index % every == 0:
            stylized, statistics = running(frame, statistics, weight if index else 1.0)
            folded.fold(statistics)
        else:
            stylized = folded(frame)
        error = (stylized.float() - plain(frame).float()).square().mean() / 255**2
        levels.append(-10 * error.clamp_min(1e-9).log10())
    return torch.stack(levels[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("style", help="a name, a blend or a file")
    parser.add_argument("clips", type=Path)
    parser.add_argument("--every", type=int, default=5, help="frames between updates")
    parser.add_argument("--weight", type=float, default=0.3, help="of the newest, 0 to 1")
    parser.add_argument("--size", type=int, default=256, help="px, the short side")
    options = parser.parse_args()
    settings = {"every": options.every, "weight": options.weight, "size": options.size}
    for clip in sorted(path for path in options.clips.iterdir() if path.is_dir()):
        levels = psnr_of_clip(options.style, clip, **settings)
        print(
            f"{clip.name:24} {levels.mean():5.1f} dB, worst frame {levels.min():5.1f}", flush=True
        )


if __name__ == "__main__":
    main()
