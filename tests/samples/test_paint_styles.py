"""The style pictures: what is committed is what the script paints."""

from pathlib import Path

import av
import numpy as np
import pytest

import paint_styles

SAMPLES = Path(paint_styles.__file__).parent


def read(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


@pytest.mark.parametrize("name", paint_styles.PICTURES)
def test_the_committed_picture_is_what_the_script_paints(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rendering takes three times as long as painting, and test_harbor.py compares it.
    monkeypatch.setattr(paint_styles, "render", lambda moment: read(SAMPLES / "harbor.jpg"))
    painted = paint_styles.PICTURES[name]()
    assert painted.shape == (640, 640, 3) and painted.dtype == np.uint8
    error = (read(SAMPLES / f"{name}.jpg").astype(float) - painted) / 255
    assert np.square(error).mean() < 10**-2.6  # 26 dB: ink lines one pixel wide are hard on JPEG


@pytest.mark.parametrize("name", paint_styles.PICTURES)
def test_every_style_is_committed_and_small(name: str) -> None:
    path = SAMPLES / f"{name}.jpg"
    assert path.stat().st_size < 250_000
    picture = read(path)
    assert picture.shape == (640, 640, 3)
    assert picture.std() > 30  # full of contrast, not a gray patch


def test_all_samples_together_stay_small() -> None:
    preview = SAMPLES / "preview.webp"
    assert preview.stat().st_size < 3_000_000
    files = [path for path in SAMPLES.rglob("*") if "__pycache__" not in path.parts]
    total = sum(path.stat().st_size for path in files if path.is_file())
    assert total - preview.stat().st_size < 4_000_000
