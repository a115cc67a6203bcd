"""Few labelled rows: label matching against a probe on frozen embeddings and TF-IDF, on the same draws and test rows.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=1
    python -m benchmarks.quality.few_shot                              # all data sets, five draws each
    python -m benchmarks.quality.few_shot --data banking77 --draws 0 1
    python -m benchmarks.quality.few_shot --table                      # the newest rows again

Each draw is one process: an ordinary run of `tunesmith train --shots` (of fewclue the official draws, whose dev rows
are left aside), judged on the whole test file, with the TF-IDF baseline of its report. The probe is scikit-learn's
logistic regression (C = 10) on the vectors that the untrained backbone gives the same rows. `--kind
text_classification` measures the ordinary classifier in the same way.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine, rounds

LOG = Path(__file__).with_suffix(".jsonl")
DRAWS = [0, 1, 2, 3, 4]
CHINESE = {"template": "这是一条{}新闻", "prefix": "query: "}


def _official(task):
    return [{"train": f"fewclue/{task}/train_{draw}.json"} for draw in DRAWS]


DATA = {
    "banking77": {
        "data": {"train": "banking77/train.csv", "test": "banking77/test.csv", "shots": 8},
        "train": {"length": "6 epochs"},
    },
    "eprstmt": {
        "backbone": "starter:multilingual",
        "data": {"draws": _official("eprstmt"), "test": "fewclue/eprstmt/test_public.json"},
        "task": {"descriptions": {"Negative": "很差，不满意", "Positive": "很好，满意"}, "prefix": "query: "},
        "train": {"length": "5 epochs", "learning_rate": 2e-5},
    },
    "tnews": {
        "backbone": "starter:multilingual",
        "data": {"draws": _official("tnews"), "test": "fewclue/tnews/test_public.json", "label": "label_desc"},
        "task": CHINESE,
        "train": {"length": "6 epochs", "learning_rate": 5e-5},
    },
}
TNEWS = "fewclue/tnews/label_index2en2zh.json"


def table_of(name, kind, draw):
    """The configuration of a run, as TOML has it."""
    made = json.loads(json.dumps(DATA[name]))
    matching = made.pop("task", {})
    task = matching if kind == "label_matching" else {}
    if name == "tnews" and kind == "label_matching":
        lines = (Path(os.environ["TUNESMITH_DATA"]) / TNEWS).read_text(encoding="utf-8").splitlines()
        task["descriptions"] = {row["label_desc"]: row["label_zh"] for row in map(json.loads, lines)}
    return made | {"task": {"kind": kind, **task}, "data": made["data"] | {"draw": draw}}


def one(options):
    """Train once, probe once, and hand the row over."""
    from tunesmith.run.config import parsed
    from tunesmith.run.folder import opened, read_json
    from tunesmith.run.train import run

    name, kind, draw = json.loads(options.one)
    config = parsed(table_of(name, kind, draw), folder=Path(os.environ["TUNESMITH_DATA"]))
    watch = machine.Watch()
    with tempfile.TemporaryDirectory() as scratch:
        folder = opened(Path(scratch) / "run", resume=False)
        for _ in run(config, folder, origins={}):
            pass
        report = read_json(folder.report)
    test = report["splits"]["test"]
    metric = test["metrics"]["accuracy"]
    rounds.hand_over(
        {
            "accuracy": metric["value"],
            "interval": [metric["low"], metric["high"]],
            "tfidf": test["baselines"]["tfidf_logistic"]["metrics"]["accuracy"]["value"],
            "probe": round(_probe(config), 6),
            "rows": report["data"]["counts"]["train"],
            "test_rows": test["n"],
            "seconds": report["cost"]["seconds"],
            "processor_seconds": round(watch.processor(), 1),
            "other_cores": watch.other_cores(),
        }
        | machine.facts()
    )


def _probe(config):
    """Accuracy of logistic regression on frozen vectors of the same rows."""
    from sklearn.linear_model import LogisticRegression

    from tunesmith.models.sentence_vectors import sentence_vectors
    from tunesmith.run.prepared import prepared
    from tunesmith.tasks.label_matching import LabelMatching

    ready = prepared(config)
    reader = LabelMatching(labels=list(ready.task.label_names), prefix=getattr(ready.task, "prefix", ""))
    vectors, golds = [], []
    for rows in (ready.data.train, ready.data.test):
        windows = reader.encode(rows, ready.tokenizer)
        assert len(windows) == len(rows), "a text is longer than the window"
        vectors.append(sentence_vectors(ready.backbone, windows))
        golds.append([ready.task.asked(row).gold for row in rows])
    model = LogisticRegression(C=10, max_iter=1000).fit(vectors[0], golds[0])
    return model.score(vectors[1], golds[1])


def table(rows):
    """A line for each data set and kind of task: means and ranges over draws."""
    newest = {(row["data"], row["kind"], row["draw"]): row for row in rows}
    groups = {}
    for (data, kind, _), row in newest.items():
        groups.setdefault((data, kind), []).append(row)
    lines = [
        "| data | rows | task | accuracy ± deviation [range] (draws) | minus probe | minus TF-IDF "
        "| probe on frozen vectors | TF-IDF | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (data, kind), found in groups.items():
        own, probe, tfidf = ([row[key] for row in found] for key in ("accuracy", "probe", "tfidf"))
        gaps = [f"{statistics.mean(own) - statistics.mean(other):+.3f}" for other in (probe, tfidf)]
        seconds = statistics.median(row["seconds"] for row in found)
        cells = [data, found[0]["rows"], kind, _spread(own), *gaps, _spread(probe), _spread(tfidf), f"{seconds:.0f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _spread(values):
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{deviation} [{min(values):.3f}, {max(values):.3f}] ({len(values)})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--draws", nargs="+", type=int, default=DRAWS)
    parser.add_argument("--kind", default="label_matching", choices=("label_matching", "text_classification"))
    parser.add_argument("--table", action="store_true", help="print the newest rows again")
    parser.add_argument("--out", type=Path, default=LOG, help="where rows are appended")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options)
        return
    if not options.table:
        if "TUNESMITH_DATA" not in os.environ:
            sys.exit("name the folder of the data sets with TUNESMITH_DATA")
        started = time.strftime("%Y-%m-%dT%H:%M:%S")
        for name in options.data:
            for draw in options.draws:
                row = {"run": started, "data": name, "kind": options.kind, "draw": draw}
                wanted = json.dumps([name, options.kind, draw])
                row |= rounds.child(["benchmarks.quality.few_shot", "--one", wanted])
                rounds.append(options.out, row)
                print(f"{name} draw {draw}: {row['accuracy']:.3f}, probe {row['probe']:.3f}, TF-IDF {row['tfidf']:.3f}")
    print(table(rounds.read(options.out)))


if __name__ == "__main__":
    main()
