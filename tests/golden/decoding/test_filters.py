"""Penalty and filters keep what the logits processors of transformers keep, on random scores."""

import pytest
import torch
from torch.testing import assert_close
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from tunesmith.models.decoding import Decoding
from tunesmith.models.sampling import filtered, occurring, penalised


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
@pytest.mark.parametrize("top_k, top_p, min_p", [(0, 1.0, 0.0), (5, 1.0, 0.0), (0, 0.7, 0.0), (0, 1.0, 0.2)])
def test_each_filter(temperature: float, top_k: int, top_p: float, min_p: float) -> None:
    same(temperature, top_k, top_p, min_p)


@pytest.mark.parametrize("top_k, top_p, min_p", [(12, 0.8, 0.1), (1, 0.5, 0.5), (500, 0.01, 1.0), (9, 0.9, 0.0)])
def test_all_of_them_in_their_order(top_k: int, top_p: float, min_p: float) -> None:
    same(0.8, top_k, top_p, min_p)


def test_a_flat_distribution_needs_most_of_a_large_vocabulary() -> None:
    scores = torch.randn(2, 3000, generator=torch.Generator().manual_seed(0)) * torch.tensor([[0.1], [9.0]])
    own = filtered(scores, Decoding(strategy="sample", top_p=0.9))
    expected = TopPLogitsWarper(0.9)(torch.zeros(2, 1), scores)
    assert torch.equal(own, expected) and (own[0] > -torch.inf).sum() > 2048


def same(temperature: float, top_k: int, top_p: float, min_p: float) -> None:
    scores = torch.randn(6, 80, generator=torch.Generator().manual_seed(top_k)) * 3
    prompts = torch.randint(80, (6, 15), generator=torch.Generator().manual_seed(1))
    theirs = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(1.3), TemperatureLogitsWarper(temperature)])
    theirs += [TopKLogitsWarper(top_k)] if top_k else []
    theirs += [TopPLogitsWarper(top_p), MinPLogitsWarper(min_p)]
    decoding = Decoding(strategy="sample", temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    own = filtered(penalised(scores, occurring(prompts.tolist(), scores), 1.3), decoding)
    expected = theirs(prompts, scores)
    assert torch.equal(own == -torch.inf, expected == -torch.inf)
    assert_close(own, expected)
