"""What is shown while an answer is written: whole characters, nothing of a stop string, and in the end everything."""

import numpy as np
import pytest
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders

from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.visible_text import VisibleText

TEXTS = ("café 👍🏽 and 北京 again", "мама мыла раму", "a plain one, with <b>marks</b>", "नमस्ते दुनिया 👨‍👩‍👧")


def pieces(read: object, ids: list[int], *stops: str) -> tuple[list[str], bool]:
    visible = VisibleText(read, stops)  # type: ignore[arg-type]
    shown = []
    for token in ids:
        shown.append(visible.feed(token))
        if visible.stopped:
            break
    return [*shown, visible.end()], visible.stopped


def reader(tokenizer: Tokenizer) -> FastTokenizer:
    """The library's own tokenizer, which reads ids; those of the fixture only write them."""
    fast = FastTokenizer.from_str(tokenizer.serialized.decode())
    fast.decoder = decoders.Metaspace() if "Metaspace" in tokenizer.serialized.decode() else decoders.ByteLevel()
    return fast


def letters(ids: list[int]) -> str:
    return "".join(map(chr, ids))


@pytest.mark.parametrize("kind", ["byte_bpe", "byte_bpe_prefix", "unigram"])
@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_whole_characters_and_together_the_text(
    kind: str, text: str, trained_tokenizers: dict[str, Tokenizer]
) -> None:
    fast = reader(trained_tokenizers[kind])
    ids = fast.encode(text, add_special_tokens=False).ids
    shown, stopped = pieces(fast.decode, ids)
    assert "".join(shown) == fast.decode(ids) and not stopped
    if kind != "unigram":  # which has no token for what it does not know, and writes U+FFFD itself
        assert not any("\ufffd" in piece for piece in shown)


def test_any_row_of_tokens_comes_out_whole(trained_tokenizers: dict[str, Tokenizer]) -> None:
    fast = reader(trained_tokenizers["byte_bpe"])
    draw = np.random.default_rng(0)
    for _ in range(50):
        ids = draw.integers(0, fast.get_vocab_size(), 30).tolist()
        shown, _ = pieces(fast.decode, ids)
        assert "".join(shown) == fast.decode(ids)


@pytest.mark.parametrize(
    "text, stops, seen",
    [
        ("one</s>two", ["</s>"], "one"),
        ("one</sone</s", ["</s>"], None),
        ("aaab", ["aab"], "a"),
        ("abcabd", ["abd", "xyz"], "abc"),
        ("first\nsecond", ["second", "\n"], "first"),
        ("nothing", [], None),
        ("stop", ["stop"], ""),
    ],
)
def test_a_stop_string_across_tokens(text: str, stops: list[str], seen: str | None) -> None:
    for size in (1, 2, 3, 5):
        blocks = [text[at : at + size] for at in range(0, len(text), size)]

        def read(ids: list[int], blocks: list[str] = blocks) -> str:
            return "".join(blocks[token] for token in ids)

        shown, stopped = pieces(read, list(range(len(blocks))), *stops)
        assert "".join(shown) == (text if seen is None else seen)
        assert stopped == (seen is not None)
        told = ""
        for piece in shown[:-1]:  # never the beginning of what turns out to be a stop string
            told += piece
            assert (text if seen is None else seen).startswith(told)


def test_the_beginning_of_a_stop_string_is_held_back_no_longer_than_needed() -> None:
    shown, _ = pieces(letters, list(map(ord, "a<b</c")), "</s>")
    assert shown == ["a", "", "<b", "", "", "</c", ""]
