import pytest
import torch

from tunesmith.models.head_rows import by_chunk, clear_padding, heads_first, join_heads, split_heads
from tunesmith.models.ragged import ANSWERING, Costs, plan, to_chunks

CPU = torch.device("cpu")
LENGTHS = [(3,), (4, 4, 4), (1, 1), (2, 9, 4, 4, 7, 1, 30, 2, 2), tuple(range(1, 40))]
COSTS = [ANSWERING, Costs(4000, 1.5), Costs(10**9, 1.0)]


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("costs", COSTS)
@pytest.mark.parametrize("parts", [1, 3])
def test_rows_of_heads_survive_the_way_there_and_back(lengths: tuple[int, ...], costs: Costs, parts: int) -> None:
    layout = plan(lengths, CPU, costs)
    rows = torch.randn(sum(lengths), parts * 2 * 5)
    laid = split_heads(rows, layout, 2, parts)
    assert laid.shape == (parts, 2 * len(layout.gather), 5)
    assert torch.equal(join_heads(laid, layout, 2), rows)


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("costs", COSTS)
def test_one_gather_equals_a_gather_of_rows_and_a_move_of_heads(lengths: tuple[int, ...], costs: Costs) -> None:
    layout = plan(lengths, CPU, costs)
    rows = torch.randn(sum(lengths), 2 * 5)
    once = by_chunk(clear_padding(split_heads(rows, layout, 2, 1), layout, 2), layout, 2)
    for found, chunk, block in zip(once, layout.chunks, to_chunks(rows, layout), strict=True):
        expected = heads_first(block, chunk, 2, 1)
        cleared = (found == 0).all(-1)
        assert torch.equal(found[~cleared], expected[~cleared])
    assert sum(int((found != 0).any(-1).sum()) for found in once) == 2 * sum(lengths), "all padding, and nothing else"


def test_numbers_made_while_judging_serve_training() -> None:
    layout = plan((7, 3, 11), CPU)
    with torch.inference_mode():
        split_heads(torch.randn(21, 6), layout, 2, 3)
    rows = torch.randn(21, 6, requires_grad=True)
    split_heads(rows, layout, 2, 3).sum().backward()
    assert rows.grad is not None
