"""Is what `tunesmith train --plan` says true? Plans, then really runs, and compares: wall seconds, peak memory, bytes.

    python -m benchmarks.planning.truth                 # plans and runs each configuration once, 15 to 25 minutes
    python -m benchmarks.planning.truth --only ner_lora intents
    python -m benchmarks.planning.truth --table         # the newest rows again

Plan and run are the commands a person types, one after the other, on whatever else the machine does meanwhile. Peak
memory is what the kernel counted for the process (`ru_maxrss`, which for a child of a small driver is its own peak),
the run folder is measured ten times a second.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.machine import Watch, facts
from benchmarks.rounds import append, read

LOG = Path(__file__).with_suffix(".jsonl")
NER = {
    "data": {"train": "conll2003/eng.train", "dev": "conll2003/eng.testa", "test": "conll2003/eng.testb"},
    "task": {"kind": "token_classification"},
}
INTENTS = {
    "data": {"train": "banking77/train.csv", "test": "banking77/test.csv"},
    "task": {"kind": "text_classification"},
}
PAIRS = {
    "data": {"train": "stsb/stsb-en-train.csv", "dev": "stsb/stsb-en-dev.csv", "test": "stsb/stsb-en-test.csv"},
    "task": {"kind": "pair_matching"},
}
FP32 = ['train.precision="fp32"']
SUMMED = ["train.batch_size=8", "train.accumulate=2"]
RUNS = {
    "ner_bf16": (NER, ["data.limit=1000", 'train.length="2 epochs"', 'train.precision="bf16"']),
    "ner_lora": (NER, ["data.limit=1200", 'train.length="2 epochs"', 'method="lora"']),
    "intents": (INTENTS, ["data.limit=3000", 'train.length="2 epochs"', "train.learning_rate=3e-4"]),
    "pairs": (PAIRS, ["data.limit=1200", 'train.length="2 epochs"', "train.batch_size=32"]),
    "intents_head_only": (INTENTS, ["data.limit=4000", 'train.length="2 epochs"', 'method="head_only"']),
    "ner_fp32_accumulate": (
        NER,
        ["data.limit=800", 'train.length="60 steps"', 'train.evaluate_every="20 steps"', *FP32, *SUMMED],
    ),
    "pairs_checkpointing": (
        PAIRS,
        [
            "data.limit=1000",
            'train.length="1 epoch"',
            *FP32,
            "train.batch_size=64",
            "train.gradient_checkpointing=true",
        ],
    ),
    "intents_in_a_time": (INTENTS, ["data.limit=2000", 'train.length="20 seconds"']),
}
"""Data and task, and what is set: tasks, methods, formats and lengths of different kinds, half a minute each or so"""
FIGURES = ("seconds", "memory", "gpu", "running", "bundle")
"""gpu: the most of its memory that tensors took, only where there is one"""


def main():
    arguments = _arguments()
    if not arguments.table:
        run = time.strftime("%Y-%m-%dT%H:%M:%S")
        for name in arguments.only:
            row = {"run": run, "name": name} | measured(name) | facts()
            append(arguments.out, row)
            print(line(row, name), flush=True)
    rows = read(arguments.out)
    print(table([row for row in rows if row["run"] == rows[-1]["run"]]))


def measured(name):
    """Plan a configuration, then run it: what was said, and what came."""
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / f"{name}.toml"
        base, settings = RUNS[name]
        config.write_text(toml(base), encoding="utf-8")
        command = [sys.executable, "-m", "tunesmith.cli.main", "train", str(config), "--data", _data()]
        command += [part for setting in settings for part in ("--set", setting)]
        watch = Watch()
        done = subprocess.run([*command, "--plan", "--json"], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{name}: the plan failed\n{done.stderr}")
        plan = json.loads(done.stdout)
        planning = watch.other_cores()
        watch = Watch()
        truth = ran(command, Path(scratch) / "run")
    said = plan["forecast"]
    disk = said["disk_bytes"]
    figures = {"seconds": said["seconds"], "memory": said["memory_bytes"]} | disk
    if said["device_memory_bytes"]:
        figures["gpu"] = said["device_memory_bytes"]
    return {
        "plan": figures,
        "truth": truth,
        "waited": said["waited"],
        "took": plan["took"],
        "other_cores_plan": planning,
        "other_cores_run": watch.other_cores(),
    }


def ran(command, folder):
    """Wall seconds, peak memory, the most bytes that lay in the run folder, and those of the bundle."""
    begin = time.perf_counter()
    process = subprocess.Popen([*command, "--out", str(folder)], stdout=subprocess.DEVNULL)
    most, over = [0], threading.Event()
    looking = threading.Thread(target=_look, args=(folder, most, over))
    looking.start()
    _, code, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    over.set()
    looking.join()
    if code:
        sys.exit(f"{' '.join(command)} failed")
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    held = {"memory": usage.ru_maxrss * 1024, "gpu": 1e6 * report["cost"].get("peak_gpu_mb", 0)}
    disk = {"running": most[0], "bundle": size(folder / "bundle")}
    return {"seconds": seconds, **held, **disk, "gpu_name": report["environment"].get("gpu")}


def _look(folder, most, over):
    while not over.wait(0.1):
        most[0] = max(most[0], size(folder))


def size(folder):
    """Bytes of all files below; one that goes while it is looked at counts nothing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                continue
    return total


def toml(table):
    """Two levels of tables of strings as TOML."""
    lines = []
    for section, keys in table.items():
        lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    return "\n".join(lines)


def table(rows):
    """A line for each run, then how many figures lay within their intervals."""
    columns = ("run", "figure", "plan", "interval", "truth", "within")
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    for row in rows:
        lines += [" | ".join((row["name"], figure, *told(row, figure))) for figure in planned(row)]
    for figure in planned(rows[-1]):
        inside = sum(within(row, figure) for row in rows)
        widths = sorted(
            (row["plan"][figure]["high"] - row["plan"][figure]["low"]) / 2 / row["plan"][figure]["value"]
            for row in rows
        )
        lines.append(
            f"{figure}: {inside} of {len(rows)} within; half the width {widths[len(widths) // 2]:.0%} "
            f"[{widths[0]:.0%}..{widths[-1]:.0%}]"
        )
    return "\n".join(lines)


def told(row, figure):
    unit = 1 if figure == "seconds" else 1e6
    said, truth = row["plan"][figure], row["truth"][figure]
    value, low, high = (f"{said[key] / unit:,.0f}" for key in ("value", "low", "high"))
    return value, f"{low} - {high}", f"{truth / unit:,.0f}", "yes" if within(row, figure) else "NO"


def line(row, name):
    parts = (f"{figure} {' '.join(told(row, figure))}" for figure in planned(row))
    return f"{name}: {'; '.join(parts)}; waited {row['waited']}; planned in {row['took']:.0f} s"


def planned(row):
    return [figure for figure in FIGURES if figure in row["plan"]]


def within(row, figure):
    said = row["plan"][figure]
    return said["low"] <= row["truth"][figure] <= said["high"]


def _data():
    if "TUNESMITH_DATA" not in os.environ:
        sys.exit("name the folder of the data sets with TUNESMITH_DATA")
    return os.environ["TUNESMITH_DATA"]


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS), help="which of the runs")
    parser.add_argument("--table", action="store_true", help="print the newest rows again")
    parser.add_argument("--out", type=Path, default=LOG, help="where rows are appended")
    return parser.parse_args()


if __name__ == "__main__":
    main()
