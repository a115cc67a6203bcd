"""One pass over a tensor, and no false alarm where the sum overflows."""

import math

import pytest
import torch

from tunesmith.core.finite import is_finite


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("fault", [math.inf, -math.inf, math.nan])
def test_one_number_among_many_is_found(dtype: torch.dtype, fault: float) -> None:
    tensor = torch.randn(300, 200).to(dtype)
    assert is_finite(tensor)
    tensor[211, 7] = fault
    assert not is_finite(tensor)
    tensor[0, 0] = -fault
    assert not is_finite(tensor)


def test_large_numbers_are_finite_though_their_sum_is_not() -> None:
    assert is_finite(torch.full((100,), torch.finfo(torch.float32).max))
    assert is_finite(torch.full((100,), torch.finfo(torch.float16).max, dtype=torch.float16))


def test_numbers_without_a_point_are_finite() -> None:
    assert is_finite(torch.arange(5)) and is_finite(torch.tensor([True]))
    assert is_finite(torch.zeros(0))
