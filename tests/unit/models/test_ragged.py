import numpy as np
import pytest
import torch

from tunesmith.models.ragged import ANSWERING, LEARNING_BF16, MAX_CHUNKS, Costs, cut, plan, to_chunks, to_rows

CPU = torch.device("cpu")


@pytest.mark.parametrize("lengths", [(3,), (1, 1), (2, 9, 4, 4, 7, 1, 30, 2, 2), tuple(range(1, 40))])
@pytest.mark.parametrize("costs", [ANSWERING, LEARNING_BF16])
def test_rows_survive_the_way_to_chunks_and_back(lengths: tuple[int, ...], costs: Costs) -> None:
    layout = plan(lengths, CPU, costs)
    rows = torch.randn(sum(lengths), 3)
    assert torch.equal(to_rows(to_chunks(rows, layout), layout), rows)


@pytest.mark.parametrize("lengths", [(3,), (2, 9, 4, 4, 7, 1, 30, 2, 2)])
def test_a_chunk_is_as_long_as_its_longest_window_and_marks_padding(lengths: tuple[int, ...]) -> None:
    layout = plan(lengths, CPU)
    real = sum(chunk.rows if chunk.seen is None else int(chunk.seen.sum()) for chunk in layout.chunks)
    assert real == sum(lengths)
    assert sum(chunk.blocks for chunk in layout.chunks) == len(lengths)
    assert len(layout.chunks) <= MAX_CHUNKS
    assert max(chunk.longest for chunk in layout.chunks) == max(lengths)


def test_windows_that_share_a_block_see_their_own_rows_and_fill_it_well() -> None:
    lengths = (71, 48, 39, 38, 34, 34, 26, 26, 24, 12, 10, 9, 8, 7, 7, 6)
    layout = plan(lengths, CPU, Costs(10**9, 1.0))
    (chunk,) = layout.chunks
    assert (chunk.blocks, chunk.longest) == (6, 80)
    assert chunk.seen is not None and chunk.seen.shape == (6, 80, 80)
    real = torch.zeros(chunk.rows, dtype=torch.bool).index_fill_(0, layout.place, True).view(6, 80)
    assert (
        chunk.seen.sum(2)[real].sort().values == torch.tensor([n for n in lengths for _ in range(n)]).sort().values
    ).all()
    assert bool(chunk.seen.any(2).all()), "padding sees something, or its softmax would not be finite"
    assert not bool((chunk.seen & (real[:, :, None] != real[:, None, :])).any())


def test_windows_stay_alone_where_sharing_saves_nothing() -> None:
    assert [chunk.blocks for chunk in plan((16,) * 8, CPU, LEARNING_BF16).chunks] == [8]
    assert [chunk.blocks for chunk in plan((30,), CPU, LEARNING_BF16).chunks] == [1]


def test_a_plan_made_while_judging_serves_training() -> None:
    with torch.inference_mode():
        layout = plan((7, 3, 11), CPU)
    tensors = [layout.gather, layout.place, *(chunk.seen for chunk in layout.chunks if chunk.seen is not None)]
    assert not any(tensor.is_inference() for tensor in tensors)


def test_both_directions_pass_gradients_to_the_row_they_came_from() -> None:
    lengths = (2, 5, 3)
    layout = plan(lengths, CPU)
    rows = torch.randn(10, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: to_rows([block * 2 for block in to_chunks(x, layout)], layout), (rows,))


def test_equal_lengths_make_one_chunk_without_padding() -> None:
    layout = plan((6,) * 8, CPU)
    assert [chunk.seen for chunk in layout.chunks] == [None]


def test_cutting_never_costs_more_than_one_chunk() -> None:
    lengths = np.sort(np.random.default_rng(0).integers(1, 100, 37))[::-1].copy()
    groups = cut(lengths)
    assert [index for group in groups for index in range(group.start, group.stop)] == list(range(37))
    area = sum((group.stop - group.start) * int(lengths[group.start]) for group in groups)
    assert area < 37 * int(lengths[0])
