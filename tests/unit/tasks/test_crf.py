"""The CRF against the sum over all sequences, written out."""

import itertools

import pytest
import torch
from torch import Tensor

from tunesmith.tasks._crf import Crf
from tunesmith.tasks._tags import tag_set


def brute_force(emissions: Tensor, targets: Tensor, transitions: Tensor, allowed: Tensor) -> Tensor:
    """-log p(targets) of one window; illegal sequences have no part in the sum."""
    scores = []
    for path in itertools.product(range(emissions.shape[1]), repeat=len(emissions)):
        steps = list(itertools.pairwise(path))
        if all(allowed[step] for step in steps):
            scores.append(sum(emissions[t, y] for t, y in enumerate(path)) + sum(transitions[step] for step in steps))
    gold = targets.tolist()
    true = sum(emissions[t, y] for t, y in enumerate(gold)) + sum(transitions[s] for s in itertools.pairwise(gold))
    return torch.logsumexp(torch.stack([torch.as_tensor(score) for score in scores]), 0) - true


@pytest.fixture
def crf() -> Crf:
    torch.manual_seed(0)
    made = Crf(torch.from_numpy(tag_set(("A", "B"), "BIO").step)).double()
    torch.nn.init.normal_(made.transitions)
    return made


def test_the_likelihood_equals_the_sum_over_all_legal_sequences(crf: Crf) -> None:
    windows = [[0, 1, 2, 2], [3], [], [0, 3, 4]]
    targets = torch.tensor([tag for window in windows for tag in window])
    emissions = torch.randn(len(targets), 5, dtype=torch.float64, requires_grad=True)
    counts = [len(window) for window in windows]
    found = crf.negative_log_likelihood(emissions, targets, counts)
    parts = zip(emissions.split(counts), targets.split(counts), strict=True)
    allowed = crf.get_buffer("allowed")
    expected = [brute_force(e, t, crf.transitions, allowed) for e, t in parts if len(t)]
    torch.testing.assert_close(found, torch.stack(expected))
    gradients = torch.autograd.grad(found.sum(), [emissions, crf.transitions])
    wanted = torch.autograd.grad(torch.stack(expected).sum(), [emissions, crf.transitions])
    torch.testing.assert_close(gradients, wanted)


def test_a_window_does_not_depend_on_its_company(crf: Crf) -> None:
    emissions, targets = torch.randn(9, 5, dtype=torch.float64), torch.tensor([0, 0, 1, 2, 0, 3, 4, 4, 0])
    together = crf.negative_log_likelihood(emissions, targets, [2, 4, 3])
    alone = [
        crf.negative_log_likelihood(e, t, [len(t)])
        for e, t in zip(emissions.split([2, 4, 3]), targets.split([2, 4, 3]), strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone))


def test_the_state_holds_the_transitions_alone(crf: Crf) -> None:
    assert list(crf.state_dict()) == ["transitions"]
