"""Pictures in place of styles: any sort of picture, parts and blends of them, and their cache."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.export.metadata import style_metadata
from impasto.models.errors import SourceError, WeightsError
from impasto.models.styles import load_weights, networks_of
from impasto.realtime import painting_styles
from impasto.realtime.files.images import write_image
from impasto.realtime.painting_styles import shown_name, with_predicted_styles
from tests.pictures import make_pictures


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    painting_styles._cache.cache_clear()
    yield tmp_path / "cache"
    painting_styles._cache.cache_clear()


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    path = tmp_path / "waves.png"
    write_image(path, make_pictures(1, 80, 120, seed=5)[0])
    return path


def norms(spec: str, network: str = "fast") -> np.ndarray:
    return load_weights(with_predicted_styles(spec), network=network).arrays["body.down.1.weight"]


def test_styles_of_the_package_and_files_stay_as_they_are() -> None:
    for spec in ("great_wave", "great_wave:0.6+udnie:0.4", "mine.safetensors"):
        assert with_predicted_styles(spec) == spec


def test_a_picture_is_a_style_of_both_sizes(painting: Path) -> None:
    said: list[str] = []
    style = with_predicted_styles("waves.png", said.append)
    assert networks_of(style) == ["fast", "fine"]
    assert shown_name(style) == shown_name("waves.png") == "waves.png"
    assert len(said) == 1 and said[0].startswith("style of waves.png: predicted in ")
    for network in ("fast", "fine"):
        load_weights(style, network=network, strength=0.5)


def test_it_is_predicted_once(painting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = with_predicted_styles("waves.png")
    copy = painting.with_name("copy.png")
    copy.write_bytes(painting.read_bytes())
    with monkeypatch.context() as patched:
        patched.setattr(painting_styles.prediction, "predict_style", None)  # fails if called
        assert with_predicted_styles("waves.png") == first
    write_image(painting, make_pictures(1, 80, 120, seed=6)[0], overwrite=True)
    assert with_predicted_styles("waves.png") != first


def test_blends_and_parts(painting: Path) -> None:
    other = painting.with_name("other.png")
    write_image(other, 255 - make_pictures(1, 80, 120, seed=5)[0])
    both = norms("waves.png:0.25+other.png:0.75")
    expected = 0.25 * norms("waves.png") + 0.75 * norms("other.png")
    np.testing.assert_allclose(both, expected, atol=2e-3)
    assert shown_name(with_predicted_styles("waves.png:3+great_wave")).startswith("waves.png:0.75+")
    part = norms("waves.png@10,20,64,48")
    cut = painting.with_name("cut.png")
    write_image(cut, make_pictures(1, 80, 120, seed=5)[0][20:68, 10:74])
    np.testing.assert_allclose(part, norms("cut.png"), atol=2e-3)


ANY_PICTURE = {
    "gif.gif": Image.new("P", (50, 40), 3),
    "gray.png": Image.linear_gradient("L"),
    "transparent.png": Image.new("RGBA", (64, 64), (200, 10, 10, 0)),
    "black.bmp": Image.new("RGB", (40, 40)),
    "ink.tif": Image.new("1", (64, 48), 1),
    "cmyk.jpg": Image.new("CMYK", (64, 48), (90, 10, 0, 0)),
    "narrow.png": Image.linear_gradient("L").convert("RGB").resize((3000, 40)),
    "least.png": Image.linear_gradient("L").convert("RGB").resize((32, 32)),
}


@pytest.mark.parametrize("name", ANY_PICTURE)
def test_any_sort_of_picture(name: str) -> None:
    ANY_PICTURE[name].save(name)
    assert np.isfinite(norms(name)).all()


BAD = {
    "missing.jpg": (SourceError, "missing.jpg: No such file"),
    "small.png": (SourceError, "31x64, too small"),
    "text.png": (SourceError, "text.png"),
    "waves.png@100,0,64,64": (WeightsError, "has no part 100,0,64,64"),
    "waves.png@0,0,64": (WeightsError, "has no part 0,0,64; give @LEFT"),
    "waves.png@0,0,20,64": (SourceError, "20x64, too small"),
    "folder": (SourceError, "impasto live steps through"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_a_style_is_said(name: str, painting: Path, own_cache: Path) -> None:
    write_image(Path("small.png"), make_pictures(1, 64, 31)[0])
    Path("text.png").write_text("no picture")
    Path("folder").mkdir()
    kind, words = BAD[name]
    with pytest.raises(kind, match=words):
        with_predicted_styles(name)
    assert not list(own_cache.rglob("*.safetensors"))  # nothing half-done is left


def test_a_picture_that_is_cut_off_is_taken_as_it_is_and_that_is_said(painting: Path) -> None:
    painting.write_bytes(painting.read_bytes()[:4000])
    said: list[str] = []
    with_predicted_styles("waves.png", said.append)
    assert said[0].startswith("waves.png: damaged or cut off")


def test_a_file_named_like_a_style_is_not_taken(painting: Path) -> None:
    painting.rename("great_wave")
    assert with_predicted_styles("great_wave") == "great_wave"


def test_a_cache_that_cannot_be_written(
    painting: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_cache.write_text("in the way")
    assert np.isfinite(norms("waves.png")).all()


def test_where_it_is_kept_is_shown_nowhere(painting: Path, own_cache: Path) -> None:
    blend = with_predicted_styles("waves.png:0.5+great_wave:0.5")
    with pytest.raises(WeightsError, match="^waves.png has no classic network"):
        load_weights(blend, network="classic")
    about = style_metadata(blend, strength=1.0, network="fast", interactive=True)
    assert about["style"] == "waves.png:0.5+great_wave:0.5"
    assert about["painting"] == "waves.png + The Great Wave off Kanagawa"
    assert json.loads(about["styles"]) == ["waves.png", "great_wave"]
    assert str(own_cache) not in json.dumps(about)


def test_old_styles_are_removed(painting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painting_styles, "_KEPT", 1)
    first, second = (with_predicted_styles(f"waves.png@0,0,{w},64") for w in (64, 65))
    painting_styles._cache.cache_clear()  # as in a new process
    with_predicted_styles("waves.png")
    assert sum(Path(style).exists() for style in (first, second)) == 1
