"""Fault 5: no baseline and no interval. What can be had without any model, on the sample's own test rows."""

import json
from pathlib import Path

from tunesmith.core.example import Example, Source, Span
from tunesmith.judge.baselines import baselines
from tunesmith.judge.intervals import Metric
from tunesmith.judge.scoring import score

SAMPLE = Path(__file__).parents[2] / "samples" / "support_en"
KINDS = {"token_classification": "span_f1", "text_classification": "accuracy"}


def rows(split: str, kind: str) -> list[Example]:
    """The messages of a split with the gold of a task: entities, or the intent."""
    found = []
    for number, line in enumerate((SAMPLE / f"{split}.jsonl").read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        spans = tuple(Span(**entity) for entity in row["entities"])
        gold = spans if kind == "token_classification" else row["label"]
        found.append(Example(id=row["id"], text=row["text"], gold=gold, source=Source(f"{split}.jsonl", number)))
    return found


def without_a_model(kind: str) -> dict[str, Metric]:
    """The main metric of every baseline with its 95 % interval."""
    answers = baselines(kind, rows("train", kind), rows("test", kind))
    return {name: score(said, kind=kind).metrics[KINDS[kind]] for name, said in answers.items()}


if __name__ == "__main__":
    for kind, metric in KINDS.items():
        print(f"{kind}, {metric} on {len(rows('test', kind))} test messages:")
        for name, value in without_a_model(kind).items():
            print(f"  {name:<16} {value}")
