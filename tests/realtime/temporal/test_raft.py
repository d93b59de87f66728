"""RAFT behind the same call as DIS. Its weights are downloaded, so those here are random."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.models.optical_flow import RAFT, raft_small

from impasto.models.errors import WeightsError
from impasto.realtime.engines.base import IdentityEngine
from impasto.realtime.stylizer import Stylizer
from impasto.realtime.temporal.blend import FlowBlend
from impasto.realtime.temporal.raft import Raft
from tests.pictures import make_pictures


@pytest.fixture(scope="module")
def network() -> RAFT:
    torch.manual_seed(0)
    return raft_small()


@pytest.mark.parametrize(("height", "width"), [(136, 144), (70, 133)])
def test_is_torchvisions_network_in_pixels_of_the_picture(network, height, width) -> None:
    first, second = make_pictures(2, height, width)
    forward, backward = Raft(network)(first, second)
    assert forward.shape == backward.shape == (height, width, 2)
    assert forward.dtype == backward.dtype == np.float32
    padding = (0, -width % 8, 0, max(128, height + -height % 8) - height)
    for flow, pair in ((forward, (first, second)), (backward, (second, first))):
        pictures = [torch.from_numpy(x).permute(2, 0, 1)[None] / 255 * 2 - 1 for x in pair]
        with torch.inference_mode():
            padded = (F.pad(picture, padding, mode="replicate") for picture in pictures)
            expected = network(*padded)[-1][0, :, :height, :width]
        assert np.abs(expected.numpy()).max() > 0.1
        # Alone and in a batch of two: sums run in another order.
        np.testing.assert_allclose(flow.transpose(2, 0, 1), expected.numpy(), atol=1e-3)


def test_stands_where_dis_does(network) -> None:
    blend = FlowBlend(flows=Raft(network))
    for image in make_pictures(2, 70, 90):
        assert blend(image, 255 - image).shape == image.shape


def test_without_the_download_it_says_what_needs_none(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(WeightsError, match="cannot download RAFT from http.*: .*--steadiness flow"):
        Stylizer(IdentityEngine(), steadiness="raft")
