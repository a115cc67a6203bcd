"""Train a recipe over seeds and keep what it measured.

    python benchmarks/quality/recipes.py recipes/ner_conll.toml DATA/conll2003 --seeds 0 1 2

Each seed is one `tunesmith train`; its main metric with interval, its best baseline with the paired test, and its cost
become one row of benchmarks/quality/recipes.jsonl. `--table` prints all rows as a Markdown table.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
ROWS = HERE / "recipes.jsonl"


def trained(recipe, data, seed, overrides):
    """One run, as a row."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / recipe.stem
        command = [sys.executable, "-m", "tunesmith.cli.main", "train", str(recipe), "--data", str(data)]
        command += ["--out", str(out), "--set", f"seed={seed}"]
        for override in overrides:
            command += ["--set", override]
        subprocess.run(command, check=True)
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    test = report["splits"]["test"]
    main = test["main_metric"]
    baseline = report["best_baseline"]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return {
        "recipe": recipe.stem,
        "seed": seed,
        "overrides": overrides,
        "n": test["n"],
        "metric": main,
        "metrics": {name: value["value"] for name, value in test["metrics"].items()},
        "interval": [test["metrics"][main]["low"], test["metrics"][main]["high"]],
        "baseline": baseline,
        "baseline_metrics": {k: v["value"] for k, v in test["baselines"][baseline]["metrics"].items()},
        "paired_test": test["baselines"][baseline]["test"],
        "cost": report["cost"],
        "environment": report["environment"],
        "commit": commit,
    }


def table():
    """Every recipe with the median and range over its seeds, in Markdown."""
    found = defaultdict(list)
    for line in ROWS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[row["recipe"]].append(row)
    print("| recipe | test rows | metric | median [range] over seeds | best baseline | minutes | tokens/s |")
    print("|---|---|---|---|---|---|---|")
    for recipe, rows in found.items():
        metric = rows[0]["metric"]
        values = sorted(row["metrics"][metric] for row in rows)
        spread = f"{statistics.median(values):.4f} [{values[0]:.4f}, {values[-1]:.4f}] ({len(rows)} seeds)"
        baseline = f"{rows[0]['baseline']} {rows[0]['baseline_metrics'][metric]:.4f}"
        minutes = statistics.median(row["cost"]["seconds"] for row in rows) / 60
        rate = statistics.median(row["cost"]["tokens_per_second"] for row in rows)
        print(f"| {recipe} | {rows[0]['n']} | {metric} | {spread} | {baseline} | {minutes:.1f} | {rate:,.0f} |")


def main():
    """Train, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path, nargs="?")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        table()
        return
    for seed in options.seeds:
        row = trained(options.recipe, options.data, seed, options.overrides)
        with ROWS.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
        print(json.dumps({key: row[key] for key in ("recipe", "seed", "metric", "metrics", "interval")}), flush=True)


if __name__ == "__main__":
    main()
