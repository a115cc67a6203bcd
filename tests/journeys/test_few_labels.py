"""Few labels from the command line: draws with their spread and page, and answers without a labelled row."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEXTS = [pair for n in range(20) for pair in ((f"my card {n} is lost", "card"), (f"hello number {n}", "greeting"))]


def write(folder: Path, backbone: Path) -> Path:
    """Rows and a configuration for them."""
    rows = [json.dumps({"text": text, "label": label}) for text, label in TEXTS]
    (folder / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    config = folder / "desk.toml"
    config.write_text(
        f'backbone = "{backbone}"\n[data]\ntrain = "rows.jsonl"\nsplit = {{ test = 0.4 }}\n'
        '[task]\nkind = "label_matching"\n'
        '[train]\nlength = "2 epochs"\nprecision = "fp32"\nlearning_rate = 3e-3\nthreads = 1\n',
        encoding="utf-8",
    )
    return config


def test_draws_are_told_with_their_spread_and_are_not_run_twice(
    tunesmith: Any, visit: Callable[..., Any], tmp_path: Path, tiny_bert_folder: Path
) -> None:
    words = ("train", write(tmp_path, tiny_bert_folder), "--shots", 3, "--draws", 2, "--out", tmp_path / "few")
    done = tunesmith(*words)
    assert done.code == 0, done.err
    assert "mean over draws" in done.out and "tfidf_logistic" in done.out and done.err.count(": finished") == 2
    again = tunesmith(*words, "--json")
    record = json.loads(again.out)
    assert record == json.loads((tmp_path / "few" / "draws.json").read_text(encoding="utf-8"))
    assert [row["rows"] for row in record["draws"]] == [6, 6] and record["missing"] == {}
    other = tunesmith(*words[:3], 4, *words[4:])
    assert other.code == 78 and "TS-RUN-032" in other.err
    for width, dark in ((360, False), (1200, True)):
        seen = visit(tmp_path / "few" / "draws.html", width=width, dark=dark, zh=dark)
        assert seen.overflow() <= 0
        assert seen.page.locator("#draws-chart svg").count() == 1
        assert seen.page.locator("#draws tbody tr").count() == 2
        assert seen.page.locator("#draws h2").inner_text() == ("每次抽样" if dark else "Each draw")
        seen.close()


def test_no_row_is_needed_to_answer(tunesmith: Any, tmp_path: Path, tiny_bert_folder: Path) -> None:
    done = tunesmith("train", write(tmp_path, tiny_bert_folder), "--shots", 0, "--out", tmp_path / "zero")
    assert done.code == 0, done.err
    said = tunesmith("predict", tmp_path / "zero" / "bundle", tmp_path / "rows.jsonl")
    assert {json.loads(line)["label"] for line in said.out.splitlines()} <= {"card", "greeting"}


def test_what_cannot_be_drawn_is_said(tunesmith: Any, tmp_path: Path, tiny_bert_folder: Path) -> None:
    config = write(tmp_path, tiny_bert_folder)
    assert "TS-CLI-006" in tunesmith("train", config, "--draws", 2).err
    assert "TS-CLI-007" in tunesmith("train", config, "--draws", 2, "--shots", 2, "--resume").err
