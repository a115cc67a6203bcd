"""What a chart needs of a journal: at most a few hundred points, however long the run was."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

POINTS = 400
_AVERAGED = ("loss", "learning_rate", "gradient_norm")


def learning_curves(journal: Path) -> dict[str, list[dict[str, Any]]]:
    """`{"steps": [...], "evaluations": [...]}` from the `step` and `evaluated` lines of `journal.jsonl`.

    Steps are averaged in equal stretches; lines that are cut short or of another kind are passed over. A journal that
    is not there gives no points.
    """
    steps: list[dict[str, float]] = []
    evaluations: list[dict[str, Any]] = []
    stretch = 1
    pending: list[Mapping[str, Any]] = []
    for line in _lines(journal):
        if line.get("event") == "step":
            pending.append(line)
            if len(pending) >= stretch:
                steps.append(_mean(pending))
                pending = []
            if len(steps) >= 2 * POINTS:
                steps = [_mean(steps[i : i + 2]) for i in range(0, len(steps), 2)]
                stretch *= 2
        elif line.get("event") == "evaluated" and isinstance(line.get("metrics"), dict):
            numbers = {name: float(value) for name, value in line["metrics"].items() if _finite(value)}
            evaluations.append({"step": line.get("step", 0), "split": line.get("split", "dev"), "metrics": numbers})
    if pending:
        steps.append(_mean(pending))
    return {"steps": steps, "evaluations": evaluations}


def _lines(journal: Path) -> Iterator[dict[str, Any]]:
    if not journal.is_file():
        return
    with journal.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict):
                yield line


def _mean(lines: list[Mapping[str, Any]] | list[dict[str, float]]) -> dict[str, float]:
    """The last step of a stretch with the means of its numbers."""
    point = {"step": lines[-1].get("step", 0)}
    for name in _AVERAGED:
        known = [float(line[name]) for line in lines if name in line and _finite(line[name])]
        if known:
            point[name] = sum(known) / len(known)
    return point


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < float("inf")
