"""Metrics of written answers equal sacrebleu and rouge_score, on whole files and under every replicate."""

import random
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_zh import _UCODE_RANGES, TokenizerZh

from tunesmith.judge.metrics import bleu, writing
from tunesmith.judge.metrics.counts import Counts, Floats
from tunesmith.judge.metrics.rouge import common_order
from tunesmith.judge.metrics.tokens import bleu_words, rouge_words, script_of

SIGNS = (
    "mat, mat. 3,000 4.5 U.S. (really) don't it's well-known 12-15 & &amp; &quot;no&quot; £20 café “quoted” -- … !? 50%"
)
ENGLISH = ["the", "The", "a", "cat", "cats", "sat", "on", "mat", "in", "1998", *SIGNS.split()]
CHINESE = [*"我你的，。“”、《》！？…—", "退款", "订单", "北京", "3.5", "12", "iPhone", "Wi-Fi"]
Rows = list[tuple[str, Sequence[str]]]


def made(words: Sequence[str], blank: str, *, seed: int, references: int) -> Rows:
    """Answers that are changed copies of a reference, some of them empty, short or equal."""
    rng = random.Random(seed)
    rows: Rows = []
    for _ in range(30):
        gold = [[rng.choice(words) for _ in range(rng.randint(1, 25))] for _ in range(references)]
        said = [word if rng.random() < 0.7 else rng.choice(words) for word in rng.choice(gold)]
        if rng.random() < 0.1:
            said = said[: rng.randint(0, 3)]
        rows.append((blank.join(said), tuple(blank.join(one) for one in gold)))
    return [(said, gold) for said, gold in rows if blank or script_of(gold) == "chinese"]


def ours(rows: Rows) -> dict[str, Floats]:
    return writing.metrics(Counts.of([writing.row(tuple(gold), said) for said, gold in rows]))


def transposed(rows: Rows) -> tuple[list[str], list[list[str]]]:
    return [said for said, _ in rows], [list(column) for column in zip(*(gold for _, gold in rows), strict=True)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("language", ["en", "zh"])
def test_bleu_and_chrf_equal_sacrebleu(language: str, seed: int) -> None:
    words, blank, tokenizer = (ENGLISH, " ", "13a") if language == "en" else (CHINESE, "", "zh")
    rows = made(words, blank, seed=seed, references=1 + seed % 3)
    said, references = transposed(rows)
    found = ours(rows)
    theirs = sacrebleu.corpus_bleu(said, references, tokenize=tokenizer)
    assert found["bleu"] == pytest.approx(theirs.score / 100, abs=1e-12)
    assert found["length_ratio"] == pytest.approx(theirs.sys_len / theirs.ref_len)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(said, references).score / 100, abs=1e-12)


@pytest.mark.parametrize(
    "said, gold",
    [
        ("", ["a b c d e"]),
        ("a b", ["a b"]),
        ("x y z w", ["a b c d"]),
        ("a b c q r s", ["a b c d e f"]),
        ("q", ["a", ""]),
    ],
)
def test_bleu_and_chrf_equal_sacrebleu_where_hardly_anything_is_counted(said: str, gold: list[str]) -> None:
    found = ours([(said, gold)])
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu([said], [[one] for one in gold]).score / 100)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf([said], [[one] for one in gold]).score / 100)


def test_a_replicate_is_the_same_rows_written_so_often() -> None:
    rows = made(ENGLISH, " ", seed=9, references=2)
    single = [writing.row(tuple(gold), said) for said, gold in rows]
    columns = list(Counts.of(single).columns)
    table = np.array([[row[column] for row in single] for column in columns])
    often = np.random.default_rng(0).poisson(1, (len(rows), 5))
    drawn = writing.metrics(Counts(columns, table @ often))
    for replicate in range(5):
        copies = [row for row, times in zip(rows, often[:, replicate], strict=True) for _ in range(times)]
        said, references = transposed(copies)
        assert drawn["bleu"][replicate] == pytest.approx(sacrebleu.corpus_bleu(said, references).score / 100)
        assert drawn["chrf"][replicate] == pytest.approx(sacrebleu.corpus_chrf(said, references).score / 100)


def test_words_of_bleu_equal_sacrebleu_for_every_character() -> None:
    latin, chinese = Tokenizer13a(), TokenizerZh()
    edges = {ord(edge[0]) + step for pair in _UCODE_RANGES for edge in pair for step in (-1, 0, 1)}
    codes = edges | {*range(0x200), *range(0x200, 0xD800, 13), *range(0x20000, 0x21000, 99)}
    for text in (f"x{chr(code)}y" for code in codes):
        assert bleu_words(text, "latin") == latin(text.rstrip()).split()
        assert bleu_words(text, "chinese") == chinese(text.rstrip()).split()
    around = [f"{left}{sign}{right}" for left in "a1 " for sign in ".,-" for right in "a1 "]
    for text in (*around, "a-\nb\nc <skipped> 3-4, .5 6. &lt;b&gt; ", "&quot;3,4&quot; x.y"):
        assert bleu_words(text, "latin") == latin(text.rstrip()).split()


@pytest.mark.parametrize("seed", range(6))
def test_rouge_equals_rouge_score(seed: int) -> None:
    rows = made(ENGLISH, " ", seed=seed, references=1 + seed % 3)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    theirs = [scorer.score_multi(gold, said) for said, gold in rows]
    found = ours(rows)
    for name, other in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")):
        assert found[name] == pytest.approx(np.mean([row[other].fmeasure for row in theirs]))


def test_rouge_counts_chinese_by_characters_and_other_alphabets_by_words() -> None:
    assert rouge_words("退款3.5元，Wi-Fi！", "chinese") == ["退", "款", "3", "5", "元", "wi", "fi"]
    found = ours([("我要退款", ["我想退款"])])
    assert found["rouge_1"] == found["rouge_l"] == pytest.approx(3 / 4)
    assert found["rouge_2"] == pytest.approx(1 / 3)
    assert ours([("кот сидит дома", ["Кот сидит тут."])])["rouge_1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(20))
def test_the_longest_common_order_is_that_of_a_search(seed: int) -> None:
    rng = random.Random(seed)
    first, second = ([rng.choice("abc") for _ in range(rng.randint(0, 8))] for _ in range(2))

    def within(short: tuple[str, ...], long: list[str]) -> bool:
        rest = iter(long)
        return all(word in rest for word in short)

    longest = max(n for n in range(len(first) + 1) if any(within(one, second) for one in combinations(first, n)))
    assert common_order(first, second) == longest


def test_lengths_and_repetition() -> None:
    found = ours([("a b a b a b a b", ["a b c d"]), ("e f", ["e f g h"])])
    assert found["mean_words"] == 5 and found["length_ratio"] == 10 / 8
    assert found["repeated_4grams"] == pytest.approx(3 / 5), "of five runs of four words two differ"
    assert found["distinct_1"] == 4 / 10 and found["distinct_2"] == 3 / 8


def test_the_script_is_that_of_most_letters() -> None:
    assert script_of(["请重启一下 App"]) == "chinese"
    assert script_of(["42"]) == script_of([""]) == script_of(["der Bär"]) == "latin"
    assert script_of(["кот"]) == script_of(["ねこがいる"]) == "other"


def test_no_row_gives_zeros() -> None:
    assert all(value == 0 for value in writing.metrics(Counts([], np.zeros(0))).values())
    assert bleu.bleu(Counts([], np.zeros((0, 3)))).tolist() == [0, 0, 0]
