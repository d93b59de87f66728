"""The packaged samples: what commands use where no picture, clip or camera is given."""

from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "samples"  # the package `impasto.samples`
SAMPLE_IMAGE = _FOLDER / "harbor.jpg"  # 640x360
SAMPLE_VIDEO = _FOLDER / "harbor.mp4"  # 640x360, 30 fps, 7 s
