"""From prompts in a file to answers in a fresh process, with a decoder that transformers runs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer as FastTokenizer

import tunesmith as ts

STATES = ("lost", "stolen", "found", "blocked")
KINDS: dict[str, dict[str, Any]] = {
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "gemma": {"intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8},
    "mamba": {"state_size": 4},
}
FRESH = """
import sys, tunesmith as ts
model = ts.load(sys.argv[1])
print(model.predict(sys.argv[2]).predicted)
print("".join(model.write(sys.argv[2])))
"""


@pytest.fixture
def folder(tiny_chat_folder: Path, tmp_path: Path) -> Callable[[str], Path]:
    """`folder(kind)`: a random model of a kind, which transformers wrote, with a tokenizer and a chat template."""

    def make(kind: str) -> Path:
        made = tmp_path / kind
        shutil.copytree(tiny_chat_folder, made, ignore=shutil.ignore_patterns("config.json", "*.safetensors"))
        fast = FastTokenizer.from_file(str(made / "tokenizer.json"))
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 96}
        ends = {"bos_token_id": None, "pad_token_id": 0, "eos_token_id": fast.token_to_id("<|stop|>")}
        config = transformers.AutoConfig.for_model(
            kind, **sizes | ends | KINDS[kind], vocab_size=fast.get_vocab_size(), initializer_range=0.2, init_std=0.2
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            transformers.AutoModelForCausalLM.from_config(config).save_pretrained(made)
        return made

    return make


def toml(folder: Path, task: str, method: str) -> str:
    return (
        f'backbone = "{folder}"\nmethod = {method}\n[data]\ntrain = "rows.jsonl"\n'
        f'[task]\n{task}\n[train]\nlength = "4 epochs"\nbatch_size = 8\n'
    )


@pytest.mark.filterwarnings("ignore")  # of transformers
def test_a_run_with_lora_is_answered_from_in_a_fresh_process(
    folder: Callable[[str], Path], tmp_path: Path, tunesmith: Callable[..., Any]
) -> None:
    rows = [(f"card {n} is {state}", f"Dear {n}, your card is {state}!") for n in range(12) for state in STATES]
    lines = "".join(json.dumps({"prompt": prompt, "answer": answer}) + "\n" for prompt, answer in rows)
    (tmp_path / "rows.jsonl").write_text(lines, encoding="utf-8")
    task = 'kind = "generation"\ndecoding = { max_new_tokens = 12 }'
    wrong = '{ kind = "lora", rank = 4, targets = ["query", "up"] }'
    (tmp_path / "written.toml").write_text(toml(folder("opt"), task, wrong), encoding="utf-8")
    refused = tunesmith("train", tmp_path / "written.toml", "--out", tmp_path / "refused")
    assert refused.code == 78 and "'up'" in refused.err and "q_proj" in refused.err, "the layers that there are"
    named = ("--set", 'method.targets=["query", "value", "fc1"]', "--set", "train.learning_rate=0.02")
    done = tunesmith("train", tmp_path / "written.toml", "--out", tmp_path / "run", *named)
    assert done.code == 0 and "no cache" not in done.out, done.err
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))["splits"]["test"]
    untuned = report["baselines"]["untuned"]["metrics"]
    assert report["metrics"]["perplexity"]["value"] < 0.5 * untuned["perplexity"]["value"]
    bundle, asked = tmp_path / "run" / "bundle", "card 3 is lost"
    assert json.loads((bundle / "config.json").read_text())["architectures"] == ["OPTForCausalLM"]
    said = subprocess.run(
        [sys.executable, "-c", FRESH, str(bundle), asked],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        check=True,
    ).stdout.splitlines()
    here = ts.load(bundle).predict(asked).predicted
    assert "\n".join(said) == f"{here}\n{here}"
    done = tunesmith("predict", bundle, tmp_path / "rows.jsonl", "--text-column", "prompt")
    assert done.code == 0 and len(done.out.splitlines()) == 48, done.err


@pytest.mark.filterwarnings("ignore")
def test_choices_and_blanks_with_a_model_that_reads_again_and_one_that_does_not(
    folder: Callable[[str], Path], tmp_path: Path, tunesmith: Callable[..., Any]
) -> None:
    rows = [(f"the card {n} was {word}", label) for n in range(12) for word, label in (("good", "yes"), ("bad", "no"))]
    lines = "".join(json.dumps({"prompt": prompt, "answer": label}) + "\n" for prompt, label in rows)
    (tmp_path / "rows.jsonl").write_text(lines, encoding="utf-8")
    full = '{ kind = "full" }'
    task = 'kind = "generation"\nchoices = ["yes", "no"]'
    (tmp_path / "chosen.toml").write_text(toml(folder("mamba"), task, full), encoding="utf-8")
    done = tunesmith("train", tmp_path / "chosen.toml", "--out", tmp_path / "chosen")
    assert done.code == 0 and "mamba keeps no cache" in done.out, done.err
    answers = [json.loads(line) for line in (tmp_path / "chosen" / "predictions.test.jsonl").open()]
    assert {row["predicted"] for row in answers} <= {"yes", "no"}
    blank = 'kind = "cloze_classification"\ntemplate = "{text} it was [blank]"'
    text = toml(folder("gemma"), blank, full).replace(
        '"rows.jsonl"\n', '"rows.jsonl"\ntext = "prompt"\nlabel = "answer"\n'
    )
    (tmp_path / "blank.toml").write_text(text, encoding="utf-8")
    done = tunesmith("train", tmp_path / "blank.toml", "--out", tmp_path / "blank")
    assert done.code == 0, done.err
    bundle = tmp_path / "blank" / "bundle"
    assert json.loads((bundle / "config.json").read_text())["architectures"] == ["GemmaForCausalLM"]
    assert ts.load(bundle).predict("the card was good").predicted in ("yes", "no")
