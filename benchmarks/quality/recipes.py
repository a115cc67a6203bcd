"""Train a recipe over seeds and keep what it measured.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=2
    python -m benchmarks.quality.recipes recipes/ner_conll.toml conll2003 --seeds 0 1 2
    python -m benchmarks.quality.recipes --table               # all rows again

Each seed is one `tunesmith train`; its main metric with interval, its best baseline with the paired test, and its cost
become one row.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks import rounds
from benchmarks.driver import Driver, data_folder


def cases(options):
    """Each seed."""
    for seed in options.seeds:
        yield {"recipe": options.recipe.stem, "folder": options.folder, "seed": seed, "overrides": options.overrides}


def measure(case):
    """One run by the command that stands on the recipe's first line."""
    recipe = rounds.ROOT / "recipes" / f"{case['recipe']}.toml"
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / case["recipe"]
        command = [sys.executable, "-m", "tunesmith.cli.main", "train", str(recipe), "--out", str(out)]
        command += ["--data", str(data_folder() / case["folder"]), "--set", f"seed={case['seed']}"]
        for override in case["overrides"]:
            command += ["--set", override]
        subprocess.run(command, check=True)
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    test = report["splits"]["test"]
    main = test["main_metric"]
    baseline = report["best_baseline"]
    return {
        "n": test["n"],
        "metric": main,
        "metrics": {name: value["value"] for name, value in test["metrics"].items()},
        "interval": [test["metrics"][main]["low"], test["metrics"][main]["high"]],
        "baseline": baseline,
        "baseline_metrics": {k: v["value"] for k, v in test["baselines"][baseline]["metrics"].items()},
        "paired_test": test["baselines"][baseline]["test"],
        "cost": report["cost"],
        "environment": report["environment"],
    }


def table(measured):
    """Every recipe, by itself on each GPU, with the median and range over its seeds, in Markdown."""
    found = defaultdict(list)
    for row in measured:
        found[row["recipe"], row["environment"].get("gpu")].append(row)
    lines = [
        "| recipe | test rows | metric | median [range] over seeds | best baseline | minutes | tokens/s |",
        "|---|---|---|---|---|---|---|",
    ]
    for (recipe, gpu), rows in found.items():
        metric = rows[0]["metric"]
        values = sorted(row["metrics"][metric] for row in rows)
        spread = f"{statistics.median(values):.4f} [{values[0]:.4f}, {values[-1]:.4f}] ({len(rows)} seeds)"
        baseline = f"{rows[0]['baseline']} {rows[0]['baseline_metrics'][metric]:.4f}"
        minutes = statistics.median(row["cost"]["seconds"] for row in rows) / 60
        rate = statistics.median(row["cost"]["tokens_per_second"] for row in rows)
        where = f" on {gpu}" if gpu else ""
        lines.append(
            f"| {recipe}{where} | {rows[0]['n']} | {metric} | {spread} | {baseline} | {minutes:.1f} | {rate:,.0f} |"
        )
    return "\n".join(lines)


def line(row):
    return json.dumps({key: row[key] for key in ("recipe", "seed", "metric", "metrics", "interval")})


def flags(parser):
    parser.add_argument("recipe", type=Path, nargs="?", help="a file of recipes/")
    parser.add_argument("folder", nargs="?", help="its data in TUNESMITH_DATA")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], dest="overrides")


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
