"""The draw: by probability, the same for a text whatever stands beside it, never what was filtered out."""

import pytest
import torch

from tunesmith.models.sampling import drawn, generators, likeliest


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    probability = torch.tensor([0.5, 0.0, 0.3, 0.2])
    scores = probability.log().repeat(4000, 1)
    tokens = drawn(scores, generators([[n] for n in range(4000)], 0))
    shares = torch.bincount(tokens, minlength=4) / 4000
    assert (shares - probability).abs().max() < 0.03  # four standard deviations
    assert shares[1] == 0


@pytest.mark.parametrize("words", [64, 640, 7 * 64, 60, 50_257])
def test_the_likeliest_token_is_found_wherever_it_stands(words: int) -> None:
    scores = torch.randn(40, words, generator=torch.Generator().manual_seed(words))
    scores[0], scores[1] = 1.5, -torch.inf
    scores[1, words - 1] = -3.0
    scores[2:5, words // 2 - 1 : words // 2 + 1] = 9.0  # two alike: the first
    assert torch.equal(likeliest(scores), scores.argmax(-1))
    assert torch.equal(likeliest(scores[:, :1].expand(-1, words)), torch.zeros(40, dtype=torch.int64))


def test_one_token_that_is_left_is_drawn() -> None:
    scores = torch.full((3, 7), -torch.inf)
    scores[0, 0], scores[1, 6], scores[2, 3] = -5.0, 2.0, 0.0
    assert drawn(scores, generators([[1], [1], [1]], 0)).tolist() == [0, 6, 3]


def test_a_generator_is_named_by_seed_prompt_and_how_often_it_came() -> None:
    def numbers(prompts: list[list[int]], seed: int) -> list[float]:
        return [float(torch.rand(1, generator=each)) for each in generators(prompts, seed)]

    one, two, again = numbers([[5, 6], [7], [5, 6]], 0)
    assert numbers([[7]], 0) == [two]
    assert numbers([[5, 6], [5, 6]], 0) == [one, again]
    assert len({one, two, again, *numbers([[5, 6]], 1)}) == 4
