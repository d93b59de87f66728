"""Feature sums against einsum and autograd, style losses against values worked out by hand."""

from dataclasses import replace

import pytest
import torch

from impasto.models.gatys.feature_statistics import (
    FeatureStatistics,
    FeatureSums,
    GramLoss,
    MixedLoss,
    WassersteinLoss,
    feature_statistics,
    feature_sums,
)
from impasto.models.gatys.objective import painting_statistics
from impasto.models.gatys.optimize import open_network, resized
from impasto.models.training.dataset import read_photo
from tests.models.gatys.helpers import EXACT, SAMPLES


class TestFeatureSums:
    @pytest.mark.parametrize("with_mask", [False, True])
    @pytest.mark.parametrize("size", [(110, 72), (11, 7)])
    def test_sums_and_gradient(self, with_mask: bool, size: tuple[int, int]) -> None:
        """Against einsum and autograd, in float64; in parts and at once."""
        generator = torch.Generator().manual_seed(0)
        features = torch.randn(1, 5, *size, generator=generator, dtype=torch.float64)
        features.requires_grad_()
        reference = features.detach().clone().requires_grad_()
        mask = None
        if with_mask:
            mask = torch.rand(1, 1, *size, generator=generator, dtype=torch.float64)
        sums = feature_sums(features, mask)
        weighted = reference if mask is None else reference * mask
        second = torch.einsum("nahw,nbhw->nab", weighted, reference)
        expected = FeatureSums(weighted.sum((2, 3)), second)
        for first, second in (sums, expected):  # any function of both
            (first.square().sum() + second.sin().sum()).backward()
        torch.testing.assert_close(sums.second.double(), expected.second, rtol=1e-4, atol=1e-2)
        torch.testing.assert_close(sums.first.double(), expected.first, rtol=1e-4, atol=1e-2)
        assert features.grad is not None and reference.grad is not None
        # The sine of sums in float32: some digits are lost.
        assert (features.grad - reference.grad).norm() < 1e-2 * reference.grad.norm()

    @pytest.mark.parametrize("size", [(16, 24), (5, 7)])
    def test_first_sums_in_bfloat16(self, size: tuple[int, int]) -> None:
        f = torch.rand(1, 40, *size, generator=torch.Generator().manual_seed(0)).bfloat16()
        f = f.contiguous(memory_format=torch.channels_last)
        expected = f.double().sum((2, 3))
        # Each part is rounded to one part in 512 at most.
        torch.testing.assert_close(feature_sums(f).first.double(), expected, rtol=2e-3, atol=0)

    def test_the_first_sum_is_left_out_on_request(self) -> None:
        f = torch.rand(1, 4, 8, 8)
        without, both = feature_sums(f, second_only=True), feature_sums(f)
        assert not without.first.any()
        torch.testing.assert_close(without.second, both.second)


class TestStyleLosses:
    def test_wasserstein_of_independent_channels(self) -> None:
        """Diagonal covariances: sum of (m - n)^2 + (s - t)^2, over |n|^2 + sum t^2."""
        mean, other = torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([[0.0, 2.0, 1.0]])
        deviation, wide = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 1.0])

        def normal(m: torch.Tensor, s: torch.Tensor) -> FeatureStatistics:
            return FeatureStatistics(m, torch.diag(s**2)[None] + m.mT @ m)

        loss = WassersteinLoss(normal(other, wide))(normal(mean, deviation))
        assert loss.item() == pytest.approx((1 + 0 + 1 + 1 + 0 + 4) / (5 + 9), rel=1e-3)

    def test_the_mixed_loss_is_the_mean_of_both(self) -> None:
        statistics, target = (
            feature_statistics(feature_sums(torch.rand(1, 5, 8, 9)), 72) for _ in range(2)
        )
        expected = (GramLoss(target)(statistics) + WassersteinLoss(target)(statistics)) / 2
        torch.testing.assert_close(MixedLoss(target)(statistics), expected)

    def test_a_small_painting_with_average_pooling(self) -> None:
        """Few positions make singular covariances, on which eigh in float32 did not converge."""
        average = open_network(replace(EXACT, pooling="average", precision="bf16"), "cpu")
        for name in ("ink_hatching", "flow_field"):
            painting = resized(read_photo(SAMPLES / f"{name}.jpg")[None], (64, 64))
            target = painting_statistics(average, painting, ["relu5_1"], None)["relu5_1"]
            assert WassersteinLoss(target)(target).item() == pytest.approx(0, abs=1e-2)

    @pytest.mark.parametrize("loss", [GramLoss, WassersteinLoss, MixedLoss])
    def test_zero_at_the_target_with_a_finite_gradient(self, loss) -> None:
        f = torch.randn(1, 40, 6, 5)  # fewer positions than channels: a singular covariance
        target = feature_statistics(feature_sums(f), 30)
        assert loss(target)(target).item() == pytest.approx(0, abs=1e-3)
        image = f.clone().requires_grad_()
        loss(target)(feature_statistics(feature_sums(image), 30)).backward()
        assert torch.isfinite(image.grad).all()
