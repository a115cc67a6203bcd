"""Search in real questions: before tuning, after tuning, and BM25, on the same questions and documents.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=1
    python -m benchmarks.quality.retrieval --seeds 0 1 2
    python -m benchmarks.quality.retrieval --seeds 0 --mined 1
    python -m benchmarks.quality.retrieval --seeds 0 --data stsb stsb_scores afqmc
    python -m benchmarks.quality.retrieval --table             # all rows again

banking77: the documents are ten training questions of each of its 77 intents; those that answer a question are the ten
of its intent. Learnt are 3,000 other training questions, each with one document of its intent by chance; 150 more
choose the best step, and 500 questions of the test file are asked.
stsb: a sentence is asked for the one that it was paired with; pairs with a score of 4 and more are relevant, and the
second sentences of all pairs are searched. stsb_scores: the same pairs by the cosine objective, judged by their scores.
afqmc: a question is asked for one that means the same (label 1), among the second questions of all pairs, of 3,000
rows of either file. Each seed is one ordinary run.
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


def banking77(data):
    """Training questions that are no documents, documents by intent, and test questions; questions are (text, intent).

    Every call gives the same, in the same order.
    """
    return _drawn(data, random.Random(0))


def _drawn(data, draw):
    known = questions(data / "train.csv")
    by_intent = defaultdict(list)
    for text, intent in dict(known).items():
        by_intent[intent].append(text)
    documents = {intent: draw.sample(texts, DOCUMENTS) for intent, texts in by_intent.items()}
    rest = [(text, intent) for intent, texts in by_intent.items() for text in texts if text not in documents[intent]]
    draw.shuffle(rest)
    return rest, documents, questions(data / "test.csv")


def write_files(data, folder):
    """train, dev and test rows of question and document."""
    draw = random.Random(0)
    rest, documents, asked = _drawn(data, draw)
    splits = {
        "train": [(text, [draw.choice(documents[intent])]) for text, intent in rest[:TRAIN]],
        "dev": [(text, documents[intent]) for text, intent in rest[TRAIN : TRAIN + DEV]],
        "test": [(text, documents[intent]) for text, intent in draw.sample(asked, TEST)],
    }
    for name, rows in splits.items():
        pairs = [json.dumps({"text": text, "pair": document}) for text, found in rows for document in found]
        (folder / f"{name}.jsonl").write_text("\n".join(pairs) + "\n", encoding="utf-8")


STSB = {name: f"stsb/stsb-en-{name}.csv" for name in ("train", "dev", "test")} | {"score": "3"}
AFQMC = {"train": "afqmc/train.tsv", "test": "afqmc/dev.tsv", "split": {"dev": 0.1}, "label": "3", "limit": 3000}
PREFIXES = {"query_prefix": "query: ", "document_prefix": "query: "}
RUNS = {
    "banking77": {"data": {name: f"{name}.jsonl" for name in ("train", "dev", "test")}},
    "stsb": {"data": STSB, "task": {"relevant_above": 3.999}},
    "stsb_scores": {"data": STSB, "task": {"objective": "cosine"}},
    "afqmc": {"data": AFQMC, "task": PREFIXES, "backbone": "starter:multilingual"},
}
"""What the run of each data set has beside what all have; paths of banking77 are those that `write_files` makes."""


def cases(options):
    """Each data set with each seed."""
    return [{"data": data, "seed": seed, "mined": options.mined} for data in options.data for seed in options.seeds]


def made(case):
    """The configuration of a case."""
    own = RUNS[case["data"]]
    task = {"kind": "retrieval", "mined": case["mined"]} | own.get("task", {})
    train = {"length": "1 epochs", "batch_size": 32} | own.get("train", {})
    return {"seed": case["seed"]} | own | {"task": task, "train": train}


def measure(case):
    """One run."""
    if case["data"] != "banking77":
        report = report_of(made(case), folder=data_folder())
    else:
        with tempfile.TemporaryDirectory() as scratch:
            write_files(data_folder() / "banking77", Path(scratch))
            report = report_of(made(case), folder=scratch)
    test = report["splits"]["test"]
    return {"n": test["n"], "metrics": test["metrics"], "baselines": test["baselines"], "cost": report["cost"]}


def table(rows):
    """For each data set the median and range over seeds of each variant, with what it stands beside, in Markdown."""
    by_data = defaultdict(list)
    for row in rows:
        by_data[row["data"]].append(row)
    return "\n\n".join(_table(data, own) for data, own in by_data.items())


def _table(data, rows):
    found = defaultdict(list)
    for row in rows:
        found[f"{row['mined']} mined" if row["mined"] else "as it is"].append(row)
    shown = [name for name in (*SHOWN, "spearman") if name in rows[0]["metrics"]]
    lines = [f"| {data}, {rows[0]['n']} rows of test | {' | '.join(shown)} |", f"|---|{'---|' * len(shown)}"]
    for name in ("random", "bm25", "tfidf_cosine", "untuned"):
        if name not in rows[0]["baselines"]:
            continue
        metrics = rows[0]["baselines"][name]["metrics"]
        cells = (f"{metrics[m]['value']:.3f} [{metrics[m]['low']:.3f}, {metrics[m]['high']:.3f}]" for m in shown)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for variant, own in found.items():
        values = {m: sorted(row["metrics"][m]["value"] for row in own) for m in shown}
        cells = (f"{statistics.median(v):.3f} [{v[0]:.3f}, {v[-1]:.3f}]" for v in values.values())
        if len(own) == 1:
            own_metrics = own[0]["metrics"]
            cells = (f"{m['value']:.3f} [{m['low']:.3f}, {m['high']:.3f}]" for m in map(own_metrics.get, shown))
        seeds = " ".join(str(row["seed"]) for row in own)
        lines.append(f"| tuned, {variant}; seed {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines)


def line(row):
    scored = [name for name in (*SHOWN, "spearman") if name in row["metrics"]]
    values = ", ".join(f"{name} {row['metrics'][name]['value']:.3f}" for name in scored)
    return f"{row['data']}, seed {row['seed']}: {values}"


def flags(parser):
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", nargs="+", default=["banking77"], choices=tuple(RUNS))
    parser.add_argument("--mined", type=int, default=0, help="hard negatives for each question, found by the model")


DRIVER = Driver(
    file=__file__,
    about=__doc__,
    cases=cases,
    measure=measure,
    line=line,
    table=table,
    flags=flags,
)

if __name__ == "__main__":
    DRIVER.main()
