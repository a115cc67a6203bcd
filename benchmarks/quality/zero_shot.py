"""No labelled row: label matching by names and by short descriptions, judged on whole test files.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=1
    python -m benchmarks.quality.zero_shot                      # all data sets
    python -m benchmarks.quality.zero_shot --data ag_news
    python -m benchmarks.quality.zero_shot --table              # the newest rows again

Each row is one process: an ordinary run of `tunesmith train --shots 0`, and the accuracy of its report with its 95 %
interval. Of clinc150 the texts without an intent of the 150 are left out (in-scope). `names` has nothing but the names
of the labels; `described` has the descriptions below, written without a look at the texts.
"""

import csv
import json
import tempfile
from pathlib import Path

from benchmarks import machine
from benchmarks.driver import Driver, data_folder
from benchmarks.quality.trained import report_of

NEWS = {
    "World": "world politics, war and international affairs",
    "Sports": "sports games and athletes",
    "Business": "business, companies and the economy",
    "Sci/Tech": "science, technology, computers and the internet",
}
ABOUT = "This text is about {}."
E5 = {"prefix": "query: "}
REVIEWS = {"Negative": "很差，不满意", "Positive": "很好，满意"}
CASES = {
    ("ag_news", "names"): {"template": ABOUT},
    ("ag_news", "described"): {"template": ABOUT, "descriptions": NEWS},
    ("clinc150", "names"): {},
    ("banking77", "names"): {},
    ("eprstmt", "described"): {"descriptions": REVIEWS, **E5},
    ("eprstmt", "described, no prefix"): {"descriptions": REVIEWS},
    ("tnews", "described"): {"template": "{}新闻", **E5},
    ("tnews", "described, no prefix"): {"template": "{}新闻"},
}
CHINESE = ("eprstmt", "tnews")


def rows_of(name, folder):
    """The test rows as (text, label) pairs, the names of the labels, and descriptions that the data set gives."""
    if name == "ag_news":
        kinds = (folder / "ag_news/classes.txt").read_text(encoding="utf-8").split()
        with (folder / "ag_news/test.csv").open(encoding="utf-8", newline="") as lines:
            rows = [(f"{title} {text}", kinds[int(index) - 1]) for index, title, text in csv.reader(lines)]
        return rows, kinds, {}
    if name == "clinc150":
        whole = json.loads((folder / "clinc150/data_full.json").read_text(encoding="utf-8"))
        return whole["test"], sorted({intent for _, intent in whole["train"]}), {}
    if name == "banking77":
        with (folder / "banking77/test.csv").open(encoding="utf-8", newline="") as lines:
            rows = [(row["text"], row["category"]) for row in csv.DictReader(lines)]
        return rows, sorted({label for _, label in rows}), {}
    lines = (folder / f"fewclue/{name}/test_public.json").read_text(encoding="utf-8").splitlines()
    key = "label_desc" if name == "tnews" else "label"
    rows = [(row["sentence"], row[key]) for row in map(json.loads, lines)]
    told = {}
    if name == "tnews":
        known = (folder / "fewclue/tnews/label_index2en2zh.json").read_text(encoding="utf-8").splitlines()
        told = {row["label_desc"]: row["label_zh"] for row in map(json.loads, known)}
    return rows, sorted({label for _, label in rows}), told


def cases(options):
    """Every way to describe the labels of every data set."""
    return [{"data": data, "case": case} for data, case in CASES if not options.data or data in options.data]


def measure(case):
    """Run once; what the report says of the test rows."""
    name = case["data"]
    rows, labels, told = rows_of(name, data_folder())
    task = {"kind": "label_matching", "labels": labels} | ({"descriptions": told} if told else {})
    task |= CASES[name, case["case"]]
    backbone = "starter:multilingual" if name in CHINESE else "starter:english"
    watch = machine.Watch()
    with tempfile.TemporaryDirectory() as scratch:
        lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows]
        (Path(scratch) / "test.jsonl").write_text("\n".join(lines), encoding="utf-8")
        made = {"backbone": backbone, "data": {"test": "test.jsonl", "shots": 0}, "task": task}
        test = report_of(made, folder=scratch)["splits"]["test"]
    metric = test["metrics"]["accuracy"]
    measured = {"accuracy": metric["value"], "interval": [metric["low"], metric["high"]], "test_rows": test["n"]}
    return measured | {
        "labels": len(labels),
        "processor_seconds": round(watch.processor(), 1),
        "other_cores": watch.other_cores(),
    }


def table(rows):
    """A line for each data set and way to describe."""
    newest = {(row["data"], row["case"]): row for row in rows}
    lines = ["| data | labels | test rows | descriptions | accuracy, 95 % interval |", "|---|---|---|---|---|"]
    for (data, case), row in newest.items():
        low, high = row["interval"]
        score = f"{row['accuracy']:.3f} [{low:.3f}, {high:.3f}]"
        lines.append(f"| {data} | {row['labels']} | {row['test_rows']} | {case} | {score} |")
    return "\n".join(lines)


def line(row):
    return f"{row['data']}, {row['case']}: {row['accuracy']:.3f}"


def flags(parser):
    parser.add_argument("--data", nargs="+", choices=sorted({data for data, _ in CASES}))


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
