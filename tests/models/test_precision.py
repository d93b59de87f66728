"""bfloat16 is taken where it is the faster one, and only there."""

import pytest
import torch

from impasto.models import precision


@pytest.mark.parametrize(("bfloat16", "native"), [(1e-3, True), (4e-3, False)])
def test_the_faster_one_is_taken(bfloat16, native, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {torch.float32: 2e-3, torch.bfloat16: bfloat16}
    monkeypatch.setattr(precision, "_seconds", seconds.__getitem__)
    assert precision.computes_bfloat16.__wrapped__("cpu") is native
    assert precision.computes_bfloat16.__wrapped__("cuda:1")


def test_a_convolution_takes_some_time() -> None:
    assert 0 < precision._seconds(torch.float32) < 1
