"""Style files: blends, strengths, and every way a file can be wrong."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from impasto.models import styles
from impasto.models.errors import WeightsError
from impasto.models.loss_network import load_loss_network
from impasto.models.losses import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    content_loss,
    gram_matrix,
    grid_loss,
    style_loss,
)
from impasto.models.styles import (
    known_styles,
    load_network,
    load_style,
    manifest,
    mix,
    networks_of,
    parse_blend,
)
from impasto.models.training.dataset import read_photo
from impasto.models.training.results import save_network
from impasto.models.transform_net import TransformNet


@pytest.fixture
def style_files(tmp_path):
    paths = []
    for seed in range(2):
        torch.manual_seed(seed)
        paths.append(tmp_path / f"style{seed}.safetensors")
        save_network(TransformNet("fast"), paths[-1])
    return paths


def test_a_single_name_has_the_full_share():
    assert parse_blend("great_wave") == {"great_wave": 1.0}


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=5))
def test_shares_sum_to_one_and_keep_their_proportion(shares):
    blend = parse_blend("+".join(f"style{i}:{share}" for i, share in enumerate(shares)))
    assert sum(blend.values()) == pytest.approx(1)
    for index, share in enumerate(shares):
        assert blend[f"style{index}"] == pytest.approx(share / sum(shares))


@pytest.mark.parametrize("spec", ["", "a+", "a:-1", "a:0", "a:nan", "a:inf", "a:many", ":1"])
def test_shares_must_be_positive_numbers(spec):
    with pytest.raises(WeightsError):
        parse_blend(spec)


@pytest.mark.parametrize(
    ("name", "network"), [(name, each) for name in known_styles() for each in networks_of(name)]
)
def test_every_style_loads_and_runs(name, network):
    with torch.no_grad():
        stylized = load_style(name, network=network)(torch.rand(1, 3, 48, 64))
    assert stylized.isfinite().all()
    assert stylized.std() > 0.02, "the output is a flat gray"


def test_an_unknown_style_lists_the_known_and_the_nearest():
    with pytest.raises(WeightsError, match="did you mean great_wave.*Known: .*great_wave"):
        load_style("great_waev")


def test_a_blend_of_files_lies_between_them(style_files):
    first, second = (load_network(path).state_dict() for path in style_files)
    blend = load_style(f"{style_files[0]}:1+{style_files[1]}:3").state_dict()
    for name, value in blend.items():
        torch.testing.assert_close(value, 0.25 * first[name] + 0.75 * second[name])


@pytest.mark.parametrize("network", sorted(manifest()["trunks"].keys() & networks_of("great_wave")))
def test_strength_one_is_the_style_and_zero_the_identity(network):
    style, half, zero = (
        load_style("great_wave", strength=strength, network=network).state_dict()
        for strength in (1.0, 0.5, 0.0)
    )
    identity = load_network(styles.identity_file(network)).state_dict()
    for name in style:
        torch.testing.assert_close(half[name], 0.5 * style[name] + 0.5 * identity[name])
        torch.testing.assert_close(zero[name], identity[name])


@pytest.mark.parametrize("name", ["autumn_river", "tableau_no_2"])
def test_a_weak_style_shows_no_grid_where_the_picture_is_flat(name):
    """Earlier networks, which were trained apart, had 0.8 and 1.7 levels of 255, rms."""
    photo = read_photo(HARBOR)[None, :, :240, :256].clone()
    photo[..., 64:192, 64:192] = 0.5
    with torch.no_grad():
        picture = load_style(name, strength=0.3, network="fast")(photo)
    flat = picture[..., 88:168, 88:168]
    assert 255 * grid_loss(flat, 2).sqrt().item() < 0.2


STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
HARBOR = Path(__file__).parents[2] / "samples" / "harbor.jpg"


def features_along(networks):
    """Features of the sample photo, then of the same as stylized by each network."""
    loss_network = load_loss_network("compact")
    photo = read_photo(HARBOR)[None, :, 60:172, 170:282]
    with torch.no_grad():
        pictures = [photo, *(network(photo).clamp(0, 1) for network in networks)]
        return [loss_network(picture, (*STYLE_LAYERS, CONTENT_LAYER)) for picture in pictures]


def grams(features):
    return {layer: gram_matrix(features[layer]) for layer in STYLE_LAYERS}


@pytest.mark.parametrize("name", known_styles())
def test_more_strength_is_less_content_and_more_style(name):
    """Content to within 5 %: one crop, and by the compact network, not VGG-19."""
    photo, *path = features_along(load_style(name, strength=strength) for strength in STEPS)
    content = [content_loss(f[CONTENT_LAYER], photo[CONTENT_LAYER]).item() for f in path]
    style = [style_loss(grams(f), grams(path[-1])).item() for f in path]
    assert max(content) == content[-1] and min(content) == content[0]
    assert all(later > 0.95 * earlier for earlier, later in pairwise(content))
    assert style == sorted(style, reverse=True)


def test_a_blend_goes_from_one_style_to_the_other():
    first, second = list(known_styles())[:2]
    shares = (0.999, 0.75, 0.5, 0.25, 0.001)  # a share of zero is no style
    blends = (load_style(f"{first}:{share}+{second}:{1 - share}") for share in shares)
    _, *path = features_along(blends)
    away = [style_loss(grams(f), grams(path[0])).item() for f in path]
    near = [style_loss(grams(f), grams(path[-1])).item() for f in path]
    assert away == sorted(away)
    assert near == sorted(near, reverse=True)


@pytest.mark.parametrize("network", manifest()["trunks"])
def test_the_identity_network_reproduces_its_input(network):
    y, x = torch.meshgrid(torch.linspace(0, 6, 96), torch.linspace(0, 9, 128), indexing="ij")
    picture = torch.stack([x.sin(), (x + y).cos(), (y * 2).sin()])[None] * 0.3 + 0.45
    with torch.no_grad():
        output = load_network(styles.identity_file(network))(picture)
    error = (output - picture).square().mean().sqrt().item()
    assert error < 0.05  # a smooth picture, well inside 8% of the range; an untrained net gives 0.3


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strength_out_of_range(strength):
    with pytest.raises(WeightsError, match="strength"):
        load_style("great_wave", strength=strength)


def test_mixing_one_network_changes_nothing(style_files):
    network = load_network(style_files[0])
    mixed = mix({"a": network}, {"a": 1.0})
    assert mixed is not network  # the caller may mix it again
    pairs = zip(mixed.state_dict().values(), network.state_dict().values(), strict=True)
    assert all(torch.equal(mixed, original) for mixed, original in pairs)


def test_a_truncated_file(style_files):
    data = style_files[0].read_bytes()
    style_files[0].write_bytes(data[: len(data) // 2])
    with pytest.raises(WeightsError, match="not a valid safetensors file"):
        load_style(str(style_files[0]))


def test_a_file_of_another_kind(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="not an Impasto style"):
        load_style(str(path))
    save_file({"weight": torch.zeros(3)}, path, {"form": "fast"})
    with pytest.raises(WeightsError, match="does not hold the weights"):
        load_style(str(path))
    path.write_bytes(b"\x80\x04 pickled")
    with pytest.raises(WeightsError, match="not a valid safetensors file"):
        load_style(str(path))


def test_a_missing_file(tmp_path):
    with pytest.raises(WeightsError, match="no style file"):
        load_style(str(tmp_path / "none.safetensors"))


def test_a_damaged_file_of_the_package(tmp_path, monkeypatch):
    (tmp_path / "a.safetensors").write_bytes(b"changed")
    row = {"file": "a.safetensors", "sha256": "0" * 64}
    monkeypatch.setattr(styles, "WEIGHTS", tmp_path)
    with pytest.raises(WeightsError, match="damaged"):
        styles.verified_file(row)


def test_the_manifest_names_every_file_in_the_folder():
    table = json.loads((styles.WEIGHTS / "manifest.json").read_text())
    rows = [row for style in table["styles"].values() for row in style["weights"].values()]
    rows += [*table["trunks"].values(), *table["shared"].values(), *table["any"].values()]
    rows += [table["loss_network"]]
    assert {row["file"] for row in rows} == {p.name for p in styles.WEIGHTS.glob("*.safetensors")}
    for row in rows:
        styles.verified_file(row)
    for style in table["styles"].values():
        assert {"painting", "artist", "year", "licence", "sentence"} <= style.keys()
