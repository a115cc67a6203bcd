"""From a labelled file to an answered question, for each task, by the command line alone."""

import csv
import json
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"


def config(folder: Path, data: dict[str, Any], *, task: str, backbone: str, train: str = 'length = "1 epoch"') -> Path:
    lines = [f"{key} = {json.dumps(str(value))}" for key, value in data.items()]
    text = f"backbone = {json.dumps(backbone)}\n[data]\n" + "\n".join(lines)
    text += f'\n[task]\nkind = "{task}"\n[train]\nprecision = "fp32"\nthreads = 1\n{train}\n'
    file = folder / "run.toml"
    file.write_text(text, encoding="utf-8")
    return file


def sample(name: str = "support_en") -> dict[str, Path]:
    return {split: SAMPLES / name / f"{split}.jsonl" for split in ("train", "dev", "test")}


def test_entities_with_the_starter(tunesmith: Callable[..., Any], tmp_path: Path) -> None:
    """init, audit, train, report, evaluate, predict, verify: no key typed by hand beyond the length of training."""
    written = tmp_path / "support.toml"
    done = tunesmith("init", SAMPLES / "support_en" / "train.jsonl", "--task", "token_classification", "--out", written)
    assert done.code == 0, done.err
    assert len(written.read_text(encoding="utf-8").splitlines()) <= 12

    done = tunesmith("audit", written, "--json")
    assert done.code == 0, done.err
    titles = {section["title"]: section for section in json.loads(done.out)["sections"]}
    assert titles["Alignment certificate"]["status"] == "ok"

    run = tmp_path / "run"
    done = tunesmith(
        "train", written, "--out", run, "--set", "train.length=4 epochs", "--set", "train.learning_rate=4e-4"
    )
    assert done.code == 0, done.err
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    test = report["splits"]["test"]
    assert test["metrics"]["span_f1"]["value"] > test["baselines"]["dictionary"]["metrics"]["span_f1"]["value"]
    assert report["headline"] in done.out.replace("\n", " ") or "best baseline" in done.out
    assert (run / "report.html").is_file()

    done = tunesmith("report", run, "--json")
    assert done.code == 0, done.err

    done = tunesmith("evaluate", run, SAMPLES / "support_en" / "test.jsonl", "--json")
    assert done.code == 0, done.err

    question = tmp_path / "new.txt"
    question.write_text("Where is my parcel?\n\nOrder BW-20417 went to Leeds.\n", encoding="utf-8")
    done = tunesmith("predict", run / "bundle", question)
    assert done.code == 0, done.err
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["text"] for answer in answers if answer["text"]][-1] == "Order BW-20417 went to Leeds."
    for answer in answers:
        for entity in answer.get("entities", ()):
            assert answer["text"][entity["start"] : entity["end"]] == entity["text"]

    exact, fast = (said(tunesmith, run / "bundle", precision) for precision in ("fp32", "bf16"))
    assert len(exact) == len(fast) and sum(map(operator.ne, exact, fast)) <= 0.02 * len(exact)

    assert tunesmith("verify", run / "bundle").code == 0


def said(tunesmith: Callable[..., Any], bundle: Path, precision: str) -> list[list[tuple[int, int, str]]]:
    """The entities of each test row, without their confidences."""
    done = tunesmith("predict", bundle, SAMPLES / "support_en" / "test.jsonl", "--precision", precision)
    assert done.code == 0, done.err
    rows = [json.loads(line)["entities"] for line in done.out.splitlines()]
    return [[(entity["start"], entity["end"], entity["label"]) for entity in row] for row in rows]


def test_evaluate_and_report_agree(tunesmith: Callable[..., Any], tmp_path: Path, tiny_bert_folder: Path) -> None:
    file = config(tmp_path, sample(), task="text_classification", backbone=str(tiny_bert_folder))
    run = tmp_path / "run"
    assert tunesmith("train", file, "--out", run).code == 0
    reported = json.loads((run / "report.json").read_text(encoding="utf-8"))["splits"]["test"]["metrics"]
    done = tunesmith("evaluate", run, SAMPLES / "support_en" / "test.jsonl", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["metrics"] == reported


def test_several_labels_and_scores(tunesmith: Callable[..., Any], tmp_path: Path, tiny_bert_folder: Path) -> None:
    several, scored = tmp_path / "several.jsonl", tmp_path / "scored.csv"
    words = ["card lost", "card stolen", "the card works", "good help", "bad help", "help please"]
    with several.open("w", encoding="utf-8") as out:
        for index in range(60):
            text = f"{words[index % 6]} {index}"
            labels = [name for name in ("card", "help", "lost") if name in text]
            out.write(json.dumps({"text": text, "labels": labels}) + "\n")
    with scored.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["text", "pair", "score"])
        rows.writerows([[words[i % 6], f"{words[(i * 5) % 6]} {i}", i % 6 + 0.5] for i in range(60)])
    file = config(tmp_path, {"train": several}, task="text_classification", backbone=str(tiny_bert_folder))
    done = tunesmith("train", file, "--out", tmp_path / "several", "--json")
    assert done.code == 0, done.err
    assert {"micro_f1", "macro_f1", "subset_accuracy"} <= json.loads(done.out)["splits"]["test"]["metrics"].keys()
    file = config(tmp_path, {"train": scored}, task="pair_matching", backbone=str(tiny_bert_folder))
    done = tunesmith("train", file, "--out", tmp_path / "scored", "--json")
    assert done.code == 0, done.err
    assert {"spearman", "pearson", "mae"} <= json.loads(done.out)["splits"]["test"]["metrics"].keys()


def test_labels_of_a_tree(tunesmith: Callable[..., Any], tmp_path: Path, tiny_bert_folder: Path) -> None:
    data = {split: SAMPLES / "tickets_en" / f"{split}.jsonl" for split in ("train", "test")}
    file = config(tmp_path, data, task="hierarchical_classification", backbone=str(tiny_bert_folder))
    run = tmp_path / "run"
    done = tunesmith("train", file, "--out", run, "--json")
    assert done.code == 0, done.err
    split = json.loads(done.out)["splits"]["test"]
    assert split["main_metric"] == "hierarchical_f1"
    assert {"path_accuracy", "level_1_accuracy", "level_3_accuracy"} <= split["metrics"].keys()
    assert split["baselines"].keys() == {"majority", "tfidf_logistic"}
    assert {"billing", "billing/refund", "billing/refund/late", "feedback"} <= {row["label"] for row in split["labels"]}
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "hierarchical F1" in page and "confusion.lead_paths" in page
    evaluated = json.loads(tunesmith("evaluate", run, data["test"], "--json").out)
    assert evaluated["metrics"] == split["metrics"]
    assert tunesmith("report", run).code == 0
    assert tunesmith("verify", run / "bundle").code == 0
    again = tunesmith("train", file, "--out", tmp_path / "few", "--shots", "2", "--json")
    assert again.code == 0, again.err
    diff = tunesmith("runs", "diff", run, tmp_path / "few", "--json")
    assert diff.code == 0, diff.err
    bad = tmp_path / "bad.jsonl"
    rows = [{"text": f"text {number}", "label": ("x//y", "x/z")[number % 2]} for number in range(40)]
    bad.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    file = config(tmp_path, {"train": bad}, task="hierarchical_classification", backbone=str(tiny_bert_folder))
    refused = tunesmith("train", file, "--out", tmp_path / "bad")
    assert refused.code == 65 and "TS-TASK-080" in refused.err and "bad.jsonl:" in refused.err


def test_chinese_entities_character_by_character(
    tunesmith: Callable[..., Any], tmp_path: Path, tiny_bert_folder: Path
) -> None:
    file = config(tmp_path, sample("support_zh"), task="token_classification", backbone=str(tiny_bert_folder))
    done = tunesmith("audit", file, "--json")
    titles = {section["title"]: section for section in json.loads(done.out)["sections"]}
    assert titles["Alignment certificate"]["status"] == "ok"
    assert tunesmith("train", file, "--out", tmp_path / "run").code == 0


def test_lora_leaves_an_adapter_beside_the_bundle(
    tunesmith: Callable[..., Any], tmp_path: Path, tiny_bert_folder: Path
) -> None:
    file = config(tmp_path, sample(), task="text_classification", backbone=str(tiny_bert_folder))
    done = tunesmith("train", file, "--out", tmp_path / "run", "--set", "method.kind=lora", "--set", "method.rank=2")
    assert done.code == 0, done.err
    names = {item.name for item in (tmp_path / "run" / "adapter").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names
    assert tunesmith("verify", tmp_path / "run" / "bundle").code == 0


def test_a_range_test_leaves_nothing_behind(
    tunesmith: Callable[..., Any], tmp_path: Path, tiny_bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = config(tmp_path, sample(), task="text_classification", backbone=str(tiny_bert_folder))
    done = tunesmith("train", file, "--find-lr")
    assert done.code == 0, done.err
    assert "●" in done.out
    assert sorted(item.name for item in tmp_path.iterdir()) == ["run.toml"]
