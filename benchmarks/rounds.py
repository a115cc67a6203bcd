"""Interleaved rounds: every variant in a fresh process, one after the other, then all of them again.

A machine drifts (clock, temperature, neighbours), so a ratio is only taken between rows of one round, and what is told
is the median and the range over rounds. Rows are appended to a .jsonl as they come: a run cut short loses nothing.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
_MARK = "ROW "


def interleaved(commands, *, rounds, log):
    """Run each variant's command `rounds` times. `commands(seed)` gives {variant: module and its arguments}."""
    run = time.strftime("%Y-%m-%dT%H:%M:%S")
    for seed in range(rounds):
        for variant, command in commands(seed).items():
            row = {"run": run, "variant": variant, "seed": seed} | child(command)
            append(log, row)
            yield row


def child(command):
    """The row that `python -m ...` prints; its whole output and the end of the driver where it prints none."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith(_MARK)), None)
    if line is None:
        sys.exit(f"{' '.join(command)} gave no row\n{done.stdout}{done.stderr}")
    return json.loads(line.removeprefix(_MARK))


def hand_over(row):
    """Print a row for the driver to find."""
    print(_MARK + json.dumps(row), flush=True)


def append(log, row):
    with log.open("a", encoding="utf-8") as out:
        out.write(json.dumps(row) + "\n")


def read(log):
    """The rows of a file, none where it is not there."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []


def by_processor(rows):
    """{processor: its rows}, in the order they were written: figures of one machine say nothing about another."""
    found = {}
    for row in rows:
        found.setdefault(row["processor"], []).append(row)
    return found


def spread(values, digits=2):
    """Median and range."""
    return f"{statistics.median(values):,.{digits}f} [{min(values):,.{digits}f}..{max(values):,.{digits}f}]"


def ratios(rows, variant, base, key):
    """`key` of `variant` over that of `base`, one value for each round that has both."""
    below = {row["seed"]: row[key] for row in rows if row["variant"] == base}
    own = [row for row in rows if row["variant"] == variant and row["seed"] in below]
    return [row[key] / below[row["seed"]] for row in own]
