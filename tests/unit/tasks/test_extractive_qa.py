"""Extractive questions: windows, targets, the loss of torch, the best answer of brute force, the threshold."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from tunesmith.core.batch import collate
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.example import Example, Gold, Source, Span
from tunesmith.core.model import Model
from tunesmith.core.prediction import Prediction, ScoredSpan
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.tasks._answer_spans import BEST, tuned_threshold, verdict
from tunesmith.tasks.extractive_qa import ExtractiveQa

TEXT = "please help my card was lost in Rome"
ROME = Span(32, 36, "answer")


def asked(gold: Gold | None = (ROME,), text: str = TEXT, question: str | None = "where?", line: int = 1) -> Example:
    return Example(id=str(line), text=text, pair=question, gold=gold, source=Source("q.jsonl", line))


BOUND = ExtractiveQa(no_answer=True, max_answer_length=4)


def test_what_rows_say_about_answers_is_read_from_them() -> None:
    always = ExtractiveQa().bound([asked(), asked(None)])
    assert (always.no_answer, always.max_answer_length, always.main_metric) == (False, 30, "f1")
    text = "a " * 50
    long = asked((Span(0, 99, "answer"),), text=text)
    perhaps = ExtractiveQa().bound([long, asked(())])
    assert (perhaps.no_answer, perhaps.max_answer_length) == (True, 50)
    assert perhaps.bound([asked(())]) == perhaps, "dev rows need not have answers"
    assert ExtractiveQa(max_answer_length=7, no_answer=False).bound([long, asked(())]).max_answer_length == 7


@pytest.mark.parametrize(
    "examples, code",
    [
        ([asked(), asked(question=None, line=2)], "TS-TASK-040"),
        ([asked(), asked("Rome", line=2)], "TS-TASK-041"),
        ([asked(), asked(("Rome",), line=2)], "TS-TASK-041"),
        ([asked(()), asked(None)], "TS-TASK-042"),
    ],
)
def test_rows_that_do_not_fit_are_refused(examples: list[Example], code: str) -> None:
    with pytest.raises(DataError) as caught:
        ExtractiveQa().bound(examples)
    assert caught.value.code == code
    assert code == "TS-TASK-042" or str(caught.value.place) == "q.jsonl:2"


def test_a_window_without_room_is_refused(tiny_tokenizer: Tokenizer, tmp_path: Path) -> None:
    narrow = replace_length(tiny_tokenizer, 6)
    with pytest.raises(ConfigError) as caught:
        BOUND.encode([asked()], narrow)
    assert caught.value.code == "TS-TASK-043"


def replace_length(tokenizer: Tokenizer, length: int) -> Tokenizer:
    found = Tokenizer.__new__(Tokenizer)
    found.__dict__.update(tokenizer.__dict__)
    found.max_length = length
    return found


def test_question_and_text_are_framed_as_transformers_frames_them(
    tiny_bert_folder: Path, tiny_tokenizer: Tokenizer
) -> None:
    from tokenizers import Tokenizer as FastTokenizer

    theirs = FastTokenizer.from_file(str(tiny_bert_folder / "tokenizer.json")).encode("where?", TEXT)
    (window,) = BOUND.encode([asked()], tiny_tokenizer)
    assert window.input_ids.tolist() == theirs.ids
    assert window.segment_ids is not None and window.segment_ids.tolist() == theirs.type_ids
    in_text = [place for place, owner in enumerate(theirs.sequence_ids) if owner == 1]
    assert window.places.tolist() == [0, *in_text]
    assert window.targets is not None
    begin, end = window.places[window.targets.argmax(0)]
    assert (theirs.offsets[begin][0], theirs.offsets[end][1]) == (ROME.start, ROME.end)


def test_windows_overlap_and_those_without_the_whole_answer_point_to_the_first_token(
    tiny_tokenizer: Tokenizer,
) -> None:
    text = " ".join(["the card was lost please help"] * 20 + ["in Rome"])
    start = text.index("Rome")
    task = ExtractiveQa(no_answer=False, max_length=32, stride=8)
    windows = task.encode([asked((Span(start, start + 4, "answer"),), text=text)], tiny_tokenizer)
    assert len(windows) > 4 and all(len(window) <= 32 for window in windows)
    assert sum(window.weight for window in windows) == pytest.approx(1.0)
    shown = [window.units[1:].tolist() for window in windows]
    assert sorted({unit for own in shown for unit in own}) == list(range(shown[-1][-1] + 1))
    assert all(before[-1] >= after[0] for before, after in pairwise(shown))
    targets = [window.targets for window in windows]
    assert all(own is not None and own.sum(0).tolist() == [1, 1] for own in targets)
    assert [own[0].tolist() == [1, 1] for own in targets if own is not None] == [True] * (len(windows) - 1) + [False]


def test_a_long_question_leaves_half_a_window_to_the_text_and_what_it_loses_is_counted(
    tiny_tokenizer: Tokenizer,
) -> None:
    question = "where was my card " * 40
    (window, *_) = BOUND.encode([asked((), text=TEXT * 9, question=question)], tiny_tokenizer)
    frame = tiny_tokenizer.framing.paired
    of_question = len(window) - frame - (len(window.places) - 1)
    assert len(window) <= 64 and of_question == (64 - frame) // 2
    assert 0 < window.truncated < len(question)
    (short,) = BOUND.encode([asked()], tiny_tokenizer)
    assert short.truncated == 0


def test_the_loss_is_the_mean_cross_entropy_of_first_and_last_token(
    tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]
) -> None:
    examples = [replace(asked(), weight=2.0), asked((), text="my card")]
    windows = BOUND.encode(examples, tiny_tokenizer)
    batch = collate(windows, ["1", "2"])
    model = tiny_model(BOUND).eval()
    output = model(batch)
    expected = torch.zeros(())
    for window, logits in zip(windows, output.logits.split(batch.place_counts), strict=True):
        assert window.targets is not None
        wanted = torch.from_numpy(window.targets.argmax(0))
        expected = expected + window.weight * F.cross_entropy(logits.T, wanted, reduction="sum") / 2
    assert_close(BOUND.loss(output, batch, head=model.head), expected)
    assert BOUND.count(batch) == 3.0
    filled = replace(batch, place_counts=(*batch.place_counts, 0))  # in bf16 a window without places fills it up
    assert_close(BOUND.loss(output, filled, head=model.head), expected)
    assert BOUND.count(filled) == 3.0


def test_smoothing_spreads_over_the_places_of_a_window(
    tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]
) -> None:
    windows = BOUND.encode([asked()], tiny_tokenizer)
    batch = collate(windows, ["1"])
    model = tiny_model(BOUND).eval()
    output = model(batch)
    smoothed = BOUND.loss(output, batch, head=model.head)
    smoothed = smoothed + 0.2 * (batch.weight * BOUND.excess(BOUND.scores(output, batch), batch)).sum()
    assert windows[0].targets is not None
    wanted = torch.from_numpy(windows[0].targets.argmax(0))
    assert_close(smoothed, F.cross_entropy(output.logits.T, wanted, label_smoothing=0.2))


def test_the_best_answer_is_the_one_of_brute_force() -> None:
    draw = np.random.default_rng(5)
    for _ in range(30):
        units = [
            np.repeat(np.arange(first, last), draw.integers(1, 3, last - first)) for first, last in ((0, 9), (5, 14))
        ]
        windows = [
            (np.concatenate([[-1], own]).astype(np.int32), draw.normal(size=(len(own) + 1, 2)) * 2) for own in units
        ]
        scores: dict[tuple[int, int], float] = {}
        for own, logits in windows:
            for i, j in product(range(own[1], own[-1] + 1), repeat=2):
                if i <= j < i + 3:
                    begin, end = np.flatnonzero(own == i)[0], np.flatnonzero(own == j)[-1]
                    scores[i, j] = max(scores.get((i, j), -math.inf), logits[begin, 0] + logits[end, 1])
        none = min(logits[0].sum() for _, logits in windows)
        best = sorted(scores.values())[-BEST:]
        total = sum(map(math.exp, best)) + math.exp(none)
        found = verdict(windows, longest=3, may_lack=True)
        assert found is not None
        assert (found.first, found.last) == max(scores, key=lambda span: scores[span])
        assert (found.answer, found.none) == (
            pytest.approx(math.exp(best[-1]) / total),
            pytest.approx(math.exp(none) / total),
        )
        always = verdict(windows, longest=3, may_lack=False)
        assert always is not None and (always.first, always.share) == (found.first, 1.0)


def said(share: float, gold: tuple[Span, ...], *, given: bool) -> Prediction:
    """A prediction whose best answer has this share against none."""
    answer, none = ScoredSpan(32, 36, "answer", share), ScoredSpan(0, 0, "answer", 1 - share)
    shown = (answer,) if given else ()
    confidence = share if given else 1 - share
    return Prediction.about(asked(gold), shown, confidence=confidence, instead=none if given else answer)


def test_the_threshold_is_the_best_on_dev_whatever_was_said_there() -> None:
    rows = [(0.9, (ROME,)), (0.8, ()), (0.7, (ROME,)), (0.6, (ROME,)), (0.3, ()), (0.1, ())]
    for given in (True, False):
        assert tuned_threshold([said(share, gold, given=given) for share, gold in rows]) == pytest.approx(0.45)
    assert tuned_threshold([]) == 0.5
    assert tuned_threshold([said(0.2, (ROME,), given=True)]) < 0.2
    assert tuned_threshold([said(0.8, (), given=True)]) > 0.8
    assert ExtractiveQa(no_answer=False).tuned([]) == ExtractiveQa(no_answer=False)


def test_below_the_threshold_nothing_is_said_and_the_withheld_answer_survives_storage(
    tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]
) -> None:
    examples = [asked()]
    windows = BOUND.encode(examples, tiny_tokenizer)
    logits = [torch.zeros(len(window.places), 2) for window in windows]
    head = tiny_model(BOUND).head
    found = {
        limit: BOUND.model_copy(update={"no_answer_threshold": limit}).decode(examples, windows, logits, head=head)[0]
        for limit in (0.0, 1.0)
    }
    assert len(found[0.0].predicted) == 1 and found[1.0].predicted == ()  # type: ignore[arg-type]
    for prediction in found.values():
        assert Prediction.from_record(prediction.as_record()) == prediction
        assert prediction.confidence is not None and prediction.instead is not None
        assert prediction.confidence + prediction.instead.confidence < 1


def test_a_blank_text_holds_no_answer(tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]) -> None:
    examples = [asked(None, text=" ")]
    windows = BOUND.encode(examples, tiny_tokenizer)
    logits = [torch.zeros(len(window.places), 2) for window in windows]
    (prediction,) = BOUND.decode(examples, windows, logits, head=tiny_model(BOUND).head)
    assert prediction.predicted == ()
