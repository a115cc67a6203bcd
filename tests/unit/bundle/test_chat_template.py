"""A chat template goes into a bundle and comes back, and transformers reads it there too."""

import json
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, pre_tokenizers

from tunesmith.bundle.manifest import BaseRecord
from tunesmith.bundle.read import open_bundle
from tunesmith.bundle.write import Origin, write_bundle
from tunesmith.core.conversation import conversation
from tunesmith.core.example import Example, Source
from tunesmith.core.model import Model
from tunesmith.core.rooms import TASKS
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.chat import Chat
from tunesmith.models.checkpoint import locate
from tunesmith.models.loading import load_backbone
from tunesmith.models.template_file import chat_template

TEMPLATE = (
    "{% for message in messages %}{{ bos_token + message['role'] + ': ' + message['content'] + eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ bos_token + 'assistant: ' }}{% endif %}"
)


def checkpoint(folder: Path) -> Path:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    fast = FastTokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    fast.pre_tokenizer, fast.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    fast.add_special_tokens(["<begin>", "<end>"])
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=258, n_embd=16, n_layer=1, n_head=2, n_positions=64)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    fast.save(str(folder / "tokenizer.json"))
    table = {"chat_template": TEMPLATE, "bos_token": "<begin>", "eos_token": "<end>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(table), encoding="utf-8")
    return folder


def test_it_survives(tmp_path: Path) -> None:
    base = locate(str(checkpoint(tmp_path / "base")))
    backbone = load_backbone(base)
    tokenizer = Tokenizer(base.tokenizer_file, max_length=64, causal=True, template=chat_template(base))
    task = TASKS.make({"kind": "text_classification", "labels": ["a", "b"], "multi_label": False}, key="task")
    examples = [Example(id="1", text="my card", source=Source("dev", 1))]
    origin = Origin(
        name="it",
        base=BaseRecord(name="base", fingerprint="0" * 64),
        data_fingerprint="1" * 64,
        golden_examples=examples,
        reference_examples=examples,
    )
    model = Model(backbone, task.head(backbone))
    folder = write_bundle(tmp_path / "bundle", model=model, task=task, tokenizer=tokenizer, origin=origin)
    read = open_bundle(folder).tokenizer
    assert read.template is not None and read.template.source == TEMPLATE
    given = conversation([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes <end>?"}])
    assert Chat(read).window(given) == Chat(tokenizer).window(given)
    rows = [{"role": message.role, "content": message.content} for message in given]
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert theirs.apply_chat_template(rows, tokenize=False) == Chat(read).text(given)
