"""Wall seconds from the start of a fresh process to its first finished training step.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=2
    python -m benchmarks.training.startup --rounds 5

    trainer     `run_ner.py` of this folder, after the example of transformers
    tunesmith   `tunesmith train`, the command as a user types it

Both read the same files of 1,000 sentences to train on, 250 to develop and 250 to test. The clock is this driver's: it
starts before the process does and stops when it hears of the first step, ours from the journal of the run folder,
which is looked at every 5 ms, the peer's from a line it prints. Each is started once before, untimed, so that all files
are in memory. Rows go to `startup.jsonl` beside this file.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine, rounds
from benchmarks.training import rows as data_rows
from benchmarks.training.recipe import BATCH, RATES

FIRST_STEP = "FIRST STEP"
"""What `run_ner.py` prints"""
LOG = Path(__file__).with_name("startup.jsonl")
VARIANTS = ("trainer", "tunesmith")
SIZES = {"train": ("eng.train", 1000), "dev": ("eng.testa", 250), "test": ("eng.testb", 250)}
CONFIG = f"""\
[data]
train = "train.jsonl"
dev = "dev.jsonl"
test = "test.jsonl"
[task]
kind = "token_classification"
[train]
length = "3 epochs"
learning_rate = {RATES["ner"]}
batch_size = {BATCH}
warmup = 0.0
weight_decay = 0.0
"""


def timed(variant):
    """One start, as a row. The process is ended after its first step."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for split, (file, count) in SIZES.items():
            data_rows.write(data_rows.drawn(data_rows.sentences(file), count), folder / f"{split}.jsonl")
        (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
        journal = folder / "run" / "journal.jsonl"
        ours = ["tunesmith.cli.main", "train", str(folder / "config.toml"), "--out", str(journal.parent)]
        theirs = ["benchmarks.training.run_ner", scratch]
        command = [sys.executable, "-m", *(ours if variant == "tunesmith" else theirs)]
        with (folder / "errors").open("w+b") as errors:
            watch = machine.Watch()
            process = subprocess.Popen(command, cwd=rounds.ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
            found = _journal_says(journal, process) if variant == "tunesmith" else _output_says(process)
            seconds = watch.wall()
            process.kill()
            process.wait()
            if not found:
                errors.seek(0)
                sys.exit(f"{variant} ended before its first step\n{errors.read().decode(errors='replace')}")
        return {"task": "startup", "seconds": round(seconds, 2), "other_cores": watch.other_cores(), **machine.facts()}


def _journal_says(journal, process):
    while process.poll() is None:
        if journal.exists() and '"event": "step"' in journal.read_text(encoding="utf-8"):
            return True
        time.sleep(0.005)
    return False


def _output_says(process):
    return any(FIRST_STEP in line for line in process.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--out", type=Path, default=LOG, help="where rows are appended")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        rounds.hand_over(timed(options.variant))
        return
    commands = {name: ["benchmarks.training.startup", "--variant", name] for name in options.variants}
    print(json.dumps(machine.facts()))
    for command in commands.values():
        rounds.child(command)
    found = []
    for row in rounds.interleaved(lambda seed: commands, rounds=options.rounds, log=options.out):
        found.append(row)
        print(
            f"round {row['seed']} {row['variant']:10} {row['seconds']} s, others {row['other_cores']} cores", flush=True
        )
    for name in options.variants:
        print(f"{name:10} seconds {rounds.spread([row['seconds'] for row in found if row['variant'] == name])}")


if __name__ == "__main__":
    main()
