"""Loss networks: layer names, shapes, preprocessing, and that they stay frozen."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from impasto.models.errors import WeightsError
from impasto.models.loss_network import (
    OXFORD,
    TORCHVISION,
    VGG16_BLOCKS,
    VGG19_BLOCKS,
    VGG_WIDTHS,
    LossNetwork,
    load_loss_network,
    oxford_vgg19,
)

VGG19_NUMBERS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)  # torchvision's, to conv5_1


@pytest.fixture(scope="module")
def compact() -> LossNetwork:
    return load_loss_network("compact")


def test_vgg_layers_carry_the_names_of_the_papers():
    vgg19 = LossNetwork(VGG19_BLOCKS, VGG_WIDTHS, OXFORD)
    vgg16 = LossNetwork(VGG16_BLOCKS, VGG_WIDTHS, TORCHVISION)
    assert len(vgg19.convs) == 16 and "relu3_4" in vgg19.convs and "relu5_4" in vgg19.convs
    assert len(vgg16.convs) == 13 and "relu3_3" in vgg16.convs and "relu3_4" not in vgg16.convs


def test_vgg19_agrees_with_torchvisions_own(tmp_path):
    """The same random weights in torchvision's VGG-19 and in `oxford_vgg19`, through a file."""
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(0)
    reference = make_layers(cfgs["E"]).eval()  # without its classifier, of 120 million weights
    for conv in reference:
        if isinstance(conv, torch.nn.Conv2d):  # initialized as in `torchvision.models.VGG`
            torch.nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            torch.nn.init.zeros_(conv.bias)
    tensors = {f"features.{name}": value for name, value in reference.state_dict().items()}
    path = tmp_path / "vgg.safetensors"
    saved = {n: v for n, v in tensors.items() if int(n.split(".")[1]) in VGG19_NUMBERS}
    save_file(saved, path)
    network = oxford_vgg19(path)
    image = torch.rand(1, 3, 32, 48)
    x = image * 255 - torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1)
    with torch.no_grad():
        features = network(image, ["relu1_1", "relu3_2", "relu5_1"])
        for name, last in (("relu1_1", 1), ("relu3_2", 13), ("relu5_1", 29)):
            expected = reference[: last + 1](x)
            torch.testing.assert_close(features[name], expected, rtol=1e-4, atol=1e-3)


def test_torchvision_preprocessing_is_mean_and_deviation():
    from torchvision.transforms.v2.functional import normalize

    image = torch.rand(1, 3, 4, 4)
    network = LossNetwork((1,), (8,), TORCHVISION)
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
    with pytest.raises(WeightsError, match="use compact, vgg16 or vgg19"):
        load_loss_network("vgg11")
    with pytest.raises(WeightsError, match="no weights at"):
        load_loss_network("oxford", teacher=tmp_path / "none.safetensors")
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "short.safetensors")
    with pytest.raises(WeightsError, match="1 convolutions, not 13"):
        oxford_vgg19(tmp_path / "short.safetensors")
