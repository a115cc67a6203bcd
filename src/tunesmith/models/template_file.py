"""The chat template beside a tokenizer: `chat_template.jinja`, or `chat_template` in `tokenizer_config.json`."""

import json
from collections.abc import Mapping
from typing import Any, Final

from tunesmith.core.chat_template import MAX_TEMPLATE, PLAIN, ChatTemplate
from tunesmith.core.errors import ModelFileError, Place
from tunesmith.models.checkpoint import Checkpoint
from tunesmith.models.config_file import read_json

TOKENIZER_CONFIG: Final = "tokenizer_config.json"
TEMPLATE: Final = "chat_template.jinja"
NAMED: Final = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""The control tokens that a template may name."""


def chat_template(checkpoint: Checkpoint) -> ChatTemplate | None:
    """The template of a checkpoint, or `PLAIN` where it has none, behind the token that begins every text if there is
    one; None where no token ends a text either.

    Raises:
        ModelFileError: a file that is no JSON, or a template that is too large or none.
    """
    path, source = checkpoint.folder / TOKENIZER_CONFIG, checkpoint.folder / TEMPLATE
    table = read_json(path) if path.is_file() else {}
    if source.is_file():
        with source.open(encoding="utf-8", errors="replace", newline="") as stream:
            table["chat_template"] = stream.read(MAX_TEMPLATE + 1)
    found = template_in(table, file=str(source if source.is_file() else path))
    control = dict(found.control if found else named_tokens(table))
    if found and "eos_token" in control:
        return found
    tokenizer = json.loads(checkpoint.tokenizer_file.read_bytes())
    if "eos_token" not in control and (end := _end_of_text(checkpoint.config, tokenizer)) is not None:
        control["eos_token"] = end
    if found:
        return ChatTemplate(found.source, control, found.file)
    if "eos_token" not in control:
        return None
    if (begin := _begin_of_text(tokenizer.get("post_processor"))) is None:
        return ChatTemplate(PLAIN, control)
    return ChatTemplate(f"{{{{ bos_token }}}}{PLAIN}", control | {"bos_token": begin})


def template_in(table: Mapping[str, Any], *, file: str) -> ChatTemplate | None:
    """The template in a `tokenizer_config.json`, None where it holds none. Of several the one called `default`.

    Raises:
        ModelFileError: it is no text, too large, or none of several is the default.
    """
    source = table.get("chat_template")
    if source is None:
        return None
    if isinstance(source, list):
        named = (entry for entry in source if isinstance(entry, dict) and entry.get("name") == "default")
        source = next((entry.get("template") for entry in named), None)
    if not isinstance(source, str):
        raise ModelFileError(
            "the chat template is no text, and no list with one called 'default'",
            code="TS-CHAT-012",
            place=Place(file=file, key="chat_template"),
            fix="use the tokenizer_config.json that the model was trained with.",
        )
    return ChatTemplate(source, named_tokens(table), file)


def named_tokens(table: Mapping[str, Any]) -> dict[str, str]:
    """The control tokens that a `tokenizer_config.json` names, each a text or an object with `content`."""
    found = ((name, table.get(name)) for name in NAMED)
    texts = ((name, token.get("content") if isinstance(token, dict) else token) for name, token in found)
    return {name: token for name, token in texts if isinstance(token, str)}


def _end_of_text(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> str | None:
    """The token whose number `config.json` gives as the end of a text."""
    ends = config.get("eos_token_id")
    end = ends[0] if isinstance(ends, list) and ends else ends
    added = tokenizer.get("added_tokens", ())
    return next((str(token["content"]) for token in added if token.get("id") == end), None)


def _begin_of_text(processor: Mapping[str, Any] | None) -> str | None:
    """The token that the tokenizer puts before every text, as those of Llama, Mistral and Gemma do."""
    if not processor:
        return None
    for one in processor.get("processors", (processor,)):
        if one.get("type") == "TemplateProcessing" and (single := one.get("single")):
            token = single[0].get("SpecialToken")
            return str(token["id"]) if token else None
    return None
