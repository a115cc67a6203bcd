"""Words alone cost the pieces they cost in a running text, and never more."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models, normalizers, pre_tokenizers

from tunesmith.core import tokenizer as module
from tunesmith.core.errors import MissingInputError, ModelFileError
from tunesmith.core.tokenizer import Tokenizer

WORDS = st.lists(
    st.text(st.sampled_from("abcdeiostnTYMN019éß中国北京.,!$"), min_size=1, max_size=8), min_size=1, max_size=8
)
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def fast_of(tokenizer: Tokenizer) -> FastTokenizer:
    fast = FastTokenizer.from_str(tokenizer.serialized.decode())
    fast.encode_special_tokens = True
    return fast


def tokens(tokenizer: Tokenizer, *words: tuple[str, bool]) -> list[list[str]]:
    fast = fast_of(tokenizer)
    return [[fast.id_to_token(index) for index in ids] for ids in tokenizer.words(words)]


@relaxed
@given(words=WORDS)
def test_blank_separated_words_equal_the_running_text_but_for_lone_blanks(
    trained_tokenizer: Tokenizer, words: list[str]
) -> None:
    fast = fast_of(trained_tokenizer)
    # A leading blank, so that the first word is read like the others whatever the tokenizer does at a text's start.
    whole = fast.encode(" " + " ".join(words), add_special_tokens=False)
    blanks = {fast.token_to_id(mark) for mark in ("Ġ", "▁")}
    running = [index for index in whole.ids if index not in blanks]
    alone = [index for ids in trained_tokenizer.words([(word, True) for word in words]) for index in ids]
    assert alone == running


@relaxed
@given(words=WORDS)
def test_words_of_a_wordpiece_equal_pre_split_input(trained_tokenizers: dict[str, Tokenizer], words: list[str]) -> None:
    fast = fast_of(trained_tokenizers["wordpiece"])
    split = fast.encode(words, is_pretokenized=True, add_special_tokens=False)
    assert [i for ids in trained_tokenizers["wordpiece"].words([(w, True) for w in words]) for i in ids] == split.ids


@pytest.mark.parametrize("kind", ["byte_bpe", "byte_bpe_prefix"])
def test_punctuation_that_touches_a_word_is_read_as_in_the_running_text(
    trained_tokenizers: dict[str, Tokenizer], kind: str
) -> None:
    whole = fast_of(trained_tokenizers[kind]).encode(" the mat, near York!", add_special_tokens=False).tokens
    words = (("the", True), ("mat", True), (",", False), ("near", True), ("York", True), ("!", False))
    assert [token for pieces in tokens(trained_tokenizers[kind], *words) for token in pieces] == whole


@pytest.mark.parametrize("blank", [True, False])
@pytest.mark.parametrize("kind", ["unigram", "unigram_first", "wordpiece"])
def test_a_known_character_costs_one_token(trained_tokenizers: dict[str, Tokenizer], kind: str, blank: bool) -> None:
    pieces = tokens(trained_tokenizers[kind], *((character, blank) for character in "张三在北京中国a.1"))
    assert all(len(ids) == 1 for ids in pieces)
    assert ["▁"] not in pieces


def test_a_word_that_touches_the_one_before_gets_no_blank(trained_tokenizers: dict[str, Tokenizer]) -> None:
    for kind, mark in (("unigram", "▁"), ("unigram_first", "▁"), ("byte_bpe", "Ġ"), ("byte_bpe_prefix", "Ġ")):
        (inside,) = tokens(trained_tokenizers[kind], ("the", False))
        assert mark not in "".join(inside), kind


@relaxed
@given(text=st.text(min_size=1, max_size=20), blank=st.booleans())
def test_no_word_is_without_a_token(trained_tokenizer: Tokenizer, text: str, blank: bool) -> None:
    (ids,) = trained_tokenizer.words([(text, blank)])
    assert ids
    assert all(0 <= index < trained_tokenizer.vocabulary_size for index in ids)


def test_a_lone_surrogate_is_read_as_the_replacement_character(trained_tokenizer: Tokenizer) -> None:
    assert trained_tokenizer.words([("a\ud83db", True)]) == trained_tokenizer.words([("a\ufffdb", True)])
    assert trained_tokenizer.texts(["a\ud83d"]) == trained_tokenizer.texts(["a\ufffd"])


def test_a_typed_control_token_stays_text(trained_tokenizer: Tokenizer) -> None:
    special = set(trained_tokenizer.framing.prefix + trained_tokenizer.framing.suffix)
    typed = [("[SEP]", True), ("</s>", False), ("<s>", True), ("[CLS]", False)]
    assert not special.intersection(index for ids in trained_tokenizer.words(typed) for index in ids)
    for text in ("[SEP] </s><s>", "a ＜ｓ＞b </s", "</s>", "x</s>y</s>"):
        assert not special.intersection(trained_tokenizer.texts([text])[0])
    assert trained_tokenizer.texts(["the <s> cat"])[0][:1] == trained_tokenizer.texts(["the"])[0][:1]


def test_llama_style_normalisers_are_understood(tmp_path: Path) -> None:
    vocabulary = {piece: index for index, piece in enumerate(["<unk>", "▁", "▁a", "a", "b", "▁b"])}
    fast = FastTokenizer(models.BPE(vocabulary, [("▁", "a"), ("▁", "b")], unk_token="<unk>"))
    fast.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    fast.save(str(tmp_path / "llama.json"))
    fast.normalizer, fast.pre_tokenizer = normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_next")
    fast.save(str(tmp_path / "gemma.json"))
    for name in ("llama", "gemma"):
        read = Tokenizer(tmp_path / f"{name}.json", max_length=8)
        assert tokens(read, ("a", True), ("a", False), ("ab", True)) == [["▁a"], ["a"], ["▁a", "b"]], name


def test_added_words_keep_their_ids(tmp_path: Path, trained_tokenizer: Tokenizer) -> None:
    fast = fast_of(trained_tokenizer)
    fast.add_tokens(["qqqq", "zzzz"])
    fast.save(str(tmp_path / "added.json"))
    read = Tokenizer(tmp_path / "added.json", max_length=64)
    expected = [(fast.token_to_id("qqqq"),), (fast.token_to_id("zzzz"),)]
    assert [ids[-1:] for ids in read.words([("qqqq", True), ("zzzz", False)])] == expected


def test_the_memory_for_words_is_bounded(
    trained_tokenizers: dict[str, Tokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED_WORDS", 10)
    read = trained_tokenizers["wordpiece"]
    first = read.words([("the", True), ("x" * 500, True)])
    for number in range(100):
        read.words([(f"w{number}", True)])
        assert len(read._pieces) <= 11
    assert ("x" * 500, True) not in read._pieces
    assert read.words([("the", True), ("x" * 500, True)]) == first


def test_the_frame_and_the_room_between(trained_tokenizers: dict[str, Tokenizer], tiny_tokenizer: Tokenizer) -> None:
    for read in trained_tokenizers.values():
        assert (len(read.framing.prefix), len(read.framing.suffix), read.room) == (1, 1, 62)
    frame = tiny_tokenizer.framing
    assert frame.segments
    assert frame.middle == frame.suffix == frame.pair_suffix


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="TS-MODEL-010"):
        Tokenizer(tmp_path / "none.json", max_length=8)
    (tmp_path / "bad.json").write_bytes(b"\xff{")
    with pytest.raises(ModelFileError, match=r"bad\.json"):
        Tokenizer(tmp_path / "bad.json", max_length=8)
