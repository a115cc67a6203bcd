"""Where the chat template of a checkpoint is found, and what stands in for it."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models, processors

from tunesmith.core.chat_template import PLAIN, ChatTemplate
from tunesmith.core.conversation import Message
from tunesmith.core.errors import ModelFileError
from tunesmith.models.checkpoint import Checkpoint
from tunesmith.models.template_file import chat_template


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    fast = FastTokenizer(models.BPE({"a": 0}, []))
    fast.add_special_tokens(["</s>"])
    fast.save(str(tmp_path / "tokenizer.json"))
    config = {"model_type": "gpt2", "eos_token_id": [1]}
    file = tmp_path / "tokenizer.json"
    return Checkpoint(
        name="it", folder=tmp_path, config=config, tokenizer_file=file, weight_files=(), fingerprint="", licence=None
    )


def write(checkpoint: Checkpoint, table: dict[str, object]) -> None:
    (checkpoint.folder / "tokenizer_config.json").write_text(json.dumps(table), encoding="utf-8")


def test_a_template_with_the_control_tokens_it_may_name(checkpoint: Checkpoint) -> None:
    write(checkpoint, {"chat_template": "x", "bos_token": {"content": "<s>", "lstrip": False}, "pad_token": None})
    file = str(checkpoint.folder / "tokenizer_config.json")
    assert chat_template(checkpoint) == ChatTemplate("x", {"bos_token": "<s>", "eos_token": "</s>"}, file)


def test_of_several_the_default_and_a_file_of_its_own_before_all(checkpoint: Checkpoint) -> None:
    several = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]
    write(checkpoint, {"chat_template": several, "eos_token": "<end>"})
    assert chat_template(checkpoint).source == "d"
    (checkpoint.folder / "chat_template.jinja").write_text("{{ 'j' }}\r\n", encoding="utf-8", newline="")
    found = chat_template(checkpoint)
    assert (found.source, found.control["eos_token"]) == ("{{ 'j' }}\r\n", "<end>")
    assert found.file.endswith("chat_template.jinja")


def test_without_one_a_plain_one_ends_answers_with_the_end_of_a_text(checkpoint: Checkpoint) -> None:
    assert chat_template(checkpoint) == ChatTemplate(PLAIN, {"eos_token": "</s>"})
    checkpoint.config.pop("eos_token_id")
    assert chat_template(checkpoint) is None


@pytest.mark.parametrize("nested", [False, True])
def test_a_plain_one_begins_as_every_text_does(checkpoint: Checkpoint, nested: bool) -> None:
    fast = FastTokenizer.from_file(str(checkpoint.tokenizer_file))
    fast.add_special_tokens(["<s>"])
    begins = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 2)])
    fast.post_processor = processors.Sequence([processors.ByteLevel(), begins]) if nested else begins
    fast.save(str(checkpoint.tokenizer_file))
    found = chat_template(checkpoint)
    assert found is not None
    assert found.render([Message("user", "aa")]) == "<s>aa\n" and found.control["bos_token"] == "<s>"
    fast.post_processor = processors.ByteLevel()
    fast.save(str(checkpoint.tokenizer_file))
    assert chat_template(checkpoint) == ChatTemplate(PLAIN, {"eos_token": "</s>"})


def test_what_is_no_template_is_refused(checkpoint: Checkpoint) -> None:
    for value in (3, {"default": "x"}, [{"name": "rag", "template": "x"}]):
        write(checkpoint, {"chat_template": value})
        with pytest.raises(ModelFileError, match=r"tokenizer_config.json: chat_template.*TS-CHAT-012"):
            chat_template(checkpoint)
    (checkpoint.folder / "chat_template.jinja").write_text("x" * 300_000, encoding="utf-8")
    with pytest.raises(ModelFileError, match=r"chat_template.jinja.*more than 262144"):
        chat_template(checkpoint)
