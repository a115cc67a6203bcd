"""Cost as work grows: 1,000 to a million rows through `Predictor.stream`, their time and their peak memory.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=2
    python -m benchmarks.inference.growth                            1k, 10k, 100k rows
    python -m benchmarks.inference.growth --million                  and a million: about an hour
    python -m benchmarks.inference.growth --chart                    draws the newest run again

Sentences of conll2003 eng.testb in turn, a fresh process for each size, answers counted and thrown away: time should
grow with the rows and memory should not. Rows go to `growth.jsonl` beside this file; a chart of bars is printed, with
the exponent of a straight line through the logarithms: seconds = c * rows ^ exponent, 1 where the cost is linear.
"""

import argparse
import itertools
import json
import math
import statistics
from pathlib import Path

from benchmarks import machine, rounds
from benchmarks.inference.bundles import bundle_for
from benchmarks.inference.engines import examples
from benchmarks.training import rows as data_rows

LOG = Path(__file__).with_name("growth.jsonl")
SIZES = (1_000, 10_000, 100_000)
WIDTH = 40


def one(options):
    """Answer so many rows in this process and hand the row over."""
    import tunesmith

    rows = data_rows.drawn(data_rows.sentences("eng.testb"), 10_000)
    before = machine.matmul_rates()
    predictor = tunesmith.load(options.bundle, precision=options.precision)
    asked = examples(itertools.islice(itertools.cycle(rows), options.size))
    loaded, watch = machine.peak_memory_mb(), machine.Watch()
    answered = sum(1 for _ in predictor.stream(asked))
    seconds, processor, other = watch.wall(), watch.processor(), watch.other_cores()
    peak = machine.peak_memory_mb()
    after = machine.matmul_rates()
    measured = {
        "rows": answered,
        "precision": predictor.bundle.precision,
        "seconds": round(seconds, 2),
        "processor_seconds": round(processor, 2),
        "rows_per_second": round(answered / seconds, 1),
        "loaded_rss_mb": round(loaded),
        "peak_rss_mb": round(peak),
        "other_cores": other,
        "gemm_gflops": {name: [before[name], after[name]] for name in before},
    }
    rounds.hand_over(measured | machine.facts())


def chart(rows):
    """Bars as long as their value: rows a second, which should stay, and peak memory, which should stay too."""
    about = rows[0]
    lines = [f"{about['processor']}, {about['threads']} threads, {about['precision']}, commit {about['commit']}"]
    for key, unit in (("rows_per_second", "rows/s"), ("peak_rss_mb", "MB at the peak")):
        most = max(row[key] for row in rows)
        lines += ["", unit]
        for row in rows:
            bar = "█" * max(1, round(WIDTH * row[key] / most))
            lines.append(f"{row['rows']:>9,}  {bar:{WIDTH}}  {row[key]:,.0f}")
    lines += ["", "seconds"]
    lines += [
        f"{row['rows']:>9,}  {row['seconds']:,.1f}, {row['processor_seconds']:,.1f} of processors" for row in rows
    ]
    if len(rows) > 1:
        wall, processor = (exponent(rows, key) for key in ("seconds", "processor_seconds"))
        lines += [f"exponent   {wall:.3f}, {processor:.3f} by processor time"]
    return "\n".join(lines)


def exponent(rows, key):
    """The slope of log(`key`) over log(rows), by least squares."""
    sizes, costs = [math.log(row["rows"]) for row in rows], [math.log(row[key]) for row in rows]
    return statistics.linear_regression(sizes, costs).slope


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="of an entity task")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--million", action="store_true", help="a million rows as well")
    parser.add_argument("--train-rows", type=int, default=2000, help="sentences to train the bundle on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--chart", action="store_true", help="draw the newest run in the file of rows")
    parser.add_argument("--out", type=Path, default=LOG, help="where rows are appended")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.size:
        one(options)
        return
    if options.chart:
        rows = rounds.read(options.out)
        print(chart([row for row in rows if row["run"] == rows[-1]["run"]]))
        return
    sizes = [*options.sizes, *([1_000_000] if options.million else [])]
    print(json.dumps(machine.facts()))
    with bundle_for(options.bundle, rows=options.train_rows, epochs=options.epochs) as bundle:
        common = ["benchmarks.inference.growth", "--precision", options.precision]
        commands = {
            f"stream_{size}": [*common, "--bundle", str(bundle.resolve()), "--size", str(size)] for size in sizes
        }
        found = list(rounds.interleaved(lambda seed: commands, rounds=1, log=options.out))
    print(chart(found))


if __name__ == "__main__":
    main()
