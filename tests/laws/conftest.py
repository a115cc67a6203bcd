"""What the laws are tried on: for each kind of task a few cases, each a task in one of its forms with examples.

A new kind of task adds a line to `MADE`; kinds of methods and regularizers are found by themselves.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from tunesmith.core.batch import Batch, Encoding, collate
from tunesmith.core.conversation import Message, Role
from tunesmith.core.example import Example, Gold, LabelAndSpans, Source, Span
from tunesmith.core.model import Model
from tunesmith.core.rooms import REGULARIZERS, TASKS
from tunesmith.core.task import LabellingTask, Task, WritingTask
from tunesmith.core.tokenizer import Tokenizer

WORDS = [
    *("the", "card", "was", "lost", "please", "help", "not", "good", "bad", "Anna", "visited", "Rome", "iPhone12"),
    *("张三", "北京", "工作", "👍🏽", "👨\u200d👩\u200d👧", "café", "naïve", "e\u0301tude", "नमस्ते", "мама", "ﬁ", "Ⅷ"),
    *("$9.50", "U.N.", "[SEP]", "，。", "x"),
]
BLANKS = (" ", " ", " ", "  ", "\t", "\n", "\u3000", "\u00a0")


def example(draw: random.Random, number: int, gold: Gold, *, pair: bool = False, longest: int = 9) -> Example:
    return Example(
        id=f"row:{number}",
        text=running_text(draw, longest)[0],
        pair=running_text(draw, longest)[0] if pair else None,
        gold=gold,
        source=Source("law", number + 1),
        weight=draw.choice((1.0, 1.0, 0.5, 2.0)),
    )


def running_text(draw: random.Random, longest: int) -> tuple[str, list[tuple[int, int]]]:
    """Words joined by blanks of every kind, maybe ending in one, and where the words lie."""
    text, words = "", []
    for _ in range(draw.randint(1, longest)):
        word = draw.choice(WORDS)
        words.append((len(text), len(text) + len(word)))
        text += word + draw.choice(BLANKS)
    return (text if draw.random() < 0.3 else text.rstrip()), words


def one_label(draw: random.Random, count: int) -> list[Example]:
    return [example(draw, number, draw.choice("abc") if number > 2 else "abc"[number]) for number in range(count)]


def long_texts(draw: random.Random, count: int) -> list[Example]:
    return [example(draw, number, "ab"[number % 2], longest=90) for number in range(count)]


def several_labels(draw: random.Random, count: int) -> list[Example]:
    sets = [tuple(label for label in "abcd" if draw.random() < 0.4) for _ in range(count - 1)]
    return [example(draw, number, labels) for number, labels in enumerate([("a", "b", "c", "d"), *sets])]


PATHS = ("a/x", "a/y/1", "a/y/2", "a", "b/z", "c")
"""A tree in which rows end at a node with others below it, and at the top"""


def paths(draw: random.Random, count: int) -> list[Example]:
    return [example(draw, number, draw.choice(PATHS) if number > 5 else PATHS[number]) for number in range(count)]


def pairs(draw: random.Random, count: int) -> list[Example]:
    return [example(draw, number, ("yes", "no")[number % 2], pair=True, longest=30) for number in range(count)]


def scored_pairs(draw: random.Random, count: int) -> list[Example]:
    return [example(draw, number, number * 0.25 - 1.0, pair=True) for number in range(count)]


def documents(draw: random.Random, count: int) -> list[Example]:
    """Questions with documents, some of which answer several questions, and some questions that several answer."""
    made = pairs(draw, count)
    rows = [replace(row, gold=None, negatives=(made[number - 1].text,)) for number, row in enumerate(made)]
    rows[1], rows[3] = replace(rows[1], pair=rows[0].pair), replace(rows[3], text=rows[2].text)
    return rows


def scored_texts(draw: random.Random, count: int) -> list[Example]:
    return [example(draw, number, number * 0.25 - 1.0) for number in range(count)]


def scored_long_texts(draw: random.Random, count: int) -> list[Example]:
    return [example(draw, number, number * 2.5, longest=90) for number in range(count)]


def entities(draw: random.Random, count: int) -> list[Example]:
    made = []
    for number in range(count):
        text, words = running_text(draw, 40 if number % 5 == 0 else 9)
        spans, free = [], 0
        while free < len(words):
            last = min(free + draw.randint(1, 3), len(words))
            if number == 0 or draw.random() < 0.4:
                spans.append(Span(words[free][0], words[last - 1][1], draw.choice(("PER", "LOC"))))
            free = last
        kept = tuple(words) if number % 2 else None
        source = Source("law", number + 1)
        made.append(Example(id=f"row:{number}", text=text, gold=tuple(spans), words=kept, source=source))
    return made


def labelled_entities(draw: random.Random, count: int) -> list[Example]:
    """Texts with entities and a label, some longer than a window."""
    found = []
    for number, row in enumerate(entities(draw, count)):
        spans = tuple(item for item in row.gold if isinstance(item, Span)) if isinstance(row.gold, tuple) else ()
        weight = draw.choice((1.0, 0.5, 2.0))
        found.append(replace(row, gold=LabelAndSpans("abc"[number % 3], spans), weight=weight))
    return found


def questions(draw: random.Random, count: int, *, lacking: bool = False, longest: int = 12) -> list[Example]:
    made = []
    for number in range(count):
        text, words = running_text(draw, longest * 8 if number % 4 == 0 else longest)
        first = draw.randrange(len(words))
        last = min(first + draw.randint(0, 3), len(words) - 1)
        answer = (Span(words[first][0], words[last][1], "answer"),)
        made.append(
            Example(
                id=f"row:{number}",
                text=text,
                pair=running_text(draw, 60 if number == 5 else 7)[0],
                gold=() if lacking and number % 3 == 1 else answer,
                source=Source("law", number + 1),
                weight=draw.choice((1.0, 0.5, 2.0)),
            )
        )
    return made


def questions_without(draw: random.Random, count: int) -> list[Example]:
    return questions(draw, count, lacking=True)


def written(draw: random.Random, count: int) -> list[Example]:
    return [example(draw, number, f"{running_text(draw, 6)[0].strip()} {number}") for number in range(count)]


def talks(draw: random.Random, count: int) -> list[Example]:
    """Conversations of up to three exchanges, some longer than a window."""

    def said(role: Role) -> Message:
        return Message(role, running_text(draw, 9)[0] + "!")

    return [
        replace(row, turns=tuple(said(role) for _ in range(number % 4) for role in ("user", "assistant")))
        for number, row in enumerate(written(draw, count))
    ]


def cloze_pairs(draw: random.Random, count: int) -> list[Example]:
    return [example(draw, number, ("yes", "no")[number % 2], pair=True) for number in range(count)]


WORD_IDS: dict[str, object] = {"template": "{text} it was [blank].", "word_ids": [[[41]], [[42]], [[43], [44]]]}
"""As read from no tokenizer: laws hold for whichever ids a backbone calls the words"""
Maker = Callable[[random.Random, int], list[Example]]
MADE: dict[str, list[tuple[str, Maker, dict[str, object]]]] = {
    "text_classification": [
        ("one label", one_label, {}),
        ("focal and balanced", one_label, {"focal_gamma": 2.0, "class_weights": "balanced"}),
        ("long texts", long_texts, {"stride": 10}),
        ("several labels", several_labels, {"multi_label": True}),
        ("several labels, balanced", several_labels, {"class_weights": "balanced", "focal_gamma": 1.0}),
    ],
    "hierarchical_classification": [
        ("levels", paths, {}),
        ("one level above all, balanced", paths, {"upper_levels": 3.0, "class_weights": "balanced"}),
        ("long texts", paths, {"stride": 10, "max_length": 32, "threshold": 0.6, "upper_levels": 1.0}),
    ],
    "label_matching": [
        ("names", one_label, {}),
        ("long texts, described", long_texts, {"descriptions": {"a": "a card"}, "prefix": "query: ", "stride": 10}),
    ],
    "cloze_classification": [
        ("words of several tokens", one_label, {**WORD_IDS, "word_ids": [[[41]], [[42, 43]], [[42, 44, 43], [45]]]}),
        ("demonstrations", one_label, WORD_IDS | {"demonstrations": 2, "several_words": "mean"}),
        (
            "pairs",
            cloze_pairs,
            {"template": "{pair} ? [blank] , {text}", "word_ids": [[[41]], [[42]]], "priors": [-1.0, -0.5]},
        ),
    ],
    "text_regression": [
        ("scores", scored_texts, {}),
        ("long texts", scored_long_texts, {"stride": 10}),
    ],
    "pair_matching": [
        ("classes", pairs, {}),
        ("scores", scored_pairs, {}),
        ("symmetric", scored_pairs, {"symmetric": True}),
    ],
    "retrieval": [
        ("contrastive", documents, {}),
        ("symmetric", documents, {"symmetric": True, "pooling": "cls", "temperature": 0.2}),
        ("cosine", scored_pairs, {"objective": "cosine"}),
    ],
    "token_classification": [
        ("BIO", entities, {}),
        ("BIOES", entities, {"scheme": "BIOES", "class_weights": "balanced"}),
        ("crf", entities, {"crf": True}),
    ],
    "joint_classification": [
        ("BIO", labelled_entities, {}),
        ("windows", labelled_entities, {"max_length": 16, "stride": 5, "label_share": 0.3, "scheme": "BIOES"}),
        ("crf", labelled_entities, {"crf": True}),
    ],
    "generation": [
        ("answers", written, {}),
        ("conversations", talks, {"learn": "last", "system": "Be brief."}),
    ],
    "extractive_qa": [
        ("always an answer", questions, {"stride": 16}),
        ("perhaps none", questions_without, {"stride": 16, "max_length": 48}),
    ],
}


@dataclass(frozen=True)
class Case:
    """A kind of task in one of its forms."""

    kind: str
    make: Maker
    options: dict[str, object]

    def examples(self, *, seed: int = 0, count: int = 12) -> list[Example]:
        return self.make(random.Random(seed), count)

    def task(self, examples: Sequence[Example]) -> Task:
        return TASKS.make({"kind": self.kind, **self.options}, key="task").bound(examples)


CASES = [
    pytest.param(Case(kind, make, options), id=f"{kind}: {name}")
    for kind, forms in MADE.items()
    for name, make, options in forms
]


LABELLING = [case for case in CASES if issubclass(TASKS.component(case.values[0].kind), LabellingTask)]  # type: ignore[union-attr]
WITHOUT_CLASSES = (
    *("text_regression: scores", "text_regression: long texts", "pair_matching: scores", "pair_matching: symmetric"),
    *("retrieval: contrastive", "retrieval: symmetric", "retrieval: cosine"),
)
REFUSED = {("label_smoothing", case) for case in WITHOUT_CLASSES}
"""Regularizers that have no meaning for a case, and say so (tests/unit/tune/test_label_smoothing.py)."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One run of a law for each case or kind that it asks for by the name of its argument."""
    if {"case", "regularizer_kind"} <= set(metafunc.fixturenames):
        pairs = [(kind, case) for kind in REGULARIZERS.kinds for case in CASES if (kind, case.id) not in REFUSED]
        values = [pytest.param(kind, *case.values, id=f"{kind}, {case.id}") for kind, case in pairs]
        metafunc.parametrize(("regularizer_kind", "case"), values)
        return
    found: dict[str, Sequence[object]] = {
        "case": CASES,
        "labelling": LABELLING,
        "regularizer_kind": REGULARIZERS.kinds,
    }
    for name, values in found.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, values)


@pytest.fixture(scope="session")
def tried_kinds() -> set[str]:
    """The kinds of task that have cases."""
    return set(MADE)


@dataclass(frozen=True)
class Learnt:
    """A bound task, a model for it in evaluation mode, and windows to learn from."""

    task: Task
    model: Model
    encodings: list[Encoding]

    def batch(self, order: Sequence[int]) -> Batch:
        chosen = [self.encodings[index] for index in order]
        return collate(chosen, [f"row:{encoding.example}" for encoding in chosen])

    def loss(self, batch: Batch) -> Tensor:
        return self.task.loss(self.model(batch), batch, head=self.model.head)


@pytest.fixture
def learnt(
    tiny_model: Callable[..., Model], tiny_tokenizer: Tokenizer, tiny_chat: Callable[..., tuple[Model, Tokenizer]]
) -> Callable[..., Learnt]:
    """`learnt(case, dropout=0.0)`: the tiny model under the case's head."""

    def make(case: Case, *, dropout: float = 0.0) -> Learnt:
        examples = case.examples()
        task = case.task(examples)
        if isinstance(task, WritingTask):
            model, tokenizer = tiny_chat(dropout=dropout)
            return Learnt(task, model.eval(), task.encode(examples, tokenizer))
        model = tiny_model(task, dropout=dropout).eval()
        with torch.no_grad():  # a fresh head answers nearly alike everywhere, which would hide a mistake
            for parameter in model.head.parameters():
                parameter.mul_(8.0)
        return Learnt(task, model, task.encode(examples, tiny_tokenizer))

    return make
