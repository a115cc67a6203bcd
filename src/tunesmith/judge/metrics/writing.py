"""Written answers beside their references: words shared, n-grams shared, lengths, and whether they repeat themselves.

exact_match, token_f1                  as for short answers
rouge_1, rouge_2, rouge_l, chrf, bleu  as rouge_score and sacrebleu, on a scale from 0 to 1
mean_words, length_ratio               words (of BLEU) in an answer; words of all answers / of their nearest references
repeated_4grams                        share of the runs of four words that stood in the same answer before
perplexity                             exp of minus the mean log p of a token of the gold answers; lower is better
distinct_1, distinct_2                 share of different words and pairs of words, within an answer

References: Li et al. 2016, A Diversity-Promoting Objective Function (distinct-n); Welleck et al. 2020, Neural Text
Generation with Unlikelihood Training (seq-rep-4). The metrics over n-grams name theirs in their own files.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from tunesmith.judge.metrics import bleu, chrf, rouge
from tunesmith.judge.metrics.answer_words import exact_match, token_f1
from tunesmith.judge.metrics.counts import Column, Counts, Floats, ratio
from tunesmith.judge.metrics.tokens import bleu_words, rouge_words, script_of

_MEANS = ("rouge_l", "rouge_1", "rouge_2", "token_f1", "exact_match")


@lru_cache(maxsize=4096)  # a paired test asks again for what the scores asked for, and a row takes a millisecond
def row(references: tuple[str, ...], said: str) -> Mapping[Column, float]:
    """What one answer adds to the sums; there is at least one reference."""
    script = script_of(references)
    sums: dict[Column, float] = {
        ("rows", ""): 1.0,
        ("exact_match", ""): exact_match(references, said, script),
        ("token_f1", ""): token_f1(references, said, script),
    }
    sums |= rouge.row(rouge_words(said, script), [rouge_words(text, script) for text in references])
    sums |= bleu.row(bleu_words(said, script), [bleu_words(text, script) for text in references])
    return sums | chrf.row(said, references)


def likelihood_row(likelihood: tuple[float, int] | None) -> Mapping[Column, float]:
    """What the log p of a gold answer, a sum over its tokens, adds to the sums; nothing where nobody knows it."""
    if likelihood is None:
        return {}
    nats, tokens = likelihood
    return {("nats", ""): nats, ("likely_tokens", ""): float(tokens)}


def metrics(counts: Counts) -> dict[str, Floats]:
    """All metrics of written answers, each [...]."""
    rows, words = counts.total("rows"), counts.total("words")
    tokens = counts.total("likely_tokens")
    return {
        **{name: ratio(counts.total(name), rows) for name in _MEANS},
        "bleu": bleu.bleu(counts),
        "chrf": chrf.chrf(counts),
        "mean_words": ratio(words, rows),
        "length_ratio": ratio(words, counts.total("reference_words")),
        "repeated_4grams": ratio(counts.total("grams:4") - counts.total("distinct:4"), counts.total("grams:4")),
        "distinct_1": ratio(counts.total("distinct:1"), counts.total("grams:1")),
        "distinct_2": ratio(counts.total("distinct:2"), counts.total("grams:2")),
        **({"perplexity": np.exp(-ratio(counts.total("nats"), tokens))} if np.any(tokens) else {}),
    }
