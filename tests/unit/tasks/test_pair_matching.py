"""Pair matching: framing and segments, what is cut of long pairs, scores on the scale of the data."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from tunesmith.core.batch import collate
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.example import Example, Gold, Source
from tunesmith.core.model import Backbone, Model
from tunesmith.core.rooms import TASKS
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.hub_config import hub_config
from tunesmith.models.hub_names import hub_state
from tunesmith.models.inference import logits_of
from tunesmith.tasks._pairs import kept_lengths
from tunesmith.tasks.pair_matching import PairMatching


def pair(gold: Gold | None, first: str = "the card", second: str | None = "was lost", line: int = 1) -> Example:
    return Example(id=str(line), text=first, pair=second, gold=gold, source=Source("pairs.tsv", line))


CLASSES = PairMatching(labels=["no", "yes"])
SCORES = PairMatching(score_range=[1.0, 5.0])


def test_classes_or_the_range_of_scores_are_read_from_the_rows() -> None:
    classes = PairMatching().bound([pair("yes"), pair("no")])
    assert (classes.label_names, classes.score_range, classes.main_metric) == (("no", "yes"), None, "accuracy")
    scores = PairMatching().bound([pair(None), pair(4.5), pair(0.5), pair(3)])
    assert (scores.label_names, scores.score_range, scores.main_metric) == ((), [0.5, 4.5], "spearman")


@pytest.mark.parametrize(
    "examples, code",
    [
        ([pair("yes"), pair("no", second=None, line=2)], "TS-TASK-030"),
        ([pair(1.0), pair("no", line=2)], "TS-TASK-032"),
        ([pair("yes"), pair(1.0, line=2)], "TS-TASK-020"),
        ([pair(1.0), pair(float("nan"), line=2)], "TS-TASK-032"),
        ([pair(1.0), pair(1.0)], "TS-TASK-033"),
        ([pair("yes"), pair("yes")], "TS-TASK-023"),
        ([pair(None)], "TS-TASK-024"),
    ],
)
def test_rows_that_do_not_fit_are_refused(examples: list[Example], code: str) -> None:
    with pytest.raises(DataError) as caught:
        PairMatching().bound(examples)
    assert caught.value.code == code
    assert len(examples) == 1 or examples[1].source.line == 1 or str(caught.value.place) == "pairs.tsv:2"


@pytest.mark.parametrize("fields", [{"score_range": [1.0, 1.0]}, {"score_range": [0.0, 1.0], "labels": ["a", "b"]}])
def test_options_that_contradict_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        TASKS.make({"kind": "pair_matching", **fields}, key="task")


def test_a_pair_is_framed_as_transformers_frames_it(tiny_bert_folder: Path, tiny_tokenizer: Tokenizer) -> None:
    from tokenizers import Tokenizer as FastTokenizer

    theirs = FastTokenizer.from_file(str(tiny_bert_folder / "tokenizer.json")).encode("the card", "was lost")
    (window,) = CLASSES.encode([pair("yes")], tiny_tokenizer)
    assert window.input_ids.tolist() == theirs.ids
    assert window.segment_ids is not None
    assert window.segment_ids.tolist() == theirs.type_ids
    assert (window.targets is not None and window.targets.tolist(), window.truncated) == ([1], 0)


@pytest.mark.parametrize("first, second, room, kept", [(3, 4, 7, (3, 4)), (9, 2, 8, (6, 2)), (2, 9, 8, (2, 6))])
def test_the_longer_text_is_cut_first(first: int, second: int, room: int, kept: tuple[int, int]) -> None:
    assert kept_lengths(first, second, room) == kept


def test_cutting_equals_dropping_a_token_at_a_time_from_the_longer_text() -> None:
    for first in range(12):
        for second in range(12):
            a, b = first, second
            while a + b > 9:
                a, b = (a - 1, b) if a > b else (a, b - 1)
            kept = kept_lengths(first, second, 9)
            assert sum(kept) == a + b
            assert max(abs(kept[0] - a), abs(kept[1] - b)) <= 1, "ties may be broken either way"


def test_what_was_cut_is_counted(tiny_tokenizer: Tokenizer) -> None:
    long = "card " * 100
    (window,) = CLASSES.encode([pair("yes", long, "good")], tiny_tokenizer)
    assert len(window) == tiny_tokenizer.max_length
    (piece_count,) = map(len, tiny_tokenizer.texts([long]))
    shown = tiny_tokenizer.max_length - 3 - len(tiny_tokenizer.texts(["good"])[0])
    assert window.truncated == round(len(long) * (1 - shown / piece_count))
    (prediction,) = CLASSES.decode(
        [pair("yes", long, "good")], [window], [torch.tensor([[0.0, 1.0]])], head=torch.nn.Identity()
    )
    assert (prediction.predicted, prediction.truncated, prediction.pair) == ("yes", window.truncated, "good")


def test_scores_are_learnt_in_the_unit_interval_and_answered_on_the_scale_of_the_data(
    tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]
) -> None:
    examples = [pair(1.0), pair(2.0), pair(5.0)]
    encodings = SCORES.encode(examples, tiny_tokenizer)
    batch = collate(encodings, ["", "", ""])
    assert batch.targets is not None
    assert_close(batch.targets, torch.tensor([0.0, 0.25, 1.0]))
    model = tiny_model(SCORES)
    output = model(batch)
    assert output.logits.shape == (3, 1)
    by_hand = (output.logits[:, 0] - batch.targets).square().sum()
    assert_close(SCORES.loss(output, batch, head=model.head), by_hand)
    logits = [torch.tensor([[value]]) for value in (-0.5, 0.25, 1.5)]
    predictions = SCORES.decode(examples, encodings, logits, head=model.head)
    assert [prediction.predicted for prediction in predictions] == [-1.0, 2.0, 7.0]
    assert [prediction.scores for prediction in predictions] == [{}, {}, {}]


def test_transformers_opens_a_score_model_with_the_same_logits(
    tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model], tmp_path: Path
) -> None:
    import json

    from safetensors.torch import save_file
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = tiny_model(SCORES).eval()
    save_file(hub_state(model), tmp_path / "model.safetensors", metadata={"format": "pt"})
    config = hub_config(model, labels=SCORES.label_names, problem="regression")
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert (theirs.config.problem_type, theirs.config.num_labels) == ("regression", 1)
    (window,) = SCORES.encode([pair(1.0)], tiny_tokenizer)
    batch = collate([window], [""])
    assert batch.segment_ids is not None
    logits = theirs(input_ids=batch.input_ids[None], token_type_ids=batch.segment_ids[None]).logits
    assert_close(logits, model(batch).logits, rtol=1e-5, atol=1e-5)


def test_a_symmetric_answer_does_not_depend_on_which_text_came_first(
    tiny_backbone: Backbone, tiny_tokenizer: Tokenizer
) -> None:
    rows = [
        Example(id=str(n), text=a, pair=b, gold=float(n), source=Source("rows.csv", n + 1))
        for n, (a, b) in enumerate([("my card is lost", "help"), ("good", "the card works"), ("bad help", "stolen")])
    ]
    turned = [replace(row, text=row.pair or "", pair=row.text) for row in rows]
    task = PairMatching(symmetric=True).bound(rows)
    model = Model(tiny_backbone, task.head(tiny_backbone)).eval()

    def answers(examples: list[Example]) -> list[float]:
        windows = task.encode(examples, tiny_tokenizer)
        assert len(windows) == 2 * len(examples)
        logits = [tensor for _, tensor in logits_of(model, windows)]
        found = task.decode(examples, windows, logits, head=model.head)
        return [float(prediction.predicted) for prediction in found]  # type: ignore[arg-type]

    assert answers(rows) == pytest.approx(answers(turned), abs=1e-6)
    assert sum(window.weight for window in task.encode(rows, tiny_tokenizer)) == pytest.approx(len(rows))


def test_rows_of_other_splits_are_checked_once_the_range_is_known() -> None:
    task = PairMatching(score_range=[0.0, 5.0])
    assert task.bound([pair(1.0), pair(1.0)]).score_range == [0.0, 5.0]
    for rows, code in (([pair(1.0), pair(2.0, second=None)], "TS-TASK-030"), ([pair(1.0), pair("no")], "TS-TASK-032")):
        with pytest.raises(DataError, match=code):
            task.bound(rows)


def test_a_row_without_gold_needs_a_second_text_even_before_the_first_row_with_gold() -> None:
    with pytest.raises(DataError, match="TS-TASK-030"):
        PairMatching(score_range=[0.0, 5.0]).bound([pair(None, second=None), pair(1.0)])
