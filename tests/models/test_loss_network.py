"""Loss networks: from names and files, their layers, preprocessing, and that they stay frozen."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models as zoo

from impasto.models.convnets import _untrained
from impasto.models.errors import DownloadError, WeightsError
from impasto.models.loss_network import convnet_of, load_loss_network
from impasto.models.loss_network_names import STAGES
from impasto.models.vgg import OXFORD, TORCHVISION, VGG, CompactNetwork, is_oxford

WIDTHS = (64, 128, 256, 512, 512)


@pytest.fixture(scope="module")
def compact() -> VGG:
    network = load_loss_network("compact")
    assert isinstance(network, CompactNetwork)
    return network


def narrow_vgg(name: str, *, batch_norm: bool = False, width: int = 8) -> nn.Sequential:
    """The features of a VGG of torchvision with random weights and few channels."""
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(0)
    layout = cfgs[{"vgg11": "A", "vgg13": "B", "vgg16": "D", "vgg19": "E"}[name]]
    narrow = [x if isinstance(x, str) else width * min(x, 256) // 64 for x in layout]
    model = make_layers(narrow, batch_norm=batch_norm).eval()
    for module in model:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            nn.init.normal_(module.bias, std=0.1)
        elif isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                nn.init.normal_(tensor, std=0.2)
        elif isinstance(module, nn.ReLU):
            module.inplace = False
    return model


def named(model: nn.Module) -> dict[str, Tensor]:
    return {f"features.{name}": value for name, value in model.state_dict().items()}


@torch.no_grad()
def until(model: nn.Sequential, last: int, x: Tensor) -> Tensor:
    return model[: last + 1](x)


@pytest.mark.parametrize(
    ("name", "batch_norm", "layer", "number"),
    [
        ("vgg19", False, "relu5_4", 35),
        ("vgg16", False, "relu4_3", 22),
        ("vgg11", False, "relu3_2", 9),
        ("vgg19", True, "relu4_2", 32),
        ("vgg13", True, "relu5_2", 33),
    ],
)
def test_a_vgg_from_torchvisions_file(
    name: str, batch_norm: bool, layer: str, number: int, tmp_path: Path
) -> None:
    """The depth, and whether there is batch norm, are read from the tensors."""
    model, path = narrow_vgg(name, batch_norm=batch_norm), tmp_path / "weights.pth"
    classifier = {"classifier.0.weight": torch.zeros(4, 4)}
    torch.save({**named(model), **classifier}, path)
    network = load_loss_network(str(path), precision="fp32")
    assert network.title == f"VGG-{name[3:]} of weights.pth (torchvision's weights)"
    image = torch.rand(1, 3, 32, 48)
    x = image * torch.tensor(TORCHVISION[0]).view(3, 1, 1)
    x = x + torch.tensor(TORCHVISION[1]).view(3, 1, 1)
    with torch.no_grad():
        found = network(image, [layer])[layer]
    torch.testing.assert_close(found, until(model, number, x), rtol=1e-3, atol=1e-4)
    assert network.layer(f"features.{number}") == layer


@pytest.mark.parametrize("bgr", [False, True])
@pytest.mark.parametrize("names", ["features", "conv"])
def test_oxfords_weights_are_told_by_their_first_layer(
    bgr: bool, names: str, tmp_path: Path
) -> None:
    """They take levels of 255 less the mean, in RGB or BGR; tensors may be named by the paper."""
    model = narrow_vgg("vgg19")
    first = model[0]
    assert isinstance(first, nn.Conv2d) and first.bias is not None
    with torch.no_grad():
        known = torch.tensor([0.73, 0.065, 0.034, 0.826, 0.258, 0.549, -0.012, 0.348])
        first.bias.copy_(known)
        first.weight[:, 2] *= 0.3  # blue
    tensors = named(model)
    image = torch.rand(1, 3, 32, 32)
    x = image * 255 - torch.tensor([123.68, 116.779, 103.939]).view(3, 1, 1)
    expected = until(model, 15, x)
    if bgr:
        tensors["features.0.weight"] = tensors["features.0.weight"].flip(1).contiguous()
    if names == "conv":
        numbers = [n for n, module in enumerate(model) if isinstance(module, nn.Conv2d)]
        papers = [
            f"conv{b}_{i}"
            for b, count in enumerate((2, 2, 4, 4, 4), 1)
            for i in range(1, count + 1)
        ]
        tensors = {
            f"{paper}.{part}": tensors[f"features.{number}.{part}"]
            for number, paper in zip(numbers, papers, strict=True)
            for part in ("weight", "bias")
        }
    path = tmp_path / "vgg.safetensors"
    save_file(tensors, path)
    network = load_loss_network(str(path), precision="fp32")
    assert network.title == "VGG-19 of vgg.safetensors (Oxford's weights)"
    with torch.no_grad():
        found = network(image, ["relu3_3"])["relu3_3"]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-2)
    same = load_loss_network("oxford", teacher=path, precision="fp32")
    with torch.no_grad():
        assert torch.equal(same(image, ["relu3_3"])["relu3_3"], found)


def test_weights_for_large_levels_are_known_by_small_filters() -> None:
    weight, bias = torch.randn(64, 3, 3, 3) / 5, torch.zeros(64)
    assert not is_oxford(weight, bias) and is_oxford(weight / 58, bias)


class Spy:
    """What unpickling calls, if anything does."""

    called = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (setattr, (Spy, "called", True))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"a": torch.zeros(1), "spy": Spy()}, "holds more than tensors"),
        (nn.Linear(2, 2), "holds more than tensors"),
        ({"epoch": 3, "state": {"a": torch.zeros(1)}}, "holds more than tensors"),
        ([torch.zeros(1)], "holds more than tensors"),
        ({"a": torch.zeros(1)}, "no network that is known"),
        ({"features.0.weight": torch.zeros(8, 3, 3, 3)}, "no VGG: convolution 0 has no bias"),
        (b"not a file of PyTorch's", "damaged"),
    ],
)
def test_bad_files(content: object, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(WeightsError, match=said) as error:
        load_loss_network(str(path))
    assert "\n" not in str(error.value)
    assert not Spy.called


def test_a_failed_download_says_where_the_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torchvision.models.VGG16_Weights.get_state_dict", offline)
    with pytest.raises(DownloadError, match=r"https://.*/vgg16-.*\.pth: no network; .*FILE"):
        load_loss_network("vgg16")


@pytest.mark.parametrize("name", ["squeezenet1_1"])  # the others take long to trace
def test_other_convnets_by_their_stages(name: str, tmp_path: Path) -> None:
    """torchvision's model with random weights, through a file, at one of its own layers."""
    torch.manual_seed(0)
    model = zoo.get_model(name, weights=None).eval()
    path = tmp_path / "weights.pth"
    torch.save(model.state_dict(), path)
    assert convnet_of(str(path)) == name
    network = load_loss_network(str(path), precision="fp32")
    stages = STAGES[name]
    image = torch.rand(1, 3, 64, 96, requires_grad=True)
    features = network(image, [*stages.style, stages.content])
    assert list(stages.layers) == [network.layer(layer) for layer in stages.layers]
    for layer, found in features.items():
        assert tuple(found.shape[-2:]) == network.size_of(layer, 64, 96)
    deepest = stages.style[-1]
    expected = []
    module = model.get_submodule(stages.layers[deepest])
    module.register_forward_hook(lambda module, inputs, output: expected.append(output.clone()))
    with torch.no_grad():
        model(network.preprocess(image))
    torch.testing.assert_close(features[deepest], expected[0], rtol=1e-3, atol=1e-4)
    features[deepest].sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    network.use_average_pooling()
    averaged = network(image, [deepest])[deepest]
    assert averaged.shape == expected[0].shape and not torch.equal(averaged, expected[0])
    with pytest.raises(WeightsError, match="no features before ReLU"):
        network.use_features_before_relu()


def test_pictures_smaller_than_the_deepest_layer(tmp_path: Path) -> None:
    without_classifier = _untrained("alexnet").to_empty(device="cpu")
    torch.save(without_classifier.state_dict(), tmp_path / "alexnet.pth")
    network = load_loss_network(str(tmp_path / "alexnet.pth"))
    with pytest.raises(WeightsError, match="24x20 is too small for relu5"):
        network.size_of("relu5", 20, 24)
    assert network.layer("conv3") == "relu3" and network.layer("features.3") == "features.3"
    with pytest.raises(WeightsError, match="no layer relu7 .*: the nearest are .*relu5"):
        network.layer("relu7")


@pytest.mark.parametrize(
    "spelled",
    [
        "relu4_2",
        "conv4_2",
        "relu_4_2",
        "4_2",
        "block4_conv2",
        "features.21",
        "features.22",
        "r42",
        "vgg_19/conv4/conv4_2",
        "Conv4_2",
        "conv_10",
    ],
)
def test_layers_in_anybodys_spelling(spelled: str, compact: VGG) -> None:
    assert compact.layer(spelled) == "relu4_2"
    assert VGG((2, 2, 4, 4, 4), WIDTHS, OXFORD).layer(spelled) == "relu4_2"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("relu5_2", "compact has no layer relu5_2: the nearest are .*relu5_1.*; vgg19 has it"),
        ("conv6_1", "no layer conv6_1 in compact: the nearest are .*relu"),
        ("features.4", "no layer features.4 in compact"),
        ("pool4", "no layer pool4 in compact"),
    ],
)
def test_layers_that_a_network_lacks(name: str, said: str, compact: VGG) -> None:
    with pytest.raises(WeightsError, match=said):
        compact.layer(name)


def test_features_before_relu(compact: VGG) -> None:
    image, layers = torch.rand(1, 3, 32, 32), ["relu1_2", "relu3_1"]
    before = load_loss_network("compact", precision="fp32")
    after = load_loss_network("compact", precision="fp32")
    before.use_features_before_relu()
    with torch.no_grad():
        given, usual = before.backbone(image, layers), after.backbone(image, layers)
        heads = before(image, ["relu3_1"])["relu3_1"], after(image, ["relu3_1"])["relu3_1"]
    for layer in layers:
        assert (given[layer] < 0).any()
        torch.testing.assert_close(F.relu(given[layer]), usual[layer])
    torch.testing.assert_close(F.relu(heads[0]), heads[1], rtol=1e-3, atol=1e-2)


def test_torchvision_preprocessing_is_mean_and_deviation():
    from torchvision.transforms.v2.functional import normalize

    image = torch.rand(1, 3, 4, 4)
    network = VGG((1,), (8,), TORCHVISION)
    expected = normalize(image, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    torch.testing.assert_close(image * network.scale + network.shift, expected)


def test_compact_offers_the_teachers_shapes(compact):
    features = compact(torch.rand(2, 3, 64, 96), ["relu1_1", "relu3_1", "relu4_2", "relu5_1"])
    assert {name: tuple(f.shape[1:]) for name, f in features.items()} == {
        "relu1_1": (64, 64, 96),
        "relu3_1": (256, 16, 24),
        "relu4_2": (512, 8, 12),
        "relu5_1": (512, 4, 6),
    }
    assert all((f >= 0).all() for f in features.values())


def test_gradients_reach_the_picture_and_not_the_weights(compact):
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    compact(image, ["relu4_2"])["relu4_2"].float().sum().backward()
    assert image.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in compact.parameters())


def test_compact_tells_texture_from_blur(compact):
    torch.manual_seed(0)
    texture = torch.rand(1, 3, 64, 64)
    blurred = F.avg_pool2d(texture, 9, stride=1, padding=4)
    with torch.no_grad():
        sharp, soft, repeated = (
            compact(x, ["relu2_1"])["relu2_1"].float() for x in (texture, blurred, texture.clone())
        )
    assert torch.equal(sharp, repeated)
    assert (sharp - soft).square().mean() > 0.1 * sharp.square().mean()


def test_an_unknown_layer_is_named(compact):
    with pytest.raises(ValueError, match="relu9_9"):
        compact(torch.rand(1, 3, 32, 32), ["relu9_9"])


def test_unknown_networks_and_files(tmp_path):
    with pytest.raises(WeightsError, match="use compact, vgg11, .*or a file"):
        load_loss_network("vgg12")
    with pytest.raises(WeightsError, match="no weights at"):
        load_loss_network("oxford", teacher=tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="no weights at"):
        load_loss_network("none.pth")
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(WeightsError, match="not a valid safetensors file"):
        load_loss_network(str(tmp_path / "bad.safetensors"))
