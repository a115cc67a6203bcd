"""How well does a small causal model answer without training? Templates, calibrations and demonstrations on real rows.

    python -m benchmarks.quality.prompts                        # every case once; some 10 minutes on an idle core
    python -m benchmarks.quality.prompts --only "sst2, names"   # one of them
    python -m benchmarks.quality.prompts --backbone FOLDER      # another causal model

The data lie in $TUNESMITH_DATA. Every case reads evenly spaced rows of the test file; labels serve to score alone, but
for demonstrations. Intervals are Wilson's, 95 %.
"""

import argparse
import csv
import math
import os
from pathlib import Path
from typing import Any

import torch
from benchmarks.rounds import append

from tunesmith.core.example import Example, Source
from tunesmith.core.model import Model
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.checkpoint import locate
from tunesmith.models.inference import logits_of
from tunesmith.models.loading import load_backbone
from tunesmith.tasks._calibration import log_priors, premises
from tunesmith.tasks.cloze_classification import ClozeClassification

LOG = Path(__file__).with_suffix(".jsonl")
SST2 = {"0": "negative", "1": "positive"}
AG_NEWS = {"1": "World", "2": "Sports", "3": "Business", "4": "Sci/Tech"}
OPINION = {"negative": "terrible", "positive": "great"}
TOPICS = {
    "World": ["politics", "world affairs"],
    "Sports": "sports",
    "Business": "business",
    "Sci/Tech": ["technology", "science"],
}
FOUR = {"demonstrations": 4}
CASES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "sst2, names": ("sst2", 400, {}),
    "sst2, great": ("sst2", 400, {"template": "{text} All in all, it was [blank]", "verbalizer": OPINION}),
    "sst2, great.": ("sst2", 200, {"template": "{text} All in all, it was [blank].", "verbalizer": OPINION}),
    "sst2, great, 4 shown": (
        "sst2",
        200,
        {"template": "{text} All in all, it was [blank]", "verbalizer": OPINION} | FOUR,
    ),
    "ag_news, names": ("ag_news", 400, {}),
    "ag_news, topics": ("ag_news", 400, {"template": "{text}\nThis news is about [blank]", "verbalizer": TOPICS}),
    "ag_news, names, 4 shown": ("ag_news", 200, dict(FOUR)),
}
"""Data, rows, fields of the task"""


def rows(data: str, split: str, count: int) -> list[Example]:
    """Evenly spaced rows of a file."""
    folder = Path(os.environ["TUNESMITH_DATA"]) / data
    if data == "sst2":
        lines = (folder / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
        found = [(text, SST2[label]) for text, _, label in (line.rpartition("\t") for line in lines)]
    else:
        with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            found = [(f"{title}. {body}", AG_NEWS[label]) for label, title, body in csv.reader(file)]
    chosen = [found[index * len(found) // count] for index in range(count)]
    return [
        Example(id=str(n), text=text, gold=gold, source=Source(data, n)) for n, (text, gold) in enumerate(chosen, 1)
    ]


def interval(right: int, of: int) -> tuple[float, float]:
    """Wilson's, 95 %."""
    share, z = right / of, 1.96
    middle, half = share + z * z / 2 / of, z * math.sqrt(share * (1 - share) / of + z * z / 4 / of / of)
    return (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)


def measure(case: str, backbone: str) -> None:
    """One case under each calibration: the rows are answered once, priors are taken off afterwards."""
    data, count, fields = CASES[case]
    checkpoint = locate(backbone)
    model = load_backbone(checkpoint, dropout=0.0)
    tokenizer = Tokenizer(checkpoint.tokenizer_file, max_length=512, causal=True)
    train, test = rows(data, "train", 1000), rows(data, "test", count)
    task = ClozeClassification(calibration="none", **fields).bound(train).fitted(model, tokenizer, examples=train)
    answering = Model(model, task.head(model)).eval()
    windows = task.encode(test, tokenizer)
    scores = torch.stack([logits[0] for _, logits in logits_of(answering, windows)])
    gold = torch.tensor([task.label_names.index(str(example.gold)) for example in test])
    for kind in ("none", "contextual", "pmi", "batch"):
        priors = torch.zeros(len(task.label_names))
        if kind != "none":
            inputs = premises(kind, train, content_free=None, pairs=False)
            priors = torch.tensor(log_priors(answering, task.encode(inputs, tokenizer)))
        right = int(((scores - priors).argmax(-1) == gold).sum())
        low, high = interval(right, count)
        row = {
            "case": case,
            "calibration": kind,
            "accuracy": right / count,
            "low": round(low, 3),
            "high": round(high, 3),
        }
        row |= {"rows": count, "tokens": sum(map(len, windows)) // count, "backbone": backbone}
        append(LOG, row)
        print(f"{case:26} {kind:11} {right / count:.3f} [{low:.3f}, {high:.3f}]", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="starter:chat")
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    given = parser.parse_args()
    for case in given.only:
        measure(case, given.backbone)


if __name__ == "__main__":
    main()
