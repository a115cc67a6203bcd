"""`tokenizer_config.json`: what transformers must know beside `tokenizer.json` to frame, pad and mask as we do.

The chat template is the one part of it that we read again.
"""

import json
from typing import Any, Final

from tunesmith.core.tokenizer import Tokenizer

_ROLES: Final = {
    "[CLS]": ("cls_token",),
    "[SEP]": ("sep_token",),
    "[PAD]": ("pad_token",),
    "[UNK]": ("unk_token",),
    "[MASK]": ("mask_token",),
    "<s>": ("bos_token", "cls_token"),
    "</s>": ("eos_token", "sep_token"),
    "<pad>": ("pad_token",),
    "<unk>": ("unk_token",),
    "<mask>": ("mask_token",),
    "<|endoftext|>": ("bos_token", "eos_token"),
}
"""The control tokens of the BERT, RoBERTa and GPT families and the parts they play."""


def tokenizer_config(tokenizer: Tokenizer) -> dict[str, Any]:
    """The table beside `tokenizer.json`, with the chat template; it names the control tokens where there is one.

    Control tokens of other names stay what `tokenizer.json` says they are.
    """
    roles: dict[str, str] = {}
    for token in json.loads(tokenizer.serialized).get("added_tokens", ()):
        for role in _ROLES.get(str(token.get("content")), ()):
            roles.setdefault(role, str(token["content"]))
    template = tokenizer.template
    segments = ["token_type_ids"] if tokenizer.framing.segments else []
    return (
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": tokenizer.max_length,
            "model_input_names": ["input_ids", *segments, "attention_mask"],
            "clean_up_tokenization_spaces": False,
            "split_special_tokens": True,
        }
        | roles
        | ({"chat_template": template.source} | dict(template.control) if template else {})
    )
