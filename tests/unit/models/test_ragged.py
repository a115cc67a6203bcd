import numpy as np
import pytest
import torch

from tunesmith.models.ragged import MAX_CHUNKS, cut, plan, to_chunks, to_rows

CPU = torch.device("cpu")


@pytest.mark.parametrize("lengths", [(3,), (1, 1), (2, 9, 4, 4, 7, 1, 30, 2, 2), tuple(range(1, 40))])
def test_rows_survive_the_way_to_chunks_and_back(lengths: tuple[int, ...]) -> None:
    layout = plan(lengths, CPU)
    rows = torch.randn(sum(lengths), 3)
    assert torch.equal(to_rows(to_chunks(rows, layout), layout), rows)


@pytest.mark.parametrize("lengths", [(3,), (2, 9, 4, 4, 7, 1, 30, 2, 2)])
def test_a_chunk_is_as_long_as_its_longest_window_and_marks_padding(lengths: tuple[int, ...]) -> None:
    layout = plan(lengths, CPU)
    real = sum(chunk.rows if chunk.real is None else int(chunk.real.sum()) for chunk in layout.chunks)
    assert real == sum(lengths)
    assert sum(chunk.windows for chunk in layout.chunks) == len(lengths)
    assert len(layout.chunks) <= MAX_CHUNKS
    assert max(chunk.longest for chunk in layout.chunks) == max(lengths)


def test_a_plan_made_while_judging_serves_training() -> None:
    with torch.inference_mode():
        layout = plan((7, 3, 11), CPU)
    tensors = [layout.gather, layout.place, *(chunk.real for chunk in layout.chunks if chunk.real is not None)]
    assert not any(tensor.is_inference() for tensor in tensors)


def test_both_directions_pass_gradients_to_the_row_they_came_from() -> None:
    lengths = (2, 5, 3)
    layout = plan(lengths, CPU)
    rows = torch.randn(10, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: to_rows([block * 2 for block in to_chunks(x, layout)], layout), (rows,))


def test_equal_lengths_make_one_chunk_without_padding() -> None:
    layout = plan((6,) * 8, CPU)
    assert [chunk.real for chunk in layout.chunks] == [None]


def test_cutting_never_costs_more_than_one_chunk() -> None:
    lengths = np.sort(np.random.default_rng(0).integers(1, 100, 37))[::-1].copy()
    groups = cut(lengths)
    assert [index for group in groups for index in range(group.start, group.stop)] == list(range(37))
    area = sum((group.stop - group.start) * int(lengths[group.start]) for group in groups)
    assert area < 37 * int(lengths[0])
