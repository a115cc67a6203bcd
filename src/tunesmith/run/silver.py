"""Silver pairs: training texts, paired as given and anew, scored by the backbone itself, learnt ahead of gold.

    silver score = a + b cos(v_1, v_2)       a, b by least squares on the training pairs, clipped to their range

A backbone that embeds sentences knows how alike two texts are, but only when it reads them apart. Learning to repeat
that while reading them together hands the knowledge over, and the few pairs with gold then correct it. Only texts of
the training rows are used.

When to use it: scores for pairs of texts, a sentence-embedding backbone, some thousand rows with gold.
Cost: one pass over every text, then one over every silver pair.
Source: Liu et al. 2022, Trans-Encoder (from an encoder of single texts to one of pairs); Thakur et al. 2021.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import load_file

from tunesmith.core.batch import Encoding
from tunesmith.core.errors import DataError, ModelFileError, Place
from tunesmith.core.example import Example, Source
from tunesmith.core.model import Model
from tunesmith.core.seed import derived
from tunesmith.models.sentence_vectors import sentence_vectors
from tunesmith.prepare.neighbours import neighbouring_pairs
from tunesmith.run.folder import RunFolder, write_lines
from tunesmith.run.prepared import Prepared
from tunesmith.tasks._scores import score_of
from tunesmith.tasks._sequence import text_room, window
from tunesmith.tasks._vector_windows import every_token
from tunesmith.tasks.pair_matching import PairMatching
from tunesmith.tune.durable import damage, write_folder

MOST_ROWS = 10_000
"""Training rows whose texts are compared with one another; of more, so many drawn at random."""
LEAST_AGREEMENT = 0.3
"""Spearman's correlation with the gold of training below which a backbone has nothing to hand over."""


@dataclass(frozen=True, slots=True)
class Silver:
    """Pairs with scores nobody gave, and how well such scores agree with the gold of training (Spearman)."""

    examples: tuple[Example, ...]
    agreement: float


def silver_pairs(ready: Prepared, count: int) -> Silver:
    """The pairs of the training rows and `count` new ones of their texts, or fewer where there are not so many.

    The task scores pairs: `prepared` lets no other have a `[silver]` section.

    Raises:
        DataError: the backbone's similarity does not follow the training scores.
    """
    from scipy.stats import spearmanr  # not at the top: half a second, and few runs have silver pairs

    task = ready.task
    assert isinstance(task, PairMatching) and task.score_range is not None
    given = [example for example in ready.data.train if example.gold is not None]
    rows = _drawn(given, seed=derived(ready.config.seed, "silver rows"))
    texts = sorted({text for example in rows for text in (example.text, example.pair or "")})
    number = {text: index for index, text in enumerate(texts)}
    vectors = sentence_vectors(ready.backbone, _windows(ready, texts))
    first, second = np.array([(number[example.text], number[example.pair or ""]) for example in rows]).T
    alike = np.einsum("nd,nd->n", vectors[first], vectors[second])
    gold = np.array([score_of(example) for example in rows])
    agreement = float(spearmanr(alike, gold).statistic) if np.ptp(alike) > 0 else 0.0
    if not agreement >= LEAST_AGREEMENT:
        raise DataError(
            f"the similarity that {ready.config.backbone} sees does not follow the training scores "
            f"(Spearman {agreement:.2f})",
            code="TS-RUN-013",
            place=Place(key="silver"),
            fix="leave it out, or choose a backbone that was trained to embed sentences.",
        )
    slope, start = np.polyfit(alike, gold, 1)
    low, high = task.score_range
    seed = derived(ready.config.seed, "silver") % 2**32
    known = [(number.get(example.text, -1), number.get(example.pair or "", -1)) for example in given]
    pairs = [pair for pair in known if min(pair) >= 0] + neighbouring_pairs(vectors, count, known=known, seed=seed)
    scores = [float(np.clip(start + slope * (vectors[a] @ vectors[b]), low, high)) for a, b in pairs]
    examples = (
        _example(index, texts[a], texts[b], round(score, 4))
        for index, ((a, b), score) in enumerate(zip(pairs, scores, strict=True))
    )
    return Silver(tuple(examples), agreement)


def write_silver(folder: RunFolder, examples: Sequence[Example]) -> None:
    """Keep the pairs where a person can look at them and a resumed run finds them again."""
    folder.path.mkdir(exist_ok=True)
    rows = ({"text": example.text, "pair": example.pair, "score": example.gold} for example in examples)
    write_lines(folder.pairs, (json.dumps(row, ensure_ascii=False) for row in rows))


def read_silver(folder: RunFolder) -> tuple[Example, ...]:
    """What `write_silver` wrote."""
    with folder.pairs.open(encoding="utf-8", newline="\n") as lines:
        rows = map(json.loads, lines)
        return tuple(_example(index, row["text"], row["pair"], row["score"]) for index, row in enumerate(rows))


def write_learnt(folder: RunFolder, model: Model) -> None:
    """Keep the model that learnt the pairs, whole: saved states of the next lesson leave out words it never meets.

    Raises:
        StorageError: the disk failed or is full.
    """
    write_folder(folder.learnt, tensors=dict(model.named_parameters()), record={"lesson": "silver pairs"})


def read_learnt(folder: RunFolder, model: Model) -> None:
    """Put what `write_learnt` kept into a model of the same make.

    Raises:
        ModelFileError: a byte of it is not as it was.
    """
    if fault := damage(folder.learnt):
        raise ModelFileError(
            f"what the silver pairs taught cannot be used: {fault}",
            code="TS-RUN-014",
            place=Place(file=str(folder.learnt)),
            fix="start a new run in another folder.",
        )
    tensors = load_file(folder.learnt / "tensors.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[name])


def _example(index: int, text: str, pair: str, score: float) -> Example:
    return Example(id=f"silver:{index + 1}", text=text, pair=pair, gold=score, source=Source("pairs.jsonl", index + 1))


def _drawn(rows: Sequence[Example], *, seed: int) -> list[Example]:
    draw = np.random.RandomState(seed % 2**32)
    return [rows[index] for index in sorted(draw.permutation(len(rows))[:MOST_ROWS].tolist())]


def _windows(ready: Prepared, texts: Sequence[str]) -> list[Encoding]:
    """Each text alone, its beginning where it is too long."""
    tokenizer, room = ready.tokenizer, text_room(ready.tokenizer, None)
    return [
        every_token(window(index, tokenizer.framed(ids[:room]), tokenizer, targets=None, weight=1.0))
        for index, ids in enumerate(tokenizer.texts(texts))
    ]
