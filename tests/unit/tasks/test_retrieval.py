"""Questions and documents: windows, vectors and both losses against independent computations."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModel

from tunesmith.core.batch import collate
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.example import Example, Gold, Source
from tunesmith.core.model import Model
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.tasks.retrieval import Retrieval

ROWS = [
    ("my card is lost", "block the card"),
    ("help with a transfer", "how transfers work"),
    ("where is my money", "how transfers work"),
    ("please help me now", "call us"),
]


def row(number: int, text: str, pair: str | None, gold: Gold | None = None, **more: Any) -> Example:
    return Example(id=f"r{number}", text=text, pair=pair, gold=gold, source=Source("rows.jsonl", number), **more)


def rows(*given: tuple[Any, ...]) -> list[Example]:
    return [row(number, *fields) for number, fields in enumerate(given or ROWS, start=1)]


@pytest.fixture
def loss(tiny_model: Callable[..., Model], tiny_tokenizer: Tokenizer) -> Callable[..., torch.Tensor]:
    """`loss(task, examples)`: of all their windows in one batch."""

    def of(task: Retrieval, examples: Sequence[Example]) -> torch.Tensor:
        task = task.bound(examples)
        model = tiny_model(task).eval()
        windows = task.encode(examples, tiny_tokenizer)
        batch = collate(windows, [examples[window.example].id for window in windows])
        return task.loss(model(batch), batch, head=model.head)

    return of


@pytest.fixture
def vectors(tiny_bert_folder: Path, tiny_tokenizer: Tokenizer) -> Callable[..., torch.Tensor]:
    """`vectors(texts)`: transformers' mean over the tokens of each text, of length 1."""
    peer = AutoModel.from_pretrained(tiny_bert_folder).eval()

    def of(texts: Sequence[str]) -> torch.Tensor:
        with torch.inference_mode():
            windows = [torch.tensor([tiny_tokenizer.framed(ids)]) for ids in tiny_tokenizer.texts(texts)]
            means = torch.stack([peer(window).last_hidden_state[0].mean(0) for window in windows])
        return means / means.norm(dim=-1, keepdim=True)

    return of


def test_the_contrastive_loss_is_cross_entropy_over_the_other_documents(loss: Any, vectors: Any) -> None:
    examples = [replace(example, weight=weight) for example, weight in zip(rows(), (1.0, 2.0, 1.0, 0.5), strict=True)]
    questions, documents = vectors([q for q, _ in ROWS]), vectors([d for _, d in ROWS])
    similarity = questions @ documents.T / 0.1
    alone = similarity.clone()
    alone[1, 2] = alone[2, 1] = -torch.inf  # the same document is not wrong beside itself
    weights = torch.tensor([example.weight for example in examples])
    expected = cross_entropy(alone, torch.arange(4), reduction="none")
    found = loss(Retrieval(temperature=0.1), examples)
    torch.testing.assert_close(found, (weights * expected).sum(), rtol=1e-4, atol=1e-4)
    both = (expected + cross_entropy(alone.T, torch.arange(4), reduction="none")) / 2
    found = loss(Retrieval(temperature=0.1, symmetric=True), examples)
    torch.testing.assert_close(found, (weights * both).sum(), rtol=1e-4, atol=1e-4)


def test_other_answers_to_the_same_question_are_not_wrong(loss: Any, vectors: Any) -> None:
    given = (("help", "call us"), ("help", "write to us"), ("lost", "block the card"))
    questions, documents = vectors([q for q, _ in given]), vectors([d for _, d in given])
    similarity = questions @ documents.T / 0.05
    similarity[0, 1] = similarity[1, 0] = -torch.inf
    expected = cross_entropy(similarity, torch.arange(3), reduction="sum")
    torch.testing.assert_close(loss(Retrieval(), rows(*given)), expected, rtol=1e-4, atol=1e-4)


def test_rows_that_do_not_answer_are_wrong_documents_of_their_question_and_all_others(loss: Any, vectors: Any) -> None:
    given = (("lost", "block it", "yes"), ("help", "call us", "1"), ("lost", "call me", "no"), ("what", "call", "0"))
    documents = vectors(["block it", "call us", "call me", "near miss"])
    examples = rows(*given)
    examples[1] = replace(examples[1], negatives=("near miss", "call us"))
    similarity = vectors(["lost", "help"]) @ documents.T / 0.05
    expected = cross_entropy(similarity, torch.arange(2), reduction="sum")
    torch.testing.assert_close(loss(Retrieval(), examples), expected, rtol=1e-4, atol=1e-4)


def test_scores_are_learnt_as_cosines(loss: Any, vectors: Any) -> None:
    given = [(*texts, score) for texts, score in zip(ROWS, (0.0, 5.0, 2.5, 4.0), strict=True)]
    cosines = (vectors([q for q, _ in ROWS]) * vectors([d for _, d in ROWS])).sum(-1)
    expected = (cosines - torch.tensor([0.0, 1.0, 0.5, 0.8])).square().sum()
    torch.testing.assert_close(loss(Retrieval(objective="cosine"), rows(*given)), expected, rtol=1e-4, atol=1e-5)


def test_a_row_whose_windows_were_parted_has_no_loss_and_no_effect(
    tiny_model: Callable[..., Model], tiny_tokenizer: Tokenizer
) -> None:
    given = rows(("a", "b", 1.0), ("c", "d", 2.0))
    for task in (Retrieval(objective="cosine").bound(given), Retrieval(), Retrieval(symmetric=True)):
        model = tiny_model(task)
        windows = task.encode(given, tiny_tokenizer)
        for window in windows[:2]:
            batch = collate([window], ["r1"])
            loss = task.loss(model(batch), batch, head=model.head)
            loss.backward()
            assert loss == 0 and all(p.grad is None or not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("pooling, place", [("cls", 0), ("last", -1)])
def test_a_text_can_be_read_at_its_first_or_last_token(
    pooling: Any, place: int, tiny_bert_folder: Path, tiny_model: Callable[..., Model], tiny_tokenizer: Tokenizer
) -> None:
    task = Retrieval(pooling=pooling, document_prefix="passage: ")
    windows = task.documents(["my card", "x"], tiny_tokenizer)
    found = task.vectors(tiny_model(task), windows)
    peer = AutoModel.from_pretrained(tiny_bert_folder).eval()
    ids = tiny_tokenizer.framed(tiny_tokenizer.texts(["passage: my card"])[0])
    with torch.inference_mode():
        expected = peer(torch.tensor([ids])).last_hidden_state[0, place]
    np.testing.assert_allclose(found[0], (expected / expected.norm()).numpy(), atol=1e-5)


def test_a_long_document_is_cut_and_the_cut_counted(tiny_tokenizer: Tokenizer) -> None:
    window, short = Retrieval(max_length=10).documents(["card " * 40, "card"], tiny_tokenizer)
    assert len(window) == 10 and 0.7 * 200 < window.truncated < 200 and short.truncated == 0


def test_a_question_alone_has_one_window(tiny_tokenizer: Tokenizer) -> None:
    (window,) = Retrieval().encode([row(1, "where?", None)], tiny_tokenizer)
    assert window.targets is None


def test_a_score_answers_where_it_lies_above_the_limit() -> None:
    task = Retrieval(relevant_above=2.0)
    golds: list[tuple[Gold | None, float]] = [(None, 1.0), ("Yes", 1.0), (" no ", 0.0), (2.0, 0.0), (3.5, 3.5), (-1, 0)]
    assert [task.grade(row(1, "q", "d", gold)) for gold, _ in golds] == [grade for _, grade in golds]


def test_rows_that_do_not_fit_are_refused_at_their_line() -> None:
    with pytest.raises(DataError, match="no second text") as caught:
        Retrieval().bound(rows(("a", "b"), ("c", None)))
    assert str(caught.value.place) == "rows.jsonl:2"
    with pytest.raises(DataError, match="does not say whether") as caught:
        Retrieval().bound(rows(("a", "b"), ("c", "d", "maybe")))
    assert str(caught.value.place) == "rows.jsonl:2"
    with pytest.raises(DataError, match="no row has a document"):
        Retrieval().bound(rows(("a", "b", "no")))
    with pytest.raises(DataError, match="no training row carries gold"):
        Retrieval(objective="cosine").bound(rows(("a", "b")))


def test_contradicting_options_are_refused(tiny_backbone: Any) -> None:
    with pytest.raises(ValueError, match="belong to the contrastive objective"):
        Retrieval(objective="cosine", mined=2)
    with pytest.raises(ValueError, match="low below high"):
        Retrieval(score_range=[1.0, 1.0])
    tiny_backbone.causal = True
    with pytest.raises(ConfigError, match="has seen nothing"):
        Retrieval(pooling="cls").head(tiny_backbone)
