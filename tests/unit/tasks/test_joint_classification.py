"""One label and the entities of a text: two heads over one pass, a text's label as heavy as all of its words."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from torch.testing import assert_close

from tunesmith.bundle.opening import load
from tunesmith.bundle.verify import verify
from tunesmith.core.batch import collate
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.example import Example, Gold, LabelAndSpans, Source, Span
from tunesmith.core.model import Model
from tunesmith.core.prediction import LabelAndScoredSpans, Prediction
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.judge.stored import read_predictions
from tunesmith.prepare.reading import detect, read
from tunesmith.run.config import parsed
from tunesmith.run.evaluate import evaluated
from tunesmith.run.events import Finished
from tunesmith.run.folder import opened, read_json
from tunesmith.run.train import run
from tunesmith.tasks.joint_classification import JointClassification
from tunesmith.tasks.token_classification import TokenClassification

GOLD = LabelAndSpans("lost", (Span(3, 7, "THING"),))


def row(text: str, gold: Gold | None, *, line: int = 1, weight: float = 1.0) -> Example:
    return Example(id=f"r:{line}", text=text, gold=gold, source=Source("r", line), weight=weight)


ROWS = [
    row("my card was lost", GOLD, line=1),
    row("hello Anna please help the good card", LabelAndSpans("greet", (Span(6, 10, "WHO"),)), line=2, weight=2.0),
    row("help", LabelAndSpans("help", ()), line=3),
]


def test_a_label_weighs_as_much_as_all_words_of_its_text(
    tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]
) -> None:
    task = JointClassification(label_share=0.3).bound(ROWS)
    assert task.label_names == ("greet", "help", "lost", "O", "B-THING", "I-THING", "B-WHO", "I-WHO")
    model = tiny_model(task).eval()
    windows = task.encode(ROWS, tiny_tokenizer)
    assert [w.places[0] for w in windows] == [0, 0, 0] and [w.units[0] for w in windows] == [-1, -1, -1]
    batch = collate(windows, [example.id for example in ROWS])
    output = model(batch)
    expected = torch.zeros(())
    for example, window, logits in zip(ROWS, windows, output.logits.split(batch.place_counts), strict=True):
        targets = torch.from_numpy(window.targets)  # type: ignore[arg-type]
        of_label = cross_entropy(logits[:1, :3], targets[:1])
        of_words = cross_entropy(logits[1:, 3:], targets[1:] - 3, reduction="mean")
        expected = expected + example.weight * (0.3 * of_label + 0.7 * of_words)
    assert_close(task.loss(output, batch, head=model.head), expected)
    assert task.count(batch) == pytest.approx(4.0), "the weight of the texts"


def test_what_regularizers_compare_is_what_each_place_can_answer(
    tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]
) -> None:
    task = JointClassification().bound(ROWS)
    batch = collate(task.encode(ROWS, tiny_tokenizer), [example.id for example in ROWS])
    first = task.scores(tiny_model(task, seed=0).eval()(batch), batch)
    second = task.scores(tiny_model(task, seed=1).eval()(batch), batch)
    found, excess = task.divergence(first, second), task.excess(first, batch)
    at = 0
    for count in batch.place_counts:
        for place in range(at, at + count):
            own = slice(0, 3) if place == at else slice(3, None)
            p, q = log_softmax(first[place, own], -1), log_softmax(second[place, own], -1)
            assert_close(found[place], kl_div(q, p, reduction="sum", log_target=True))
            assert batch.targets is not None
            assert_close(excess[place], log_softmax(first[place], -1)[batch.targets[place]] - p.mean())
        at += count


def test_it_answers_as_the_two_tasks_do_with_the_same_heads(
    tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]
) -> None:
    task = JointClassification(stride=4).bound(ROWS)
    model = tiny_model(task).eval()
    texts = [row(" ".join(["my card was lost please help Anna"] * 20), None, line=1), row("good", None, line=2)]
    windows = task.encode(texts, tiny_tokenizer)
    assert len(windows) > 2
    with torch.no_grad():
        logits = [model(collate([window], ["x"])).logits for window in windows]
        said = task.decode(texts, windows, logits, head=model.head)
        label_head, tag_head = model.head.get_submodule("labels"), model.head.get_submodule("tags")
        entities = TokenClassification(labels=task.entity_labels, units=task.units, stride=4)
        own = entities.encode(texts, tiny_tokenizer)
        alone = Model(model.backbone, tag_head)
        found = entities.decode(texts, own, [alone(collate([w], ["x"])).logits for w in own], head=tag_head)
        hidden = [Model(model.backbone, label_head)(collate([w], ["x"])).logits[:1] for w in windows]
    for index, prediction in enumerate(said):
        answer = prediction.predicted
        assert isinstance(answer, LabelAndScoredSpans)
        assert answer.spans == found[index].predicted
        mean = torch.stack([rows[0] for w, rows in zip(windows, hidden, strict=True) if w.example == index]).mean(0)
        assert answer.label == (task.labels or [])[int(mean.argmax())]
        assert prediction.confidence == pytest.approx(float(mean.softmax(-1).max()), abs=1e-5)


def test_what_is_cut_off_is_counted(trained_tokenizers: dict[str, Tokenizer], tiny_model: Callable[..., Model]) -> None:
    tokenizer = trained_tokenizers["byte_bpe"]
    long = row("in " + "x1" * 50 + " the", LabelAndSpans("help", (Span(3, 103, "THING"),)))
    task = JointClassification(max_length=12).bound([*ROWS, long])
    windows = task.encode([long, ROWS[0]], tokenizer)
    logits = [torch.zeros(len(window.places), len(task.label_names)) for window in windows]
    cut, whole = task.decode([long, ROWS[0]], windows, logits, head=tiny_model(task).head)
    assert 80 <= cut.truncated <= 95 and whole.truncated == 0


@pytest.mark.parametrize("gold", ["lost", (Span(3, 7, "THING"),), None, 2.0])
def test_gold_of_another_form_is_refused_at_its_line(gold: Gold | None) -> None:
    with pytest.raises(DataError, match=r"r:2.*TS-TASK-027|TS-TASK-027.*r:2") as caught:
        JointClassification().bound([ROWS[0], row("my card", gold, line=2)])
    assert caught.value.place and caught.value.place.line == 2


def test_names_that_the_task_does_not_know_are_refused(tiny_tokenizer: Tokenizer, tmp_path: Path) -> None:
    task = JointClassification().bound(ROWS)
    for gold, code in ((LabelAndSpans("new", ()), "TS-TASK-021"), (LabelAndSpans("lost", (Span(0, 2, "X"),)), "011")):
        with pytest.raises(DataError, match=code):
            task.encode([row("my card", gold)], tiny_tokenizer)
        with pytest.raises(DataError, match=code):
            task.bound([row("my card", gold)])
    with pytest.raises(ConfigError, match="entity_labels"):
        parsed(
            {"data": {"train": "x"}, "task": {"kind": "joint_classification", "entity_labels": ["a", "a"]}},
            folder=tmp_path,
        )


SAID = ("lost", "help")
THINGS = ("card", "Anna", "Rome")


def lines() -> list[dict[str, Any]]:
    found = []
    for n in range(96):
        label, thing = SAID[n % 2], THINGS[n // 2 % 3]
        text = f"{label} {label} {label} {label} the {thing} {n}"
        at = text.index(f" {thing} ") + 1
        found.append(
            {"text": text, "label": label, "entities": [{"start": at, "end": at + len(thing), "label": "THING"}]}
        )
    return found


def test_from_rows_to_answers_of_a_bundle(tiny_bert_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, lines())), encoding="utf-8")
    table = {
        "backbone": str(tiny_bert_folder),
        "data": {"train": "rows.jsonl"},
        "task": {"kind": "joint_classification"},
        "train": {"length": "20 epochs", "learning_rate": 1e-2, "batch_size": 8, "precision": "fp32", "threads": 1},
    }
    *_, last = run(parsed(table, folder=tmp_path), opened(tmp_path / "run", resume=False), origins={})
    assert isinstance(last, Finished)
    report = read_json(tmp_path / "run" / "report.json")
    test = report["splits"]["test"]
    assert test["main_metric"] == "joint_accuracy" and test["metrics"]["joint_accuracy"]["value"] > 0.8
    assert list(test["baselines"]) == ["majority_outside", "tfidf_dictionary"]
    assert {(entry["part"], entry["label"]) for entry in test["labels"]} == {
        ("label", "help"), ("label", "lost"), ("entity", "THING"),
    }  # fmt: skip
    assert {section["title"] for section in read_json(tmp_path / "run" / "audit.json")["sections"]} >= {
        "Balance of entities", "Alignment certificate",
    }  # fmt: skip
    bundle = tmp_path / "run" / "bundle"
    verify(bundle)
    stored = list(read_predictions(tmp_path / "run" / "predictions.test.jsonl"))
    again = load(bundle).predict([replace(example_of(one), gold=None) for one in stored])
    assert [plain(said) for said in again] == [plain(one) for one in stored]
    assert evaluated(bundle, file).scores.main == "joint_accuracy"
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert 'id="labels-table-label"' in html and 'id="labels-table-entity"' in html
    assert "<b>" not in again[0]._repr_html_() and "THING" in again[0]._repr_html_()


def plain(prediction: Prediction) -> LabelAndSpans:
    assert isinstance(prediction.predicted, LabelAndScoredSpans)
    return prediction.predicted.plain()


def example_of(prediction: Prediction) -> Example:
    return Example(id=prediction.id, text=prediction.text, gold=prediction.gold, source=Source("r", 1))


def test_what_it_predicts_can_be_learnt_from(tiny_bundles: Callable[[str], Path], tmp_path: Path) -> None:
    from tunesmith.bundle.answers import answer_of, json_line

    file = tmp_path / "said.jsonl"
    texts = ["my card was lost", "please help Anna", "hello Rome"]
    answers = load(tiny_bundles("joint")).predict(texts)
    assert set(answer_of(answers[0])) >= {"label", "entities", "confidence", "scores"}
    file.write_text("".join(json_line({"text": a.text} | answer_of(a)) for a in answers), encoding="utf-8")
    finding = detect(file, given={"task": "joint_classification"})
    golds = [example.gold for example in read(file, finding.format)]
    assert golds == [plain(answer) for answer in answers]


def test_one_label_alone_is_nothing_to_tell_apart() -> None:
    with pytest.raises(DataError, match="TS-TASK-023"):
        JointClassification().bound([ROWS[0]])
