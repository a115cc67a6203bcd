"""From prompts in a file to an answered request: a run of a tiny model that writes, with all that it leaves behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from tunesmith.core.errors import DataError, UsageError

STATES = ("lost", "stolen", "found", "blocked")


@pytest.fixture(scope="module")
def rows() -> str:
    made = [(f"card {n} is {state}", f"Dear {n}, your card is {state}!") for n in range(12) for state in STATES]
    return "".join(json.dumps({"prompt": prompt, "answer": answer}) + "\n" for prompt, answer in made)


def test_from_prompts_to_answers(
    rows: str, tiny_chat_folder: Path, tmp_path: Path, tunesmith: Callable[..., Any]
) -> None:
    (tmp_path / "rows.jsonl").write_text(rows, encoding="utf-8")
    assert tunesmith("init", tmp_path / "rows.jsonl", "--out", tmp_path / "written.toml").code == 0
    config = (tmp_path / "written.toml").read_text(encoding="utf-8")
    assert 'backbone = "starter:chat"' in config and 'kind = "generation"' in config and 'kind = "lora"' in config
    (tmp_path / "written.toml").write_text(config.replace("starter:chat", str(tiny_chat_folder)), encoding="utf-8")
    settings = ["train.length=4 epochs", "train.learning_rate=0.02", "method.rank=4", "train.batch_size=8"]
    flags = [part for setting in settings for part in ("--set", setting)]
    out = tmp_path / "run"
    done = tunesmith("train", tmp_path / "written.toml", "--out", out, *flags)
    assert done.code == 0, done.err
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    test = report["splits"]["test"]
    assert test["main_metric"] == "rouge_l" and {"bleu", "chrf", "perplexity", "exact_match"} <= set(test["metrics"])
    assert {"untuned", "nearest_answer"} <= set(test["baselines"])
    untuned = test["baselines"]["untuned"]["metrics"]
    assert test["metrics"]["perplexity"]["value"] < 0.5 * untuned["perplexity"]["value"]
    assert (out / "adapter" / "adapter_config.json").exists()
    done = tunesmith("predict", out / "bundle", tmp_path / "rows.jsonl", "--text-column", "prompt")
    assert done.code == 0, done.err
    said = [json.loads(line) for line in done.out.splitlines()]
    assert len(said) == 48 and all(isinstance(row["answer"], str) for row in said)
    model = ts.load(out / "bundle")
    assert model.predict("card 3 is lost").predicted == "".join(model.write("card 3 is lost"))
    assert tunesmith("verify", out / "bundle").code == 0
    done = tunesmith("evaluate", out, tmp_path / "rows.jsonl", "--json")
    assert done.code == 0 and json.loads(done.out)["metrics"]["rouge_l"]["value"] > 0, done.err


@pytest.mark.parametrize(("given", "told"), [(" ", "blank"), (("a text", "another"), "second text")])
def test_what_cannot_be_asked_is_refused_before_a_piece_comes(
    tiny_bundles: Callable[[str], Path], given: Any, told: str
) -> None:
    with pytest.raises(DataError, match=told):
        ts.load(tiny_bundles("written")).write(given)


def test_a_model_that_labels_does_not_write(tiny_bundles: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match="does not write"):
        ts.load(tiny_bundles("label")).write("hello")
