"""Paintings in a live session: the last style goes on while the next one is predicted."""

from fractions import Fraction
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from impasto.models.errors import SourceError
from impasto.realtime.files.images import write_image
from impasto.realtime.frame import Frame
from impasto.realtime.live import predictions
from impasto.realtime.live.controls import Controls
from impasto.realtime.live.loop import LiveStylizer
from impasto.realtime.live.predictions import Predictions
from impasto.realtime.live.rate_control import AdaptiveScale
from impasto.realtime.painting_styles import with_predicted_styles
from tests.display import PATIENCE
from tests.pictures import make_pictures


@pytest.fixture
def paintings(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"{name}.png" for name in ("first", "second")]
    for seed, path in enumerate(paths):
        write_image(path, make_pictures(1, 64, 80, seed=seed)[0])
    return [str(path) for path in paths]


def test_the_last_style_goes_on_meanwhile(
    paintings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, done = Event(), Event()
    stylize = LiveStylizer(
        paintings, Controls(), AdaptiveScale(30), engine="onnxruntime", transition_seconds=1e-6
    )
    frame = Frame(make_pictures(1, 72, 96)[0], 0, Fraction(1, 30))
    first = stylize(frame).image.astype(int)

    def slowly(style: str, log) -> str:
        assert go_on.wait(PATIENCE)
        try:
            return with_predicted_styles(style, log)
        finally:
            done.set()

    monkeypatch.setattr(predictions, "with_predicted_styles", slowly)
    stylize.controls = Controls(style=1)
    assert np.abs(stylize(frame).image - first).max() <= 1
    go_on.set()
    assert done.wait(PATIENCE)
    stylize._predictions(paintings[1], wait=True)
    stylize(frame)  # begins to turn into it
    assert np.abs(stylize(frame).image - first).mean() > 1


def test_what_cannot_be_read_is_said_and_tried_again(tmp_path: Path) -> None:
    later, predicted = tmp_path / "later.png", Predictions(lambda line: None)
    with pytest.raises(SourceError, match=r"later\.png"):
        predicted(str(later), wait=True)
    write_image(later, make_pictures(1, 64, 80)[0])
    assert predicted(str(later), wait=True)
