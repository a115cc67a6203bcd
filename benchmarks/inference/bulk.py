"""Bulk prediction and single requests: words in, labels out, tokenising included, against transformers' pipeline.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=2
    python -m benchmarks.inference.bulk --rounds 3                   trains a small bundle first
    python -m benchmarks.inference.bulk --bundle runs/ner/bundle     or takes yours
    python -m benchmarks.inference.bulk --table                      prints the bars that the newest run reached

Each round answers 2,000 sentences of conll2003 eng.testb with every engine of `engines.py`, in a fresh process each,
and 300 of them one at a time before. Printed are medians and ranges over rounds, and ratios to the first engine of the
same round: sentences a second, latency of a single sentence (p50, p95), peak memory, strict F1. Speed is told by wall
and by processor time; with `OMP_NUM_THREADS=1` the latter hardly feels what others do. Rows go to `bulk.jsonl` beside
this file, `bars.py` reads them. Our answers are decoded to legal tags (`f1`), the pipeline's are the likeliest tag of
each piece. `f1_likeliest` scores the likeliest tags of both: on equal weights the number format is all that it may
differ by.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

from benchmarks import machine, rounds
from benchmarks.inference import bars, engines
from benchmarks.inference.bundles import bundle_for
from benchmarks.training import recipe
from benchmarks.training import rows as data_rows

LOG = Path(__file__).with_name("bulk.jsonl")
SINGLE, WARM = 300, 20
SHOWN = ("sentences_per_second", "p50_ms", "p95_ms", "load_seconds", "peak_rss_mb", "f1", "f1_likeliest", "other_cores")


def one(options):
    """Answer with one engine in this process and hand its row over."""
    rows = data_rows.drawn(data_rows.sentences("eng.testb"), options.rows)
    before = machine.matmul_rates()
    whole = machine.Watch()
    engine = engines.opened(options.variant, options.bundle)
    load = whole.wall()
    for row in rows[:WARM]:
        engine.one(row)
    single, single_processor = [], []
    for row in rows[:SINGLE]:
        wall, processor = time.perf_counter(), time.process_time()
        engine.one(row)
        single.append(1000 * (time.perf_counter() - wall))
        single_processor.append(1000 * (time.process_time() - processor))
    watch = machine.Watch()
    answers = engine.many(rows)
    seconds, processor = watch.wall(), watch.processor()
    peak, other = machine.peak_memory_mb(), whole.other_cores()
    f1 = recipe.score("ner", rows, [engine.tags_of(row, answer) for row, answer in zip(rows, answers, strict=True)])
    likeliest = recipe.score("ner", rows, engine.likeliest(rows))
    after = machine.matmul_rates()
    measured = {
        "rows": len(rows),
        "sentences_per_second": round(len(rows) / seconds, 1),
        "sentences_per_processor_second": round(len(rows) / processor, 1),
        "p50_processor_ms": round(statistics.median(single_processor), 2),
        "p50_ms": round(statistics.median(single), 2),
        "p95_ms": round(statistics.quantiles(single, n=20)[-1], 2),
        "load_seconds": round(load, 2),
        "peak_rss_mb": round(peak),
        "f1": round(f1, 4),
        "f1_likeliest": round(likeliest, 4),
        "other_cores": other,
        "gemm_gflops": {name: [before[name], after[name]] for name in before},
    }
    rounds.hand_over(measured | machine.facts())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="of an entity task with the labels of conll2003")
    parser.add_argument("--variants", nargs="+", default=list(engines.NAMES), choices=engines.NAMES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--train-rows", type=int, default=2000, help="sentences to train the bundle on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=LOG, help="where rows are appended")
    parser.add_argument("--table", action="store_true", help="print the bars and what the newest full run reached")
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.table:
        for processor, rows in rounds.by_processor(rounds.read(options.out)).items():
            print(f"## {processor}\n\n{bars.table(rows)}\n")
        return
    if options.variant:
        one(options)
        return
    with bundle_for(options.bundle, rows=options.train_rows, epochs=options.epochs) as bundle:
        compare(options, bundle)


def compare(options, bundle):
    """All engines, round by round, then the summary."""
    size = ["benchmarks.inference.bulk", "--bundle", str(bundle.resolve()), "--rows", str(options.rows)]
    commands = {name: [*size, "--variant", name] for name in options.variants}
    print(json.dumps(machine.facts()))
    found = []
    for row in rounds.interleaved(lambda seed: commands, rounds=options.rounds, log=options.out):
        found.append(row)
        print(f"round {row['seed']} {row['variant']:14}", *(f"{key} {row[key]}" for key in SHOWN), flush=True)
    base = options.variants[0]
    print(f"\nmedian [range] over {options.rounds} rounds, ratios to {base} of the same round")
    for name in options.variants:
        own = {key: [row[key] for row in found if row["variant"] == name] for key in SHOWN}
        speed = rounds.spread(rounds.ratios(found, name, base, "sentences_per_second"))
        by_processor = rounds.spread(rounds.ratios(found, name, base, "sentences_per_processor_second"))
        print(
            f"{name:14} sentences/s {rounds.spread(own['sentences_per_second'], 0)}  ratio {speed}"
            f" by processor {by_processor}"
            f"  p50 {rounds.spread(own['p50_ms'])} ms  p95 {rounds.spread(own['p95_ms'])} ms"
            f"  memory {rounds.spread(own['peak_rss_mb'], 0)} MB  F1 {rounds.spread(own['f1'], 4)}"
            f"  of likeliest tags {rounds.spread(own['f1_likeliest'], 4)}"
        )


if __name__ == "__main__":
    main()
