"""The task from examples to answers: nothing shifts, nothing is counted twice, bad rows are named."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tunesmith.core.batch import Encoding, collate
from tunesmith.core.component import validated
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.example import Example, Source, Span
from tunesmith.core.model import Model, Output
from tunesmith.core.prediction import Prediction
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.prepare.alignment import units_of
from tunesmith.tasks.token_classification import TokenClassification

PLAIN = nn.Identity()


def example(text: str, *spans: Span, line: int = 1, **more: Any) -> Example:
    return Example(id=f"x{line}", text=text, source=Source("train.jsonl", line), gold=spans, **more)


def perfect(task: TokenClassification, encodings: Sequence[Encoding]) -> list[Tensor]:
    classes = len(task.label_names)
    return [9.0 * torch.nn.functional.one_hot(torch.from_numpy(e.targets), classes) for e in encodings]


def decoded(task: TokenClassification, examples: Sequence[Example], tokenizer: Tokenizer) -> list[Prediction]:
    encodings = task.encode(examples, tokenizer)
    return task.decode(examples, encodings, perfect(task, encodings), head=PLAIN)


def spans(prediction: Prediction) -> tuple[Span, ...]:
    assert isinstance(prediction.predicted, tuple)
    return tuple(item.span() for item in prediction.predicted if not isinstance(item, str))


ROWS = [
    example("Ann in New York", Span(0, 3, "PER"), Span(7, 15, "LOC"), line=1),
    example("nothing here", line=2),
    example(" \n ", line=3),
    example("张三在北京 👍🏽", Span(0, 2, "PER"), Span(3, 5, "LOC"), line=4),
]


@st.composite
def annotated(draw: st.DrawFn) -> Example:
    text = draw(st.text(st.sampled_from("ab Z1 中国 e\u0301 👍🏽 👨\u200d👩 ﬁ… \u3000."), max_size=120))
    units = units_of(text, "words")
    found, index = [], 0
    while index < len(units):
        size = draw(st.integers(0, 4))
        if size and index + size <= len(units):
            found.append(Span(units[index][0], units[index + size - 1][1], draw(st.sampled_from(["PER", "LOC"]))))
        index += max(size, 1)
    return example(text, *found)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(annotated(), min_size=1, max_size=4), scheme=st.sampled_from(["BIO", "BIOES"]))
def test_decode_of_encoded_gold_is_the_gold(trained_tokenizer: Tokenizer, rows: list[Example], scheme: Any) -> None:
    task = TokenClassification(labels=["LOC", "PER"], scheme=scheme, units="words", max_length=24, stride=6)
    for row, prediction in zip(rows, decoded(task, rows, trained_tokenizer), strict=True):
        assert spans(prediction) == row.gold
        assert (prediction.id, prediction.text, prediction.gold) == (row.id, row.text, row.gold)


def test_binding_reads_labels_units_and_weights() -> None:
    bound = TokenClassification(class_weights="balanced").bound(iter(ROWS))
    assert (bound.labels, bound.units) == (["LOC", "PER"], "words")
    assert bound.label_names == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    # Tags of the rows: 4 O (in, nothing, here, 在) and the emoji; 2 B-LOC, 2 I-LOC, 2 B-PER, 1 I-PER of 12.
    assert bound.class_weights == [0.48, 1.2, 1.2, 1.2, 2.4]
    assert TokenClassification(labels=["PER", "LOC", "ORG"]).bound(ROWS).labels == ["PER", "LOC", "ORG"]
    assert bound.bound(ROWS) == bound


def test_every_unit_has_one_place_on_its_first_sub_word(trained_tokenizer: Tokenizer) -> None:
    task = TokenClassification(max_length=12, stride=4).bound(ROWS)
    text = "Ann took the cat near iPhone12 in New York and 北京 " * 4
    rows = [*ROWS, example(text, Span(0, 3, "PER"), line=9)]
    encodings = task.encode(rows, trained_tokenizer)
    for index, row in enumerate(rows):
        own = [encoding for encoding in encodings if encoding.example == index]
        units = units_of(row.text, "words")
        pieces = trained_tokenizer.words([(row.text[s:e], s == 0 or row.text[s - 1].isspace()) for s, e in units])
        assert np.concatenate([e.units for e in own] or [[]]).tolist() == list(range(len(units)))
        for encoding in own:
            assert len(encoding) <= 12
            firsts = [pieces[unit][0] for unit in encoding.units]
            assert encoding.input_ids[encoding.places].tolist() == firsts
            assert tuple(encoding.input_ids[:1]) == trained_tokenizer.framing.prefix
            assert tuple(encoding.input_ids[-1:]) == trained_tokenizer.framing.suffix
    assert sum(encoding.example == 4 for encoding in encodings) > 4


def test_an_entity_that_spans_two_windows_comes_back_whole(trained_tokenizer: Tokenizer) -> None:
    text = "cat " * 40
    task = TokenClassification(labels=["X"], units="words", max_length=16, stride=4)
    (prediction,) = decoded(task, [example(text, Span(0, 159, "X"))], trained_tokenizer)
    assert spans(prediction) == (Span(0, 159, "X"),)


def test_a_unit_longer_than_a_window_is_counted_as_truncated(trained_tokenizers: dict[str, Tokenizer]) -> None:
    task = TokenClassification(labels=["X"], units="words", max_length=12)
    rows = [example("in " + "x1" * 50 + " the", Span(3, 103, "X")), example("the cat")]
    first, second = decoded(task, rows, trained_tokenizers["byte_bpe"])
    assert spans(first) == (Span(3, 103, "X"),)
    assert 80 <= first.truncated <= 95
    assert second.truncated == 0


def test_words_of_the_file_are_kept(tiny_tokenizer: Tokenizer) -> None:
    row = example("U.N. chief", Span(0, 4, "ORG"), words=((0, 4), (5, 10)))
    task = TokenClassification().bound([row])
    (encoding,) = task.encode([row], tiny_tokenizer)
    assert encoding.units.tolist() == [0, 1]
    assert spans(decoded(task, [row], tiny_tokenizer)[0]) == row.gold


def test_unlabelled_texts_have_no_targets_and_weights_are_carried(tiny_tokenizer: Tokenizer) -> None:
    task = TokenClassification(labels=["PER"], units="words")
    rows = [Example(id="1", text="my card", source=Source("f", 1)), example("lost", line=2, weight=0.5)]
    first, second = task.encode(rows, tiny_tokenizer)
    assert first.targets is None
    assert (second.targets is not None, second.weight) == (True, 0.5)


def test_confidence_is_the_mean_posterior_of_the_tags(tiny_tokenizer: Tokenizer) -> None:
    task = TokenClassification(labels=["X"], units="words")
    row = example("my card is")
    logits = torch.log(torch.tensor([[0.2, 0.7, 0.1], [0.3, 0.2, 0.5], [0.8, 0.1, 0.1]]))
    (prediction,) = task.decode([row], task.encode([row], tiny_tokenizer), [logits], head=PLAIN)
    (span,) = prediction.predicted  # type: ignore[misc]
    assert span.span() == Span(0, 7, "X")
    assert span.confidence == pytest.approx((0.7 + 0.5) / 2)


@pytest.mark.parametrize(
    "fields",
    [{}, {"focal_gamma": 2.0}, {"class_weights": [0.5, 2.0, 2.0, 1.0, 1.0]}, {"crf": True}, {"scheme": "BIOES"}],
)
def test_the_loss_is_the_sum_of_the_losses_of_its_windows(
    fields: dict[str, Any], tiny_model: Callable[..., Model], tiny_tokenizer: Tokenizer
) -> None:
    task = TokenClassification(max_length=12, **fields).bound(ROWS)
    rows = [*ROWS, example("Ann took the card from New York and back again", Span(0, 3, "PER"), line=9, weight=0.5)]
    encodings = task.encode(rows, tiny_tokenizer)
    model = tiny_model(task)
    together = collate(encodings, [""] * len(encodings))
    whole = task.loss(model(together), together, head=model.head)
    parts = []
    for encoding in reversed(encodings):
        batch = collate([encoding], [""])
        parts.append(task.loss(model(batch), batch, head=model.head))
    torch.testing.assert_close(whole, torch.stack(parts).sum(), rtol=1e-5, atol=1e-5)
    assert whole.dtype == torch.float32
    assert task.count(together) == pytest.approx(sum(len(e.places) * e.weight for e in encodings))


def test_focal_loss_and_class_weights_follow_their_formula() -> None:
    logits, targets = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 0, 1])
    encoding = Encoding(
        example=0,
        input_ids=np.zeros(6, np.int32),
        segment_ids=None,
        places=np.arange(6, dtype=np.int32),
        units=np.arange(6, dtype=np.int32),
        targets=targets.numpy(),
        weight=0.5,
    )
    batch = collate([encoding], ["x"])
    p = logits.softmax(-1)[torch.arange(6), targets]
    weights = torch.tensor([0.5, 2.0, 3.0])
    for fields, expected in (
        ({}, -0.5 * p.log().sum()),
        ({"focal_gamma": 2.0}, -0.5 * ((1 - p) ** 2 * p.log()).sum()),
        ({"class_weights": weights.tolist()}, -0.5 * (weights[targets] * p.log()).sum()),
    ):
        task = TokenClassification(labels=["X"], **fields)  # type: ignore[arg-type]
        torch.testing.assert_close(task.loss(Output(logits, nn.Identity()), batch, head=PLAIN), expected)


def test_the_crf_lies_beside_the_ordinary_head(tiny_model: Callable[..., Model], tiny_tokenizer: Tokenizer) -> None:
    task = TokenClassification(crf=True).bound(ROWS)
    plain = set(dict(tiny_model(task.model_copy(update={"crf": False})).head.named_parameters()))
    model = tiny_model(task)
    assert set(dict(model.head.named_parameters())) - plain == {"crf.transitions"}
    encodings = task.encode(ROWS, tiny_tokenizer)
    found = task.decode(ROWS, encodings, perfect(task, encodings), head=model.head)
    assert [spans(prediction) for prediction in found] == [row.gold for row in ROWS]
    with pytest.raises(AttributeError):
        task.decode(ROWS, encodings, perfect(task, encodings), head=nn.Linear(2, 2))


def test_a_crf_learns_what_follows_what(tiny_model: Callable[..., Model], tiny_tokenizer: Tokenizer) -> None:
    task = TokenClassification(crf=True).bound(ROWS)
    model = tiny_model(task)
    batch = collate(task.encode(ROWS, tiny_tokenizer), ["1", "2", "4"])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(40):
        loss = task.loss(model(batch), batch, head=model.head)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10
    assert model.head.get_parameter("crf.transitions").abs().max() > 0.01


def test_the_dropout_of_the_head_can_be_set(tiny_model: Callable[..., Model]) -> None:
    head = tiny_model(TokenClassification(labels=["X"], dropout=0.4)).head
    assert head.get_submodule("dropout").probability == 0.4


def test_bad_rows_are_named() -> None:
    task = TokenClassification(labels=["PER"])
    with pytest.raises(DataError, match=r"train\.jsonl:7.*'PRE'.*did you mean 'PER'.*TS-TASK-011"):
        task.bound([example("Ann", Span(0, 3, "PRE"), line=7)])
    with pytest.raises(DataError, match=r"f:3.*TS-TASK-010"):
        task.bound([Example(id="1", text="a", source=Source("f", 3), gold="joy")])
    with pytest.raises(DataError, match="TS-TASK-010"):
        task.bound([Example(id="1", text="a", source=Source("f", 3))])
    with pytest.raises(DataError, match="TS-TASK-012"):
        TokenClassification().bound([example("a")])


def test_impossible_settings_are_refused(tiny_tokenizer: Tokenizer) -> None:
    for fields in (
        {"crf": True, "focal_gamma": 2.0},
        {"crf": True, "class_weights": "balanced"},
        {"labels": ["A", "A"]},
        {"labels": []},
        {"labels": [""]},
        {"labels": ["A"], "class_weights": [1.0]},
    ):
        with pytest.raises(ConfigError):
            validated(TokenClassification, fields, key="task")
    for weights in ([1.0, 2.0], [1.0, 0.0, 1.0, 1.0, 1.0], [1.0, float("nan"), 1.0, 1.0, 1.0]):
        with pytest.raises(ConfigError, match="TS-TASK-025"):
            TokenClassification(class_weights=weights).bound(ROWS)
    with pytest.raises(ConfigError, match="TS-TASK-013"):
        TokenClassification().encode(ROWS, tiny_tokenizer)


def test_nothing_to_encode_and_nothing_to_decode(tiny_tokenizer: Tokenizer) -> None:
    task = TokenClassification(labels=["X"], units="words")
    assert task.encode([], tiny_tokenizer) == []
    assert task.decode([], [], [], head=PLAIN) == []
    blank = [example("  ")]
    assert task.encode(blank, tiny_tokenizer) == []
    (prediction,) = task.decode(blank, [], [], head=PLAIN)
    assert prediction.predicted == ()
