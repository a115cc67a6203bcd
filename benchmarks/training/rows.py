"""The three data sets as neutral rows, so that no variant reads a file its own way.

    ner       conll2003   words and IOB2 tags           eng.train, held out eng.testa
    intents   banking77   a text and one of 77 intents  train.csv, held out test.csv
    pairs     stsb        two texts and a score         stsb-en-train.csv, held out stsb-en-dev.csv

Scores are divided by 5: `run_glue` would give its peer the raw 0 to 5, ours scales them to 0..1 itself, and an equal
scale is what makes equal rates comparable. Samples are drawn with a fixed seed: all rounds train on the same rows.
"""

import csv
import json
import os
import random
from dataclasses import dataclass
from pathlib import Path

TASKS = ("ner", "intents", "pairs")
TAGS = ("O", *(f"{prefix}-{kind}" for kind in ("LOC", "MISC", "ORG", "PER") for prefix in "BI"))


@dataclass(frozen=True)
class Row:
    """A text (for ner its words joined by blanks) with its gold: tags, an intent or a score."""

    text: str
    gold: tuple[str, ...] | str | float
    words: tuple[str, ...] | None = None
    pair: str | None = None


@dataclass(frozen=True)
class Data:
    """Rows to learn from, rows to score, and the tags or intents; no labels where the gold is a score."""

    train: list[Row]
    held: list[Row]
    labels: tuple[str, ...]


def load(task, train, held):
    """`train` and `held` random rows of a task, from the folder that TUNESMITH_DATA names."""
    match task:
        case "ner":
            return Data(drawn(sentences("eng.train"), train), drawn(sentences("eng.testa"), held), TAGS)
        case "intents":
            labels = tuple(json.loads((_folder("banking77") / "categories.json").read_text(encoding="utf-8")))
            return Data(drawn(_intents("train.csv"), train), drawn(_intents("test.csv"), held), labels)
        case "pairs":
            return Data(drawn(_pairs("stsb-en-train.csv"), train), drawn(_pairs("stsb-en-dev.csv"), held), ())


def drawn(rows, count):
    """`count` random rows, all of them shuffled where there are not so many."""
    return random.Random(0).sample(rows, min(count, len(rows)))


def sentences(split):
    """Every sentence of a conll2003 file."""
    found, words, tags = [], [], []
    for line in (*(_folder("conll2003") / split).read_text(encoding="utf-8").splitlines(), ""):
        parts = line.split()
        if parts and parts[0] != "-DOCSTART-":
            words.append(parts[0])
            tags.append(parts[-1])
        elif words:
            found.append(Row(" ".join(words), iob2(tags), words=tuple(words)))
            words, tags = [], []
    return found


def iob2(tags):
    """IOB1, as the files have it, to IOB2."""
    made, before = [], "O"
    for tag in tags:
        begins = tag != "O" and (before == "O" or before[2:] != tag[2:])
        made.append(f"B-{tag[2:]}" if begins else tag)
        before = tag
    return tuple(made)


def write(rows, file):
    """Sentences as JSON lines of `tokens` and `tags`, which both a peer's script and our readers understand."""
    lines = (json.dumps({"tokens": row.words, "tags": row.gold}) for row in rows)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _intents(file):
    with (_folder("banking77") / file).open(encoding="utf-8", newline="") as lines:
        return [Row(line["text"], line["category"]) for line in csv.DictReader(lines)]


def _pairs(file):
    with (_folder("stsb") / file).open(encoding="utf-8", newline="") as lines:
        return [Row(first, float(score) / 5, pair=second) for first, second, score in csv.reader(lines)]


def _folder(name):
    return Path(os.environ["TUNESMITH_DATA"]) / name
