"""Labels in two levels: does the tree help, against the same rows with flat labels? Two data sets that have one.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=1
    python -m benchmarks.quality.hierarchy                      # all of it, two seeds: about 40 minutes on an idle core
    python -m benchmarks.quality.hierarchy --data trec --seeds 0
    python -m benchmarks.quality.hierarchy --table              # the newest rows again

trec     questions by what they ask for: 6 classes, 50 below them (`NUM:date`); its own test file
airline  tweets by sentiment and, where negative, the reason (`negative/Late Flight`): 3 classes, 10 below one of them

A run trains once, either `text_classification` on whole labels ("flat") or `hierarchical_classification` with a loss
over all levels, the upper ones as heavy as the last ("tree") or a third of it ("tree/3"). Either gives one softmax over
the labels, so the answers of all are read off it in the same three ways: the likeliest label; the path with the highest
expected F1; and the same where a step must be at least as likely as not.
"""

import csv
import json
import tempfile
from pathlib import Path

from benchmarks.driver import Driver, data_folder
from benchmarks.quality.trained import finished

EPOCHS = 3
TREC, AIRLINE = "trec", "airline"
SEPARATORS = {TREC: ":", AIRLINE: "/"}
ROWS = {TREC: (1500, 200, 500), AIRLINE: (1000, 150, 600)}
"""Rows to learn from, for dev and for test, evenly spaced"""
LOSSES = {
    "flat": {"kind": "text_classification"},
    "tree": {"kind": "hierarchical_classification", "upper_levels": 1.0},
    "tree/3": {"kind": "hierarchical_classification", "upper_levels": 1 / 3},
}
DECODINGS = {"likeliest": None, "expected_f1": 0.0, "half_sure": 0.5}
"""The threshold of each; None takes the likeliest label whatever stands above it"""


def trec(folder):
    """Question and label of the training and of the test file."""
    for name in ("TREC.train", "TREC.test"):
        lines = (folder / "trec" / name).read_text(encoding="latin-1").splitlines()
        yield [(text, label) for label, _, text in (line.partition(" ") for line in lines)]


def airline(folder):
    """Tweets with sentiment and reason, every third for test; negative ones without a reason are left out."""
    labels = {}
    with (folder / "airline_tweets" / "tweets.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            label, reason = row["airline_sentiment"], row["negativereason"].strip()
            if label == "negative":
                label = f"{label}/{reason}" if reason and reason != "Can't Tell" else ""
            if label:
                labels[row["text"]] = label  # some tweets stand there twice
    rows = list(labels.items())
    yield [row for number, row in enumerate(rows) if number % 3]
    yield rows[::3]


def spaced(rows, count):
    return [rows[index * len(rows) // count] for index in range(min(count, len(rows)))]


def written(name, folder):
    """The rows of a data set as JSONL files, dev and test without labels that are not learnt."""
    learnt, test = {TREC: trec, AIRLINE: airline}[name](data_folder())
    trained, chosen, judged = ROWS[name]
    learnt = spaced(learnt, trained + chosen)
    every = (trained + chosen) // chosen
    splits = {"train": [row for n, row in enumerate(learnt) if n % every], "dev": learnt[::every]}
    known = {label for _, label in splits["train"]}
    splits = {**splits, "test": spaced(test, judged)}
    for split, rows in splits.items():
        lines = (json.dumps({"text": text, "label": label}) for text, label in rows if label in known)
        (Path(folder) / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")


def cases(options):
    for seed in options.seeds:
        for name in options.data:
            for loss in options.losses:
                yield {"data": name, "loss": loss, "seed": seed}


def measure(case):
    """Train once; the metrics of its answers, read off in each way."""
    task = LOSSES[case["loss"]] | ({} if case["loss"] == "flat" else {"separator": SEPARATORS[case["data"]]})
    with tempfile.TemporaryDirectory() as folder:
        written(case["data"], folder)
        made = {
            "seed": case["seed"],
            "backbone": "starter:english",
            "data": {split: f"{split}.jsonl" for split in ("train", "dev", "test")},
            "task": task,
            "train": {"length": f"{EPOCHS} epochs", "threads": 1},
        }
        report, answers = finished(made, folder=folder)
    return {
        "rows": report["data"]["counts"],
        "seconds": round(report["cost"]["seconds"]),
        "scores": {name: told(answers, case["data"], threshold) for name, threshold in DECODINGS.items()},
        "tfidf": report["splits"]["test"]["baselines"]["tfidf_logistic"]["metrics"],
    }


def told(answers, name, threshold):
    """The metrics of paths, from answers that hold the probability of every label."""
    import torch

    from tunesmith.core.example import Node
    from tunesmith.core.prediction import ScoredNode
    from tunesmith.judge.scoring import score
    from tunesmith.prepare.label_paths import ways_down
    from tunesmith.tasks._label_tree import tree_of
    from tunesmith.tasks._tree_probabilities import best_nodes

    separator = SEPARATORS[name]
    nodes = answers[0].scores
    parents = {node.rpartition(separator)[0] for node in nodes}
    labels = tuple(sorted(node for node in nodes if node not in parents))  # no row of either set ends above others
    tree = tree_of(labels, separator)
    shares = torch.tensor([[answer.scores[label] for label in labels] for answer in answers])
    if threshold is None:
        chosen = [labels[index] for index in shares.argmax(-1).tolist()]
    else:
        chosen = [tree.nodes[node] for node in best_nodes(shares, tree, threshold=threshold)]
    rows = []
    for answer, said in zip(answers, chosen, strict=True):
        gold = answer.gold if isinstance(answer.gold, str) else answer.gold[-1].label
        row = {"id": answer.id, "text": answer.text, "gold": tuple(map(Node, ways_down(gold, separator)))}
        rows.append(type(answer)(**row, predicted=tuple(ScoredNode(node, 1.0) for node in ways_down(said, separator))))
    found = score(rows, kind="hierarchical_classification").metrics
    return {name: metric.as_record() for name, metric in found.items()}


def mean(rows, decoding, metric):
    values = [row["scores"][decoding][metric]["value"] for row in rows]
    spread = f" [{min(values):.3f}, {max(values):.3f}]" if len(values) > 1 else ""
    return f"{sum(values) / len(values):.3f}{spread}"


def table(rows):
    """For each data set, loss and decoding the mean over seeds with its range."""
    metrics = ("hierarchical_f1", "hierarchical_precision", "hierarchical_recall", "path_accuracy", "level_1_accuracy")
    newest = {(row["data"], row["loss"], row["seed"]): row for row in rows}
    lines = [f"| data | loss | answer | {' | '.join(metrics)} |", "|---" * (3 + len(metrics)) + "|"]
    for name in SEPARATORS:
        for loss in LOSSES:
            own = [row for (data, kind, _), row in newest.items() if (data, kind) == (name, loss)]
            for decoding in DECODINGS if own else ():
                cells = (mean(own, decoding, metric) for metric in metrics)
                lines.append(f"| {name} | {loss} | {decoding} | {' | '.join(cells)} |")
    return "\n".join(lines)


def line(row):
    f1, exact = (
        row["scores"][decoding][metric]["value"]
        for decoding, metric in (("expected_f1", "hierarchical_f1"), ("likeliest", "path_accuracy"))
    )
    return f"{row['data']} {row['loss']} seed {row['seed']}: hierarchical F1 {f1:.3f}, exact {exact:.3f}"


def flags(parser):
    parser.add_argument("--data", nargs="+", choices=SEPARATORS, default=list(SEPARATORS))
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])


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
