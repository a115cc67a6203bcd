"""Wrong input on purpose: one line that says what, where and what to do, and the exit code of sysexits.h."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
GOOD = f'[data]\ntrain = "{SAMPLES}/support_en/train.jsonl"\n[task]\nkind = "text_classification"\n'

CASES = [
    ("no such configuration", None, (), 66, "TS-RUN-001", "tunesmith init"),
    ("not TOML", "[data\n", (), 78, "TS-CONF-005", "TOML"),
    ("no data", "seed = 1\n", (), 78, "TS-CONF-003", "data.train"),
    ("a key nobody knows", GOOD + "[trian]\nlength = '1 epoch'\n", (), 78, "TS-CONF-003", "train"),
    ("a typo", GOOD + "[train]\nlenght = '1 epoch'\n", (), 78, "TS-CONF-003", "did you mean 'length'"),
    ("a kind nobody knows", GOOD, ("method.kind=lroa",), 78, "TS-CONF-001", "did you mean 'lora'"),
    ("an option of another kind", GOOD, ("method.kind=full", "method.rank=4"), 78, "TS-CONF-003", "method.rank"),
    ("a number as text", GOOD, ("seed='x'",), 78, "TS-CONF-004", "seed"),
    ("two measures of a batch", GOOD, ("train.batch_size=4", "train.batch_tokens=99"), 78, "TS-CONF-003", "batch"),
    ("a length without a unit", GOOD, ("train.length=3",), 78, "TS-CONF-003", "train.length"),
    ("a length without an end", GOOD, (f"train.length={'9' * 400} steps",), 78, "TS-CONF-003", "train.length"),
    ("a value that does not do", GOOD, ("train.on_spike=ignore",), 78, "TS-CONF-003", "goes back to before the batch"),
    ("a missing data file", GOOD, ("data.train=nowhere.jsonl",), 66, "TS-", "nowhere.jsonl"),
    ("a missing backbone", GOOD, ("backbone=./nowhere",), 66, "TS-MODEL-001", "nowhere"),
    ("an unknown starter", GOOD, ("backbone=starter:klingon",), None, "TS-", "starter:english"),
    ("an assignment without a value", GOOD, ("seed",), 78, "TS-CONF-006", "--set"),
]  # fmt: skip


@pytest.mark.parametrize("name, text, sets, code, error, hint", CASES, ids=[case[0] for case in CASES])
def test_a_wrong_configuration_is_refused_with_its_remedy(
    name: str, text: str | None, sets: tuple[str, ...], code: int | None, error: str, hint: str,
    tmp_path: Path, tunesmith: Callable[..., Any],
) -> None:  # fmt: skip
    file = tmp_path / "run.toml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    words = [word for assignment in sets for word in ("--set", assignment)]
    done = tunesmith("train", file, "--out", tmp_path / "run", *words)
    assert done.code == code if code is not None else done.code not in (0, 70), done.err
    assert error in done.err
    assert hint in done.err
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize("kind", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_extra_is_refused_with_the_line_that_installs_it(
    kind: str, tmp_path: Path, tunesmith: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, kind, None)
    file = tmp_path / "run.toml"
    file.write_text(f'{GOOD}[[trackers]]\nkind = "{kind}"\n', encoding="utf-8")
    done = tunesmith("train", file, "--out", tmp_path / "run")
    assert (done.code, "TS-RUN-025" in done.err) == (69, True)
    assert 'pip install "tunesmith[track]"' in done.err
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, tunesmith: Callable[..., Any]) -> None:
    rows = (SAMPLES / "support_en" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows[11] = rows[11][:-20]
    data = tmp_path / "broken.jsonl"
    data.write_text("\n".join(rows), encoding="utf-8")
    file = tmp_path / "run.toml"
    file.write_text(f'[data]\ntrain = "{data}"\n[task]\nkind = "text_classification"\n', encoding="utf-8")
    done = tunesmith("train", file, "--out", tmp_path / "run", "--json")
    assert done.code == 65
    error = json.loads(done.err)
    assert error["place"]["file"].endswith("broken.jsonl")
    assert error["place"]["line"] == 12
    assert error["fix"]


def test_bad_rows_can_be_left_out_and_are_counted(
    tmp_path: Path, tunesmith: Callable[..., Any], tiny_bert_folder: Path
) -> None:
    rows = (SAMPLES / "support_en" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows[11] = rows[11][:-20]
    data = tmp_path / "broken.jsonl"
    data.write_text("\n".join(rows), encoding="utf-8")
    file = tmp_path / "run.toml"
    file.write_text(
        f'backbone = "{tiny_bert_folder}"\n[data]\ntrain = "{data}"\nskip_bad = true\n'
        '[task]\nkind = "text_classification"\n[train]\nlength = "1 epoch"\nthreads = 1\n',
        encoding="utf-8",
    )
    done = tunesmith("train", file, "--out", tmp_path / "run", "--json")
    assert done.code == 0, done.err
    rejects = (tmp_path / "run" / "rejects.train.jsonl").read_text(encoding="utf-8").splitlines()
    counts = json.loads((tmp_path / "run" / "split.json").read_text(encoding="utf-8"))["counts"]
    assert len(rejects) + sum(counts.values()) == len(rows)


def test_a_label_that_training_lacks_is_refused_before_training(
    tmp_path: Path, tunesmith: Callable[..., Any], tiny_bert_folder: Path
) -> None:
    odd = tmp_path / "test.jsonl"
    odd.write_text(json.dumps({"text": "what is this", "label": "never_seen"}) + "\n" * 2, encoding="utf-8")
    file = tmp_path / "run.toml"
    file.write_text(
        f'backbone = "{tiny_bert_folder}"\n[data]\ntrain = "{SAMPLES}/support_en/train.jsonl"\ntest = "{odd}"\n'
        '[task]\nkind = "text_classification"\n',
        encoding="utf-8",
    )
    done = tunesmith("train", file, "--out", tmp_path / "run")
    assert done.code == 65
    assert "never_seen" in done.err
    assert "test.jsonl:1" in done.err.replace("\n", "")
