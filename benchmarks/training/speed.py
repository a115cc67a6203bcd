"""Tokens a second and peak memory of training, ours against peers that do the same work, and what each trick brings.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=2
    python -m benchmarks.training.speed --task ner                           the peers of the task
    python -m benchmarks.training.speed --task ner --variants lora           one set, or single variants by name
    python -m benchmarks.training.speed --task intents --variants ablation
    python -m benchmarks.training.speed --table                              what is met, from the rows of all runs

Each round trains every variant in a fresh process, one after the other, on the same rows of `rows.py` with the recipe
of `recipe.py`, and scores held-out rows. A round is a seed. Printed are medians and ranges over rounds, and ratios to
the first variant of the same round. Rows go to `speed.jsonl` beside this file, with the machine's own rate of
multiplying matrices before and after, and the cores that others used meanwhile.
"""

import argparse
import json
from importlib import import_module
from pathlib import Path

from benchmarks import machine, rounds
from benchmarks.training import bars, effects, recipe
from benchmarks.training import rows as data_rows
from benchmarks.training.measured import as_row

LOG, STARTUP = (Path(__file__).with_name(f"{name}.jsonl") for name in ("speed", "startup"))
SWITCHES = (
    "no_ragged", "no_ragged_hosted", "no_own_attention", "no_fp32_attention", "round_1", "round_16", "round_64",
    "whole_table", "torch_dropout", "one_chunk", "window_a_block", "whole_last_layer", "no_recall",
)  # fmt: skip
"""Those of `ablation.py`, named here too because a driver must not import torch"""
VARIANTS = {
    "trainer": ("trainer", {}),
    "trainer_best": ("trainer", {"best": True}),
    "textbook": ("textbook", {}),
    "tunesmith": ("ours", {}),
    "fp32": ("ours", {"precision": "fp32"}),
    "trainer_lora": ("trainer", {"lora": True}),
    "trainer_lora_best": ("trainer", {"lora": True, "best": True}),
    "lora": ("ours", {"method": "lora"}),
    "lora_fp32": ("ours", {"method": "lora", "precision": "fp32"}),
    "head_only": ("ours", {"method": "head_only"}),
    **{name: ("ablation", {"switch": name}) for name in SWITCHES},
}
SETS = {
    "peers": ("trainer", "trainer_best", "tunesmith", "fp32"),
    "lora": ("trainer_lora", "trainer_lora_best", "lora", "lora_fp32"),
    "ablation": ("tunesmith", "fp32", "head_only", *SWITCHES),
}
SHOWN = ("tokens_per_second", "tokens_per_processor_second", "wall_seconds", "peak_rss_mb", "score", "other_cores")


def one(options):
    """Train one variant in this process and hand its row over."""
    name, arguments = VARIANTS[options.variant]
    data = data_rows.load(options.task, options.rows, options.held)
    variant = import_module(f"benchmarks.training.{name}")
    before = machine.matmul_rates()
    watch = machine.Watch()
    measured = variant.measure(options.task, data, epochs=options.epochs, seed=options.seed, **arguments)
    other = watch.other_cores()
    probes = (before, machine.matmul_rates())
    score = recipe.score(options.task, data.held, measured.answers)
    row = {"task": options.task, "rows": len(data.train), "epochs": options.epochs}
    rounds.hand_over(row | as_row(measured, score, probes) | {"other_cores": other} | machine.facts())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="ner", choices=data_rows.TASKS)
    parser.add_argument("--variants", nargs="+", default=["peers"], choices=[*SETS, *VARIANTS], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--held", type=int, default=1000, help="rows to score")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=LOG, help="where rows are appended")
    parser.add_argument("--table", action="store_true", help="print what is met, and measure nothing")
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.table:
        for processor, rows in rounds.by_processor([*rounds.read(options.out), *rounds.read(STARTUP)]).items():
            print(f"## {processor}\n\n{bars.table(rows)}\n\n{effects.table(rows)}\n")
    elif options.variant:
        one(options)
    else:
        compare(options)


def compare(options):
    """All variants, round by round, then the summary."""
    variants = list(dict.fromkeys(name for wish in options.variants for name in SETS.get(wish, (wish,))))
    size = ["--task", options.task, "--rows", options.rows, "--held", options.held, "--epochs", options.epochs]

    def commands(seed):
        own = {name: [*size, "--variant", name, "--seed", seed] for name in variants}
        return {name: ["benchmarks.training.speed", *map(str, arguments)] for name, arguments in own.items()}

    print(json.dumps(machine.facts()))
    found = []
    for row in rounds.interleaved(commands, rounds=options.rounds, log=options.out):
        found.append(row)
        print(f"round {row['seed']} {row['variant']:17}", *(f"{key} {row[key]}" for key in SHOWN), flush=True)
    print(summary(found, variants, recipe.SCORES[options.task]))


def summary(rows, variants, score):
    """Medians and ranges, and ratios to the first variant of the same round."""
    base, lines = variants[0], []
    for variant in variants:
        own = [row for row in rows if row["variant"] == variant]
        ratio = {
            key: rounds.spread(rounds.ratios(rows, variant, base, key))
            for key in ("tokens_per_second", "tokens_per_processor_second", "peak_rss_mb")
        }
        shares = [row["share_of_limit"] for row in own if row["share_of_limit"] is not None]
        lines.append(
            f"{variant:17} tokens/s {rounds.spread([row['tokens_per_second'] for row in own], 0)}"
            f"  ratio {ratio['tokens_per_second']}  by processor time {ratio['tokens_per_processor_second']}"
            f"  memory {ratio['peak_rss_mb']}  share of limit {rounds.spread(shares) if shares else '-'}"
            f"  {score} {rounds.spread([row['score'] for row in own], 3)}"
        )
    if len({row["tokens"] for row in rows}) > 1:
        lines.append("not the same work: variants cut long texts differently, see `tokens` in the rows")
    head = f"\nmedian [range] over {len({row['seed'] for row in rows})} rounds, ratios to {base} of the same round"
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main()
