"""Every method on the same rows and seeds, as `tunesmith compare` tells it: score, test against the best, cost.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=2
    python -m benchmarks.quality.methods                       # both data sets, one seed: two hours on two idle cores
    python -m benchmarks.quality.methods --limit 0 --seeds 3   # all rows and three seeds: a GPU, or two nights
    python -m benchmarks.quality.methods --limit 0 --finished  # of a comparison that was cut off, what is finished
    python -m benchmarks.quality.methods --wide --data conll2003 --limit 0 --seeds 3   # an hour and a half
    python -m benchmarks.quality.methods --table               # the newest rows again

Each data set is one `tunesmith compare` of its recipe, with the rows evenly thinned or whole: `full` at the recipe's
rate, every other method at its own default, all judged on the same whole test file. The runs stay in `--runs`, so the
same command goes on where it was stopped and more seeds are added to those that are there. Commands for other methods
may fill the same folder at the same time: scores stay what they are, seconds become worthless.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import machine, rounds

LOG = Path(__file__).with_suffix(".jsonl")
METHODS = "full,adalora,lora,adapter,ia3,bitfit,layer_freeze,prefix,soft_prompt,head_only"
DATA = {"conll2003": ("recipes/ner_conll.toml", 5000), "banking77": ("recipes/banking77.toml", 5000)}
"""The recipe, and how many rows of each split are taken at most; no test file has as many"""
WIDE = 'method={kind="lora", rank=19, alpha=38.0, targets=["query", "key", "value", "output", "up", "down"]}'
"""LoRA on every linear layer, with nearly as many parameters as are called few"""
WIDE_RATE = 6e-4
NEAR, SMALL = 0.01, 0.05
HEADS = (
    "method",
    "score [95 % interval]",
    "seeds",
    "minus full",
    "trained",
    "share of full",
    "seconds",
    "peak MB",
    "bundle MB",
)


def place(name, options):
    """How many rows of a data set are taken, and where its runs lie."""
    limit = DATA[name][1] if options.limit is None else options.limit
    return limit, options.runs / f"methods-{name}-{limit or 'all'}{'-wide' if options.wide else ''}"


def compared(data, options):
    """All cells of one data set, as a row."""
    recipe, (limit, out) = DATA[data][0], place(data, options)
    methods = "lora,full" if options.wide else options.methods
    command = [sys.executable, "-m", "tunesmith.cli.main", "compare", recipe, "--methods", methods]
    command += ["--data", str(Path(os.environ["TUNESMITH_DATA"]) / data), "--out", str(out)]
    command += ["--seeds", str(options.seeds), "--set", f"train.precision={options.precision}"]
    command += ["--set", f"data.limit={limit}"] if limit else []
    command += ["--set", WIDE, "--set", f"train.learning_rate={WIDE_RATE}"] if options.wide else []
    subprocess.run(command, cwd=rounds.ROOT, check=True)
    record = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    return {"data": data, "limit": limit, "seeds": options.seeds, "wide": options.wide} | {
        "metric": record["metric"],
        "methods": record["methods"],
        "baselines": record["baselines"],
    }


def finished(name, options):
    """A row for each run that is finished."""
    limit, out = place(name, options)
    for file in sorted(out.glob("*-seed*/report.json")):
        report = json.loads(file.read_text(encoding="utf-8"))
        method, _, seed = file.parent.name.rpartition("-seed")
        test = report["splits"]["test"]
        yield {"data": name, "limit": limit, "method": method, "seed": int(seed), "metric": test["main_metric"]} | {
            "score": test["metrics"][test["main_metric"]],
            "cost": report["cost"],
            "environment": report["environment"],
        }


def table_of_finished(rows):
    """A line for each method: its scores by seed."""
    lines = []
    newest = {(row["data"], row["limit"], row["method"], row["seed"]): row for row in rows}
    for name, limit in dict.fromkeys((row["data"], row["limit"]) for row in rows):
        own = [row for row in newest.values() if (row["data"], row["limit"]) == (name, limit)]
        machines = ", ".join(sorted({where(row["environment"] | row["cost"]) for row in own}))
        lines += [f"\n{name}, {rows_of(own[0])}, {own[0]['metric']}, {machines}\n"]
        lines += ["| method | mean | by seed | trained |", "|---|---|---|---|"]
        found = {}
        for row in own:
            found.setdefault(row["method"], []).append(row)
        means = {method: statistics.mean(row["score"]["value"] for row in runs) for method, runs in found.items()}
        for method in sorted(means, key=lambda each: -means[each]):
            seeds = ", ".join(f"{row['seed']}: {row['score']['value']:.4f}" for row in found[method])
            lines.append(
                f"| {method} | {means[method]:.4f} | {seeds} | {found[method][0]['cost']['trainable_parameters']:,} |"
            )
    return "\n".join(lines)


def table(rows):
    """A line for each method of the newest row of a data set, size and choice of methods; who is near full tuning."""
    lines = []
    newest = {}
    for row in rows:
        chosen = frozenset(method["method"] for method in row["methods"])
        newest[row["data"], row["limit"], row.get("wide", False), chosen] = row
    for (name, _, wide, _), row in newest.items():
        full = next(method for method in row["methods"] if method["method"] == "full")
        lines += [
            f"\n{name}, {rows_of(row)}, {row['seeds']} seed(s), {row['metric']}, {where(row)}",
            f"LoRA has rank 19 on every linear layer and a rate of {WIDE_RATE}\n" if wide else "",
            f"| {' | '.join(HEADS)} |",
            f"|{'---|' * len(HEADS)}",
        ]
        near = []
        for method in row["methods"]:
            score, share = method["score"], method["trained_parameters"] / full["trained_parameters"]
            gap = score["value"] - full["score"]["value"]
            if gap >= -NEAR and share < SMALL:
                near.append(method["method"])
            cells = (
                method["method"],
                f"{score['value']:.4f} [{score['low']:.3f}, {score['high']:.3f}]",
                f"{method['lowest']:.4f} to {method['highest']:.4f}",
                f"{gap:+.4f}",
                f"{method['trained_parameters']:,}",
                f"{share:.1%}",
                f"{method['seconds']:.0f}",
                f"{method['peak_rss_mb']:.0f}",
                f"{method['bundle_bytes'] / 1e6:.0f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
        found = ", ".join(near) or "none"
        lines.append(f"\nwithin {NEAR} of full with under {SMALL:.0%} of its parameters: {found}")
    return "\n".join(lines)


def rows_of(row):
    return f"at most {row['limit']:,} rows of each split" if row["limit"] else "all rows"


def where(row):
    return row.get("gpu") or f"{row['threads']} thread(s) of {row['processor']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--methods", default=METHODS, help="kinds with commas between them")
    parser.add_argument("--wide", action="store_true", help="LoRA of rank 19 on every linear layer, and full")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--limit", type=int, help="rows of each split, 0 for all of them")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the runs stay")
    parser.add_argument("--finished", action="store_true", help="run nothing, read what is finished in --runs")
    parser.add_argument("--table", action="store_true", help="print the newest rows again")
    parser.add_argument("--out", type=Path, default=LOG, help="where rows are appended")
    options = parser.parse_args()
    single = options.out.with_stem(f"{options.out.stem}_finished")
    if options.finished:
        for name in options.data:
            for row in finished(name, options):
                rounds.append(single, row)
    elif not options.table:
        if "TUNESMITH_DATA" not in os.environ:
            sys.exit("name the folder of the data sets with TUNESMITH_DATA")
        for name in options.data:
            row = {"run": time.strftime("%Y-%m-%dT%H:%M:%S")} | compared(name, options) | machine.facts()
            rounds.append(options.out, row)
    print(table(rounds.read(options.out)))
    print(table_of_finished(rounds.read(single)))


if __name__ == "__main__":
    main()
