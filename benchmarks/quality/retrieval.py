"""Search in real questions: before tuning, after tuning, and BM25, on the same questions and documents.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=1
    python -m benchmarks.quality.retrieval --seeds 0 1 2
    python -m benchmarks.quality.retrieval --seeds 0 --mined 1
    python -m benchmarks.quality.retrieval --table             # all rows again

The documents are ten training questions of each of the 77 intents of banking77; those that answer a question are the
ten of its intent. Learnt are 3,000 other training questions, each with one document of its intent by chance; 150 more
choose the best step, and 500 questions of the test file are asked. Each seed is one ordinary run.
"""

import csv
import json
import random
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.driver import Driver, data_folder
from benchmarks.quality.trained import report_of

SHOWN = ("ndcg_at_10", "mrr_at_10", "recall_at_10")
TRAIN, DEV, TEST, DOCUMENTS = 3000, 150, 500, 10


def questions(file):
    """(text, intent) of every row."""
    with file.open(newline="", encoding="utf-8") as rows:
        return [(row["text"].strip(), row["category"]) for row in csv.DictReader(rows)]


def write_files(data, folder):
    """train, dev and test rows of question and document."""
    draw = random.Random(0)
    known = questions(data / "train.csv")
    by_intent = defaultdict(list)
    for text, intent in dict(known).items():
        by_intent[intent].append(text)
    documents = {intent: draw.sample(texts, DOCUMENTS) for intent, texts in by_intent.items()}
    rest = [(text, intent) for intent, texts in by_intent.items() for text in texts if text not in documents[intent]]
    draw.shuffle(rest)
    splits = {
        "train": [(text, [draw.choice(documents[intent])]) for text, intent in rest[:TRAIN]],
        "dev": [(text, documents[intent]) for text, intent in rest[TRAIN : TRAIN + DEV]],
        "test": [(text, documents[intent]) for text, intent in draw.sample(questions(data / "test.csv"), TEST)],
    }
    for name, rows in splits.items():
        pairs = [json.dumps({"text": text, "pair": document}) for text, found in rows for document in found]
        (folder / f"{name}.jsonl").write_text("\n".join(pairs) + "\n", encoding="utf-8")


def cases(options):
    """Each seed."""
    return [{"data": "banking77", "seed": seed, "mined": options.mined} for seed in options.seeds]


def measure(case):
    """One run."""
    with tempfile.TemporaryDirectory() as scratch:
        write_files(data_folder() / case["data"], Path(scratch))
        made = {
            "seed": case["seed"],
            "data": {name: f"{name}.jsonl" for name in ("train", "dev", "test")},
            "task": {"kind": "retrieval", "mined": case["mined"]},
            "train": {"length": "1 epochs", "batch_size": 32},
        }
        report = report_of(made, folder=scratch)
    test = report["splits"]["test"]
    return {"n": test["n"], "metrics": test["metrics"], "baselines": test["baselines"], "cost": report["cost"]}


def table(rows):
    """The median and range over seeds of each variant, with what it stands beside, in Markdown."""
    found = defaultdict(list)
    for row in rows:
        found[f"{row['mined']} mined" if row["mined"] else "as it is"].append(row)
    lines = [f"| variant | {' | '.join(SHOWN)} |", f"|---|{'---|' * len(SHOWN)}"]
    (first, *_), *_ = found.values()
    for name in ("random", "bm25", "untuned"):
        metrics = first["baselines"][name]["metrics"]
        cells = (f"{metrics[m]['value']:.3f} [{metrics[m]['low']:.3f}, {metrics[m]['high']:.3f}]" for m in SHOWN)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for variant, rows in found.items():
        values = {m: sorted(row["metrics"][m]["value"] for row in rows) for m in SHOWN}
        cells = (f"{statistics.median(v):.3f} [{v[0]:.3f}, {v[-1]:.3f}]" for v in values.values())
        seeds = " ".join(str(row["seed"]) for row in rows)
        lines.append(f"| tuned, {variant}; seed {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines)


def line(row):
    return f"seed {row['seed']}: " + ", ".join(f"{name} {row['metrics'][name]['value']:.3f}" for name in SHOWN)


def flags(parser):
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--mined", type=int, default=0, help="hard negatives for each question, found by the model")


DRIVER = Driver(
    module="benchmarks.quality.retrieval",
    about=__doc__,
    log=Path(__file__).with_suffix(".jsonl"),
    cases=cases,
    measure=measure,
    line=line,
    table=table,
    flags=flags,
)

if __name__ == "__main__":
    DRIVER.main()
