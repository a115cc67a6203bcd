"""A search alone against the same search with a pair model behind it, both learnt from the same rows.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=1
    python -m benchmarks.quality.reranking --epochs 4
    python -m benchmarks.quality.reranking --table             # all rows again

banking77 as in `retrieval.py`, but every training question names all ten documents of its intent: a document that
nobody marked is then really wrong. The search learns these rows; the pair model learns to tell them from the ten
nearest wrong documents that the search finds, and orders the first documents of the search anew. Each seed is two
ordinary runs and one `evaluated` on the test questions.
"""

import json
import random
import tempfile
import time
from pathlib import Path

from benchmarks.driver import Driver, data_folder
from benchmarks.quality.retrieval import DOCUMENTS, banking77
from benchmarks.quality.trained import read_report, run_in

SHOWN = ("ndcg_at_10", "mrr_at_10", "recall_at_1", "recall_at_5", "recall_at_10")
DEV, NEGATIVES = 40, 10


def cases(options):
    """Each seed with each length of the pair model's training."""
    sizes = {"questions": options.questions, "asked": options.asked, "candidates": options.candidates}
    return [{"data": "banking77", "seed": seed, "epochs": options.epochs} | sizes for seed in options.seeds]


def measure(case):
    """Both runs, and the comparison."""
    from tunesmith.bundle.reranking import Stages
    from tunesmith.run.evaluate import evaluated

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_files(data_folder() / "banking77", folder, case)
        files = {name: f"{name}.jsonl" for name in ("train", "dev", "test")}
        common = {"seed": case["seed"], "data": files}
        search = common | {"task": {"kind": "retrieval"}, "train": {"length": "1 epochs", "batch_size": 32}}
        first = read_report(run_in(search, folder=folder, out=folder / "search"))
        mined = {"by": str(folder / "search"), "negatives": NEGATIVES}
        pairs = common | {
            "data": files | {"test": "dev.jsonl", "mined": mined},  # what counts is measured below
            "task": {"kind": "pair_matching"},
            "train": {"length": f"{case['epochs']} epochs", "batch_size": 32},
        }
        second = read_report(run_in(pairs, folder=folder, out=folder / "pairs"))
        begin = time.perf_counter()
        stages = Stages(reranker=folder / "pairs", candidates=case["candidates"])
        found = evaluated(folder / "search", folder / "test.jsonl", stages=stages)
        seconds = time.perf_counter() - begin
    return {
        "n": found.scores.rows,
        "after": found.scores.as_record()["metrics"],
        **found.reranked.as_record(),
        "bm25": first["splits"]["test"]["baselines"]["bm25"]["metrics"],
        "untuned": first["splits"]["test"]["baselines"]["untuned"]["metrics"],
        "pairs": second["splits"]["dev"]["metrics"],
        "seconds": {"search": first["cost"]["seconds"], "pairs": second["cost"]["seconds"], "evaluate": seconds},
    }


def write_files(data, folder, case):
    """train, dev and test rows, every question with all documents that answer it."""
    rest, documents, asked = banking77(data)
    random.Random(1).shuffle(asked)  # the file is sorted by intent
    splits = {
        "train": rest[: case["questions"]],
        "dev": rest[case["questions"] : case["questions"] + DEV],
        "test": asked[: case["asked"]],
    }
    for name, rows in splits.items():
        lines = [json.dumps({"text": text, "pair": pair}) for text, intent in rows for pair in documents[intent]]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def table(rows):
    """One table a row: both stages with the paired test."""
    return "\n\n".join(map(_table, rows))


def _table(row):
    learnt = f"{row['questions']} questions of {DOCUMENTS} documents learnt, {row['epochs']} epochs of pairs"
    lines = [f"{learnt}, {row['n']} asked, {row['candidates']} candidates, seed {row['seed']}"]
    lines += ["| | before tuning | search | re-ranked | difference | p |", "|---|---|---|---|---|---|"]
    tests = {test["metric"]: test for test in row["tests"]}
    for name in SHOWN:
        cells = [_interval(row[stage][name]) for stage in ("untuned", "before", "after")]
        test = tests[name]
        change = f"{test['difference']:+.3f} [{test['low']:+.3f}, {test['high']:+.3f}]"
        lines.append(f"| {name} | {' | '.join(cells)} | {change} | {test['p_value']:.3f} |")
    return "\n".join([*lines, f"recall within the candidates: {row['recall_within_candidates']:.3f}"])


def _interval(metric):
    return f"{metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}]"


def line(row):
    return f"seed {row['seed']}: {row['sentence']}"


def flags(parser):
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--questions", type=int, default=400, help="training questions")
    parser.add_argument("--asked", type=int, default=200, help="questions of the test file")
    parser.add_argument("--candidates", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=1, help="of the pair model")


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
