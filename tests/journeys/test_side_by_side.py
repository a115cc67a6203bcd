"""Two runs over one backbone, one bundle: from training to answers by name, by the command line alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[2] / "samples" / "support_en"


def test_runs_are_joined_proved_asked_and_judged_by_name(
    tunesmith: Callable[..., Any], tiny_bert_folder: Path, tmp_path: Path
) -> None:
    data = {split: tmp_path / f"{split}.jsonl" for split in ("train", "dev", "test")}
    for split, file in data.items():
        rows = (SAMPLES / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        file.write_text("\n".join(rows[:40]), encoding="utf-8")
    for name, task, method in (
        ("intents", "text_classification", "lora"),
        ("entities", "token_classification", "adapter"),
    ):
        lines = [f'backbone = "{tiny_bert_folder}"', f'method = "{method}"', "[data]"]
        lines += [f'{split} = "{file}"' for split, file in data.items()]
        lines += [f'[task]\nkind = "{task}"', '[train]\nlength = "1 epoch"\nprecision = "fp32"\nthreads = 1']
        (tmp_path / f"{name}.toml").write_text("\n".join(lines), encoding="utf-8")
        done = tunesmith("train", tmp_path / f"{name}.toml", "--out", tmp_path / name)
        assert done.code == 0, done.err
    desk = tmp_path / "desk"
    done = tunesmith("join", tmp_path / "intents", f"marks={tmp_path / 'entities'}", "--out", desk, "--json")
    assert done.code == 0, done.err
    assert list(json.loads(done.out)["adapters"]) == ["intents", "marks"]

    done = tunesmith("verify", desk)
    assert done.code == 0 and "intents 32, marks 32" in done.out

    question = tmp_path / "new.txt"
    question.write_text("Where is order BW-20417?\n", encoding="utf-8")
    for name, field in (("intents", "label"), ("marks", "entities")):
        done = tunesmith("predict", desk, question, "--adapter", name)
        assert done.code == 0 and field in json.loads(done.out), done.err
    done = tunesmith("predict", desk, question)
    assert done.code == 2 and "intents, marks" in done.err
    done = tunesmith("predict", desk, question, "--adapter", "mood")
    assert done.code == 2 and "intents, marks" in done.err

    scores = []
    for bundle, words in ((desk, ("--adapter", "marks")), (tmp_path / "entities", ())):
        done = tunesmith("evaluate", bundle, data["test"], *words, "--json")
        assert done.code == 0, done.err
        scores.append(json.loads(done.out)["metrics"])
    assert scores[0] == scores[1]

    (desk / "marks" / "additions.safetensors").write_bytes(b"")
    done = tunesmith("verify", desk)
    assert done.code == 65 and "additions.safetensors" in done.err
