"""Search in real questions: before tuning, after tuning, and BM25, on the same questions and documents.

    TUNESMITH_DATA=... python benchmarks/quality/retrieval.py --seeds 0 1 2
    TUNESMITH_DATA=... python benchmarks/quality/retrieval.py --seeds 0 --set task.mined=1

The documents are ten training questions of each of the 77 intents of banking77; those that answer a question are the
ten of its intent. Learnt are 3,000 other training questions, each with one document of its intent by chance; 150 more
choose the best step, and 500 questions of the test file are asked. Each seed is one `tunesmith train` and one row of
benchmarks/quality/retrieval.jsonl. `--table` prints all rows as a Markdown table.
"""

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROWS = Path(__file__).parent / "retrieval.jsonl"
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


def trained(data, seed, overrides):
    """One run, as a row."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_files(data, folder)
        config = folder / "config.toml"
        files = "".join(f'{name} = "{name}.jsonl"\n' for name in ("train", "dev", "test"))
        train = '[train]\nlength = "1 epochs"\nbatch_size = 32\n'
        config.write_text(f'seed = {seed}\n[data]\n{files}[task]\nkind = "retrieval"\n{train}', encoding="utf-8")
        command = [sys.executable, "-m", "tunesmith.cli.main", "train", str(config), "--out", str(folder / "run")]
        for override in overrides:
            command += ["--set", override]
        subprocess.run(command, check=True)
        report = json.loads((folder / "run" / "report.json").read_text(encoding="utf-8"))
    test = report["splits"]["test"]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return {
        "data": "banking77",
        "seed": seed,
        "overrides": overrides,
        "n": test["n"],
        "metrics": test["metrics"],
        "baselines": test["baselines"],
        "cost": report["cost"],
        "environment": report["environment"],
        "commit": commit,
    }


def table():
    """The median and range over seeds of each variant, with what it stands beside, in Markdown."""
    found = defaultdict(list)
    for line in ROWS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[", ".join(row["overrides"]) or "as it is"].append(row)
    print(f"| variant | {' | '.join(SHOWN)} |\n|---|{'---|' * len(SHOWN)}")
    (first, *_), *_ = found.values()
    for name in ("random", "bm25", "untuned"):
        metrics = first["baselines"][name]["metrics"]
        cells = (f"{metrics[m]['value']:.3f} [{metrics[m]['low']:.3f}, {metrics[m]['high']:.3f}]" for m in SHOWN)
        print(f"| {name} | {' | '.join(cells)} |")
    for variant, rows in found.items():
        values = {m: sorted(row["metrics"][m]["value"] for row in rows) for m in SHOWN}
        cells = (f"{statistics.median(v):.3f} [{v[0]:.3f}, {v[-1]:.3f}]" for v in values.values())
        seeds = " ".join(str(row["seed"]) for row in rows)
        print(f"| tuned, {variant}; seed {seeds} | {' | '.join(cells)} |")


def main():
    """Train, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        table()
        return
    for seed in options.seeds:
        row = trained(Path(os.environ["TUNESMITH_DATA"]) / "banking77", seed, options.overrides)
        with ROWS.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
        print(json.dumps({"seed": seed} | {name: row["metrics"][name] for name in SHOWN}), flush=True)


if __name__ == "__main__":
    main()
