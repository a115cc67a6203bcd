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

import json
import statistics

from benchmarks import machine
from benchmarks.driver import Driver, data_folder
from benchmarks.quality.trained import report_of

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
        lines = (data_folder() / TNEWS).read_text(encoding="utf-8").splitlines()
        task["descriptions"] = {row["label_desc"]: row["label_zh"] for row in map(json.loads, lines)}
    return made | {"task": {"kind": kind, **task}, "data": made["data"] | {"draw": draw}}


def cases(options):
    """Every draw of every data set."""
    for name in options.data:
        for draw in options.draws:
            yield {"data": name, "kind": options.kind, "draw": draw}


def measure(case):
    """Train once and probe once."""
    made = table_of(case["data"], case["kind"], case["draw"])
    watch = machine.Watch()
    report = report_of(made, folder=data_folder())
    test = report["splits"]["test"]
    metric = test["metrics"]["accuracy"]
    return {
        "accuracy": metric["value"],
        "interval": [metric["low"], metric["high"]],
        "tfidf": test["baselines"]["tfidf_logistic"]["metrics"]["accuracy"]["value"],
        "probe": round(_probe(made), 6),
        "rows": report["data"]["counts"]["train"],
        "test_rows": test["n"],
        "seconds": report["cost"]["seconds"],
        "processor_seconds": round(watch.processor(), 1),
        "other_cores": watch.other_cores(),
    }


def _probe(made):
    """Accuracy of logistic regression on frozen vectors of the same rows."""
    from sklearn.linear_model import LogisticRegression

    from tunesmith.models.sentence_vectors import sentence_vectors
    from tunesmith.run.config import parsed
    from tunesmith.run.prepared import prepared
    from tunesmith.tasks.label_matching import LabelMatching

    ready = prepared(parsed(made, folder=data_folder()))
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


def line(row):
    scores = f"{row['accuracy']:.3f}, probe {row['probe']:.3f}, TF-IDF {row['tfidf']:.3f}"
    return f"{row['data']} draw {row['draw']}: {scores}"


def flags(parser):
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--draws", nargs="+", type=int, default=DRAWS)
    parser.add_argument("--kind", default="label_matching", choices=("label_matching", "text_classification"))


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
