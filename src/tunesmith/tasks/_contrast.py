"""The loss of vectors that are told apart from one another: which text of a batch answers which question?

    s_ij = cos(q_i, d_j) / temperature
    to the document    l_i = log sum_j exp s_ij - s_i,own(i)              j over all documents of the batch
    to the question    the same with the sum over questions, for every document that answers one

A document that is known to answer a question is never its negative: one with the text of an answer to an equal question
is left out of the sum. Without that, a batch that holds one article twice would teach the model to push it away.

Reference: van den Oord et al. 2018, Representation learning with contrastive predictive coding (InfoNCE); Henderson et
al. 2017, Efficient natural language response suggestion for Smart Reply, section 4.4 (negatives of the batch).
Shapes: W windows, Q questions, P documents, D width.
"""

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

NOT_MEANT = -1e4
"""The similarity of what is left out: no probability in any sum, and still a number."""


class Role(IntEnum):
    """What a window is."""

    QUESTION = 0
    ANSWER = 1
    NEGATIVE = 2


@dataclass(frozen=True, slots=True)
class Marks:
    """What is known of each window, [W] int64 each: its row, its `Role`, and a number that equal texts share."""

    row: Tensor
    role: Tensor
    text: Tensor


@dataclass(frozen=True, slots=True)
class Comparison:
    """Questions against documents, [Q, P] each."""

    similarity: Tensor
    """s, with `NOT_MEANT` where a document is left out of the sum over documents"""
    own: Tensor
    """bool: the document that stands in the question's row"""


def compared(vectors: Tensor, marks: Marks, *, temperature: float) -> Comparison:
    """The similarities of a batch. `vectors` [W, D] are of length 1."""
    asks = marks.role == Role.QUESTION
    row, answers, text = marks.row[~asks], marks.role[~asks] == Role.ANSWER, marks.text[~asks]
    own = (marks.row[asks][:, None] == row) & answers
    equal_questions = (marks.text[asks][:, None] == marks.text[asks]).float()
    equal_documents = (text[:, None] == text).float()
    known = equal_questions @ own.float() @ equal_documents > 0
    similarity = vectors[asks] @ vectors[~asks].T / temperature
    return Comparison(similarity.masked_fill(known & ~own, NOT_MEANT), own)


def contrastive_losses(found: Comparison, *, symmetric: bool) -> Tensor:
    """[Q] -log of the share that each question gives its own document; 0 for a question whose document is not there.

    `symmetric` takes the mean with the share that the document gives its question.
    """
    forth = torch.logsumexp(found.similarity, 1, keepdim=True) - found.similarity
    back = torch.logsumexp(found.similarity, 0, keepdim=True) - found.similarity
    losses = (forth + back) / 2 if symmetric else forth
    return torch.where(found.own, losses, 0.0).sum(1)
