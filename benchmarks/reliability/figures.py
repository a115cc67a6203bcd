"""The reliability of training, figure by figure, each by a script that anyone can run.

    python benchmarks/reliability/figures.py               every figure at its full count
    python benchmarks/reliability/figures.py T1 T4         some of them
    python benchmarks/reliability/figures.py --quick       small counts: does everything still work? Nothing is kept

One line is printed for each, and one row is added to `figures.jsonl` beside this file, from which `scripts/docs` writes
`docs/reference/reliability.md`. Linux, since it needs fork and /proc.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from reliability.figure import Figure, Finding
from reliability.forked import begin
from reliability.promises import FIGURES
from tunesmith.run.environment import environment

HERE = Path(__file__).resolve().parent
ROWS = HERE / "figures.jsonl"


def measured(figure: Figure, count: int) -> dict[str, object]:
    """The row of one figure, measured in a child that begins with one thread and nothing of the figures before."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        answer, place = Path(scratch) / "answer.json", Path(scratch) / "work"
        place.mkdir()

        def work() -> None:
            found = figure.measure(place, count)
            answer.write_text(json.dumps({"value": found.value, "faults": found.faults}), encoding="utf-8")

        child = begin(work, Path(scratch) / "output")
        if child.wait():
            found = Finding("not measured", (child.said(),))
        else:
            found = Finding(**json.loads(answer.read_text(encoding="utf-8")))
    machine = environment()
    return {
        "id": figure.id,
        "promise": figure.promise,
        "value": found.value,
        "met": found.met,
        "faults": [_in_short(fault) for fault in found.faults],
        "count": count,
        "seconds": round(time.perf_counter() - begun, 1),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{machine['processor']}, {machine['cores']} cores, {machine['system']}",
        "versions": {"python": platform.python_version(), **machine["packages"]},
        "commit": commit(),
        "script": figure.script,
    }


def _in_short(fault: str) -> str:
    """How a fault begins and what it ends with: what lies between in a traceback are places of one machine."""
    lines = fault.strip().splitlines() or [""]
    return lines[0] if len(lines) == 1 else f"{lines[0]} ... {lines[-1]}"


def commit() -> str:
    """The commit that is measured, with a plus where code differs from it."""
    found = _git("rev-parse", "--short=9", "HEAD")
    return f"{found}{'+' if _git('status', '--porcelain', '--', '../../src', '*.py') else ''}" if found else "unknown"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()


def main() -> int:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", nargs="*", metavar="FIGURE", help="which figures; all of them where none is named")
    parser.add_argument("--quick", action="store_true", help="small counts; no row is kept unless --rows names a file")
    parser.add_argument("--rows", type=Path, help=f"the file that rows are added to, {ROWS.name} by default")
    options = parser.parse_args()
    if unknown := set(options.ids) - {figure.id for figure in FIGURES}:
        parser.error(f"there is no figure {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    rows = options.rows or (None if options.quick else ROWS)
    broken = 0
    for figure in FIGURES:
        count = figure.quick if options.quick else figure.full
        if count is None or (options.ids and figure.id not in options.ids):
            continue
        row = measured(figure, count)
        broken += not row["met"]
        print(f"{figure.id:4} {'met' if row['met'] else 'NOT MET':8} {row['value']}   ({row['seconds']} s)", flush=True)
        for fault in row["faults"]:
            print(f"     {fault}", flush=True)
        if rows:
            with rows.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
