"""Answers that follow a JSON schema or a regular expression, by llguidance, which is imported here only.

The library walks a grammar and a trie of the vocabulary side by side, so that a token is allowed exactly if the text
can still be completed. A tokenizer must say which bytes its tokens are: byte-level BPE does, and BPE with bytes to fall
back to; WordPiece and Unigram do not.
Source: Moskal et al., Low-level Guidance, https://github.com/guidance-ai/llguidance.
"""

import json
from collections.abc import Callable, Collection, Mapping
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import ConfigError, MissingExtraError, Place
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.constraints import Constraint

NewConstraint = Callable[[int], Constraint]
"""A new constraint for the prompt with a number, as `Writer.write` takes it"""


class Grammars:
    """Makes constraints for one vocabulary. It takes up to a second to make, so keep it."""

    def __init__(self, tokenizer: Tokenizer, *, words: int, ends: Collection[int]) -> None:
        """`words` is V, the width of the model's logits; `ends` are the tokens that end an answer, one at least.

        Raises:
            MissingExtraError: llguidance is not installed.
            ConfigError: the tokenizer does not say which bytes its tokens are.
        """
        self._library = _library()
        try:
            self._tokenizer = self._library.LLTokenizer(
                tokenizer.serialized.decode("utf-8"), n_vocab=words, eos_token=sorted(ends)
            )
        except ValueError as error:
            reason = str(error).split("\n")[0][:200]
            raise ConfigError(
                f"llguidance cannot tell the bytes of this tokenizer's tokens ({reason})",
                code="TS-MODEL-087",
                place=Place(key="backbone"),
                fix="choose a backbone with a byte-level tokenizer (GPT-2, Llama 3, Qwen2, SmolLM), or name choices.",
            ) from None

    def json_schema(self, schema: Mapping[str, Any]) -> NewConstraint:
        """Answers that are JSON and follow `schema`, with ", " and ": " between things, as Python writes it.

        Raises:
            ConfigError: the schema is none, or asks for what llguidance cannot promise.
        """
        style = {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False}
        return self._checked(
            self._library.LLMatcher.grammar_from_json_schema(json.dumps(dict(schema)), overrides=style), "schema"
        )

    def regular_expression(self, pattern: str) -> NewConstraint:
        """Answers that `pattern` matches from their first to their last character (the syntax of Rust's regex).

        Raises:
            ConfigError: it cannot be read.
        """
        return self._checked(self._library.LLMatcher.grammar_from_regex(pattern), "pattern")

    def _checked(self, grammar: str, key: str) -> NewConstraint:
        first = self._library.LLMatcher(self._tokenizer, grammar, log_level=0)
        if first.is_error():
            reason = " ".join(first.get_error().split("<state>")[0].split())[:300]
            raise ConfigError(
                f"no answer can follow this: {reason}",
                code="TS-MODEL-088",
                place=Place(key=key),
                fix="correct it; llguidance documents which keywords of JSON schema it knows.",
            )
        return lambda _: _Follows(first.deep_copy())


def _library() -> ModuleType:
    try:
        import llguidance  # an extra
    except ImportError:
        raise MissingExtraError(
            "answers that follow a grammar need llguidance, which is not installed",
            code="TS-MODEL-086",
            fix='pip install "tunesmith[grammar]"',
        ) from None
    module: ModuleType = llguidance
    return module


class _Follows(Constraint):
    """A matcher that was told every token so far."""

    def __init__(self, matcher: Any) -> None:  # noqa: ANN401  # an extra, whose types are not at hand
        self._matcher = matcher

    def allowed(self) -> NDArray[np.int64]:
        bits = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), np.uint8), bitorder="little")
        return bits.nonzero()[0]

    def advance(self, token: int) -> None:
        if not self._matcher.consume_token(token):
            raise ValueError(f"token {token} was not allowed: {self._matcher.get_error()[:200]}")

    @property
    def finished(self) -> bool:
        stopped: bool = self._matcher.is_stopped()
        return stopped
