import pytest
import torch

from tunesmith.models.dropout import Dropout, byte_threshold, draw_mask, dropout

CPU = torch.device("cpu")


def test_every_position_of_a_word_is_dropped_equally_often() -> None:
    """random_() without bounds leaves the sign bit 0: every eighth element would be dropped twice as often."""
    torch.manual_seed(0)
    keep = draw_mask(torch.empty(80_000, 8), 26)
    rates = 1 - keep.float().mean(0)
    torch.testing.assert_close(rates, torch.full((8,), 26 / 256), atol=0.006, rtol=0)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_the_mean_is_kept_and_the_rate_is_right(probability: float) -> None:
    torch.manual_seed(0)
    out = dropout(torch.ones(400_000), probability)
    assert float(out.mean()) == pytest.approx(1, abs=0.02)
    assert float((out == 0).float().mean()) == pytest.approx(probability, abs=0.005)


def test_the_gradient_passes_where_the_value_passed() -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, requires_grad=True)
    out = dropout(x, 0.3)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


@pytest.mark.parametrize("probability", [1e-4, 1.0])
def test_probabilities_that_a_byte_cannot_hold_fall_back_to_torch(probability: float) -> None:
    assert byte_threshold(probability, CPU) == 0
    assert float((dropout(torch.ones(10_000), probability) == 0).float().mean()) == pytest.approx(probability, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_a_mask_is_ones_and_zeros_and_keeps_the_type_of_what_it_multiplies(dtype: torch.dtype) -> None:
    x = torch.randn(7, 5, dtype=dtype)
    mask = draw_mask(x, 128)
    assert mask.dtype == torch.uint8 and set(mask.unique().tolist()) == {0, 1}
    assert torch.equal(x * mask, torch.where(mask.bool(), x, torch.zeros_like(x)))


def test_nothing_happens_in_evaluation_mode() -> None:
    x = torch.randn(5)
    assert Dropout(0.5).eval()(x) is x


def test_the_same_seed_draws_the_same_mask() -> None:
    def draw() -> torch.Tensor:
        torch.manual_seed(4)
        return dropout(torch.ones(37), 0.5)

    assert torch.equal(draw(), draw())
