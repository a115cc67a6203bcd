"""Ours: `tunesmith.tune.fit` over the task's own encoding, as `tunesmith train` runs it between two evaluations.

    tunesmith   precision = "auto": bf16 where this processor multiplies faster in it
    fp32        precision = "fp32"
    lora        method "lora" of the same rank, targets and rate as the peer's
    head_only   method "head_only", whose backbone does not learn

Answers are the likeliest tag of each word by itself, as the peer's are. The product decodes to the best legal sequence
of tags, which scores a little higher; that is no merit of the loop, so it is left out here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from benchmarks.training.measured import Measured, Stopwatch
from benchmarks.training.recipe import BATCH, CLIP, HEAD_RATE, LENGTH, LORA_ALPHA, LORA_RANK, LORA_TARGETS, rate

from tunesmith.core.batch import Encoding
from tunesmith.core.example import Example, Source, Span
from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS, TASKS
from tunesmith.core.task import Task
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models import loading
from tunesmith.models.checkpoint import locate
from tunesmith.models.inference import logits_of
from tunesmith.models.surgery import apply_method
from tunesmith.tune.data import TrainingData
from tunesmith.tune.events import Started, Stepped, TuneEvent
from tunesmith.tune.fit import Objective, fit
from tunesmith.tune.settings import TrainSettings

KINDS = {"ner": "token_classification", "intents": "text_classification", "pairs": "pair_matching"}


@dataclass(frozen=True)
class Prepared:
    """A task bound to its training rows, their windows, the model, and the loop, which has not begun."""

    kind: Task
    tokenizer: Tokenizer
    windows: list[Encoding]
    model: Model
    events: Iterator[TuneEvent]


def prepared(task, data, *, epochs, seed, precision="auto", method="full"):
    """Everything up to the first step on `data.train`."""
    train = [example(index, row) for index, row in enumerate(data.train)]
    checkpoint = locate("starter:english")
    tokenizer = Tokenizer(checkpoint.tokenizer_file, max_length=LENGTH)
    labels = {"labels": list(data.labels)} if task == "intents" else {}
    kind = TASKS.make({"kind": KINDS[task]} | labels, key="task").bound(train)
    windows = kind.encode(train, tokenizer)
    torch.manual_seed(seed)
    backbone = loading.load_backbone(checkpoint)  # by its module, so that an ablation can put another one there
    model = Model(backbone, kind.head(backbone))
    apply_method(model, METHODS.make(_low_rank() if method == "lora" else method, key="method"))
    settings = TrainSettings(
        length=f"{epochs} epochs",
        learning_rate=HEAD_RATE if method == "head_only" else rate(task, lora=method == "lora"),
        schedule="linear",
        warmup=0.0,
        weight_decay=0.0,
        clip=CLIP,
        batch_size=BATCH,
        precision=precision,
    )
    lessons = TrainingData(encodings=windows, ids=[item.id for item in train], seed=seed)
    return Prepared(kind, tokenizer, windows, model, fit(Objective(model, kind), lessons, settings=settings))


def measure(task, data, *, epochs, seed, precision="auto", method="full"):
    """Train on `data.train`, answer `data.held`."""
    ready = prepared(task, data, epochs=epochs, seed=seed, precision=precision, method=method)
    computed, watch = "fp32", Stopwatch()
    for event in ready.events:
        match event:
            case Started():
                computed = event.precision.precision
            case Stepped() if event.epoch == int(event.epoch):
                watch.lap()
    spent = watch.spent()
    held = [example(index, row) for index, row in enumerate(data.held)]
    windows = ready.kind.encode(held, ready.tokenizer)
    logits = [values for _, values in logits_of(ready.model, windows)]
    return Measured(
        spent=spent,
        lengths=[len(window) for window in ready.windows],
        precision=computed,
        answers=answers_of(task, held, windows, logits, ready.kind.label_names),
        whole=method == "full",
    )


def example(index, row):
    """A row as our readers give it."""
    source = Source("benchmark", index + 1)
    if row.words is None:
        return Example(id=str(index), text=row.text, pair=row.pair, gold=row.gold, source=source)
    borders, start = [], 0
    for word in row.words:
        borders.append((start, start + len(word)))
        start += len(word) + 1
    spans = []
    for (begin, end), tag in zip(borders, row.gold, strict=True):
        if tag.startswith("B-"):
            spans.append(Span(begin, end, tag[2:]))
        elif tag.startswith("I-"):
            spans[-1] = Span(spans[-1].start, end, tag[2:])
    return Example(id=str(index), text=row.text, words=tuple(borders), gold=tuple(spans), source=source)


def answers_of(task, held, windows, logits, labels):
    """The likeliest tag of every word, the likeliest intent, or the score, for each held-out row."""
    if task == "ner":
        answers = [["O"] * len(item.words) for item in held]
        for window, values in zip(windows, logits, strict=True):
            for word, tag in zip(window.units, values.argmax(-1).tolist(), strict=True):
                answers[window.example][word] = labels[tag]
        return answers
    rows = torch.cat(logits)
    return [labels[index] for index in rows.argmax(-1)] if task == "intents" else rows[:, 0].tolist()


def _low_rank():
    return {"kind": "lora", "rank": LORA_RANK, "alpha": float(LORA_ALPHA), "targets": list(LORA_TARGETS)}
