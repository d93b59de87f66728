"""Styles with networks of several architectures: which one is taken, and what cannot be mixed."""

import json
import sys

import numpy as np
import pytest
import torch

from impasto.models import styles
from impasto.models.errors import WeightsError
from impasto.models.styles import (
    choose_network,
    known_styles,
    load_network,
    load_style,
    load_weights,
    mixture_of,
    read_weights,
)
from impasto.models.training import publish
from impasto.models.training.results import save_network
from impasto.models.training.together import tied_networks
from impasto.models.transform_net import TransformNet
from tests.weights import make_library

BOTH = ("fast", "fine")
LIBRARY = {"dawn": BOTH, "dusk": BOTH, "noon": ["fast"], "night": ["fine"]}


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """Two folders: one with the identity network of "fast" alone, and one with both."""
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    return [make_library(folders[0], LIBRARY), make_library(folders[1], LIBRARY, BOTH)]


@pytest.fixture
def install(monkeypatch):
    """Puts a folder of weights in place of the package's."""

    def put(folder):
        monkeypatch.setattr(styles, "WEIGHTS", folder)
        styles.manifest.cache_clear()
        return folder

    yield put
    styles.manifest.cache_clear()


@pytest.fixture
def library(untrained, install):
    return install(untrained[1])


@pytest.fixture(scope="module")
def fine_file(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("mine") / "mine.safetensors", "fine")


def saved(path, architecture):
    save_network(TransformNet(architecture), path)
    return str(path)


@pytest.mark.parametrize(
    ("spec", "best", "fastest"),
    [
        ("dawn", "fine", "fast"),
        ("dawn+dusk:3", "fine", "fast"),
        ("noon", "fast", "fast"),
        ("dawn+noon", "fast", "fast"),
        ("night", "fine", "fine"),
        ("dawn+night", "fine", "fine"),
    ],
)
def test_auto_is_the_best_or_the_fastest_that_all_parts_have(spec, best, fastest, library):
    assert choose_network(spec) == best == load_style(spec).architecture
    assert choose_network(spec, fastest=True) == fastest


def test_auto_has_the_identity_network_too(untrained, install):
    install(untrained[0])
    assert choose_network("dawn") == "fine"
    assert choose_network("dawn", strength=0.9) == "fast"
    assert load_style("dawn", strength=0.9).architecture == "fast"
    for spec, network in (("night", "auto"), ("dawn", "fine")):
        with pytest.raises(WeightsError, match="no fine identity.*must be 1.*--network fast"):
            load_style(spec, strength=0.9, network=network)
    install(untrained[1])
    assert choose_network("dawn", strength=0.9) == "fine"


@pytest.mark.parametrize("network", BOTH)
def test_a_network_that_is_asked_for(network, library):
    loaded = load_style("dawn", network=network)
    assert loaded.architecture == network == load_weights("dawn", network=network).architecture
    stored = load_network(library / f"dawn.{network}.safetensors").state_dict()
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, stored[name])
    mixture = mixture_of("dawn:1+dusk:3", strength=0.8, network=network)
    files = [f"{name}.{network}.safetensors" for name in ("dawn", "dusk", "trunk")]
    assert [path.name for path in mixture] == files
    assert list(mixture.values()) == pytest.approx([0.2, 0.6, 0.2])


def test_a_file_decides_for_the_names_beside_it(library, fine_file, tmp_path):
    assert choose_network(f"dawn+{fine_file}", fastest=True) == "fine"
    fast_file = saved(tmp_path / "quick.safetensors", "fast")
    assert choose_network(f"{fast_file}:2+dawn") == "fast"
    blend = load_style(f"{fine_file}+dawn").state_dict()
    parts = [load_style(name, network="fine").state_dict() for name in (fine_file, "dawn")]
    for name, value in blend.items():
        torch.testing.assert_close(value, (parts[0][name] + parts[1][name]) / 2)


@pytest.mark.parametrize(
    ("spec", "network", "message"),
    [
        ("noon", "fine", r"^noon has no fine network: use --network fast$"),
        ("dawn+night", "fast", r"^night has no fast network: use --network fine$"),
        ("FILE", "fast", r"mine.safetensors has no fast network: use --network fine$"),
        ("noon+night", "auto", r"cannot be mixed: noon \(fast\), night \(fine\); blend styles"),
        ("noon+FILE", "auto", r"cannot be mixed: noon \(fast\), .*mine.safetensors \(fine\);"),
        ("dawn", "huge", r"unknown network 'huge'; use fast, fine, classic or auto"),
        ("dwan", "fine", r"no style 'dwan', did you mean dawn"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(spec, network, message, library, fine_file):
    with pytest.raises(WeightsError, match=message) as refused:
        load_style(spec.replace("FILE", fine_file), network=network)
    assert "\n" not in str(refused.value)


def test_styles_that_have_a_network(library):
    assert list(known_styles()) == list(LIBRARY)
    assert list(known_styles("fast")) == ["dawn", "dusk", "noon"]
    assert list(known_styles("fine")) == ["dawn", "dusk", "night"]


def test_publishing_a_second_network_keeps_the_first(tmp_path, install, monkeypatch):
    folder = install(make_library(tmp_path, {"noon": ["fast"]}))
    monkeypatch.setattr(publish, "WEIGHTS", folder)
    before = json.loads((folder / "manifest.json").read_text())

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["publish", *arguments])
        publish.main()
        styles.manifest.cache_clear()
        return json.loads((folder / "manifest.json").read_text())

    trained = tmp_path / "trained.safetensors"
    save_network(TransformNet("fine"), trained, recipe='{"steps": 3}', content="0.5")
    table = run("style", str(trained), "--name", "noon", "--sentence", "Light.")
    row = table["styles"]["noon"]
    old = before["styles"]["noon"]
    assert row["weights"]["fast"] == old["weights"]["fast"]
    assert row["weights"]["fine"].keys() == {"file", "sha256", "recipe", "content"}
    assert row | {"weights": {}} == old | {"weights": {}, "sentence": "Light."}
    assert load_style("noon").architecture == "fine"
    table = run("identity", str(trained))
    assert table["trunks"].keys() == {"fast", "fine"} and "form" not in table["trunks"]["fine"]
    assert load_style("noon", strength=0.0).architecture == "fine"


def test_a_style_trained_together_is_published_without_what_it_shares(
    tmp_path, install, monkeypatch
):
    folder = install(make_library(tmp_path / "weights", {}, []))
    monkeypatch.setattr(publish, "WEIGHTS", folder)
    networks = tied_networks(["dusk", "dawn"], TransformNet("fine"))
    for name, network in networks.items():
        with torch.no_grad():
            network.body.out.conv.weight.normal_()
        save_network(network, tmp_path / f"{name}.safetensors")
    whole = tmp_path / "dawn.safetensors"

    def published(*arguments):
        monkeypatch.setattr(sys, "argv", ["publish", *map(str, arguments)])
        publish.main()
        styles.manifest.cache_clear()

    published("shared", tmp_path / "dusk.safetensors")
    published("style", whole, "--name", "dawn")
    file = folder / "dawn.fine.safetensors"
    assert file.stat().st_size < 0.1 * whole.stat().st_size
    expected, found = read_weights(whole).arrays, load_weights("dawn").arrays
    assert expected.keys() == found.keys()
    for name, value in expected.items():  # 8 bits: half a step of the largest in its channel
        largest = np.abs(value).max(tuple(range(1, value.ndim)), keepdims=True)
        within = 0.51 / 127 * largest if value.ndim == 4 else 0
        assert (np.abs(found[name] - value) <= within).all(), name
    published("shared", saved(tmp_path / "other.safetensors", "fine"))
    with pytest.raises(WeightsError, match="another version"):
        read_weights(file)
