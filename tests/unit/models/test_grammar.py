"""Answers follow a JSON schema or a regular expression, whatever the model would rather write."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders

from tunesmith.core.errors import ConfigError
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.cached_decoder import CachedDecoder
from tunesmith.models.decoder import Decoder
from tunesmith.models.decoding import Decoding, Written
from tunesmith.models.grammar import Grammars
from tunesmith.models.loading import build_backbone
from tunesmith.models.writer import Writer

WORDS, END = 448, 1
SCHEMA = {
    "type": "object",
    "properties": {
        "place": {"enum": ["北京", "New York"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 99},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
    },
    "required": ["place", "count", "tags"],
    "additionalProperties": False,
}


LLAMA = {
    "model_type": "llama",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": WORDS,
    "max_position_embeddings": 256,
}


@pytest.fixture
def byte_level(trained_tokenizers: dict[str, Tokenizer], tmp_path: Path) -> Tokenizer:
    fast = FastTokenizer.from_str(trained_tokenizers["byte_bpe"].serialized.decode())
    fast.decoder = decoders.ByteLevel()
    fast.save(str(tmp_path / "tokenizer.json"))
    return Tokenizer(tmp_path / "tokenizer.json", max_length=64)


def answers(tokenizer: Tokenizer, constraint: Any) -> list[Written]:
    """Of a model that would write anything: weights and draws are random."""
    torch.manual_seed(0)
    decoder = build_backbone(LLAMA).eval()
    assert isinstance(decoder, Decoder)
    read = FastTokenizer.from_str(tokenizer.serialized.decode()).decode
    head = partial(F.linear, weight=decoder.words.weight.detach())
    writer = Writer(CachedDecoder(decoder), head, ends=[END], read=read)
    decoding = Decoding(strategy="sample", temperature=2.0, max_new_tokens=200)
    return writer.write([[5], [6, 7], [8]] * 7, decoding, constraint=constraint)


def test_json_that_follows_a_schema(byte_level: Tokenizer) -> None:
    pytest.importorskip("llguidance", reason='pip install "tunesmith[grammar]"')
    follows = Grammars(byte_level, words=WORDS, ends=[END]).json_schema(SCHEMA)
    written = answers(byte_level, follows)
    for answer in written:
        found = json.loads(answer.text or "")
        assert found["place"] in ("北京", "New York") and 0 <= found["count"] <= 99
        assert set(found["tags"]) <= {"a", "b"} and len(found["tags"]) <= 2
        assert found.keys() == {"place", "count", "tags"}
        assert json.dumps(found, ensure_ascii=False) == answer.text
        assert answer.reason == "constraint"
    assert len({answer.text for answer in written}) > 10


def test_a_regular_expression(byte_level: Tokenizer) -> None:
    pytest.importorskip("llguidance", reason='pip install "tunesmith[grammar]"')
    pattern = r"(yes|no), [0-9]{2}[a-c]*"
    grammars = Grammars(byte_level, words=WORDS, ends=[END])
    for answer in answers(byte_level, grammars.regular_expression(pattern)):
        assert re.fullmatch(pattern, answer.text or "") and answer.reason == "stop"


def test_what_cannot_be_followed_is_refused(byte_level: Tokenizer, trained_tokenizers: dict[str, Tokenizer]) -> None:
    pytest.importorskip("llguidance", reason='pip install "tunesmith[grammar]"')
    grammars = Grammars(byte_level, words=WORDS, ends=[END])
    with pytest.raises(ConfigError, match="regex"):
        grammars.regular_expression("[ab")
    with pytest.raises(ConfigError, match="schema"):
        grammars.json_schema({"type": "objekt"})
    with pytest.raises(ConfigError, match="bytes"):
        Grammars(trained_tokenizers["wordpiece"], words=WORDS, ends=[END])
