"""The report of a finished run, computed again from what lies in its folder: no model, no data file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.core.atomic import replacing
from tunesmith.core.errors import DataError, MissingInputError, Place, StorageError
from tunesmith.judge.page import write_page
from tunesmith.judge.report import SCHEMA, RunFacts, build_report, headline_split, judge_split
from tunesmith.judge.stored import read_predictions


def rebuilt(run: Path) -> dict[str, Any]:
    """Score the stored predictions of `run` again, write `report.json` and `report.html`, and give the report.

    Baselines need the training rows, so what the run measured of them is kept for every split whose predictions still
    give the same numbers, and dropped where they do not.

    Raises:
        MissingInputError: no report or no predictions here.
        DataError: a report or prediction that was not written by this program.
        StorageError: the report may not be written.
    """
    file = run / "report.json"
    old = _old_report(file)
    seed = old.get("config", {}).get("seed", 0)
    splits = {}
    for name, split in old["splits"].items():
        stored = read_predictions(run / f"predictions.{name}.jsonl")
        fresh = judge_split(stored, {}, kind=old["task"], main=split["main_metric"], seed=seed)
        if _values(fresh) == _values(split):
            fresh["baselines"] = split["baselines"]
        splits[name] = fresh
    known = {name: old.get(name, {}) for name in ("cost", "environment", "data", "config")}
    facts = RunFacts(task=old["task"], name=old.get("name", ""), **known)
    report = build_report(splits, facts)
    _write(file, report)
    write_page(
        report,
        run / f"predictions.{headline_split(splits)}.jsonl",
        run / "journal.jsonl",
        run / "report.html",
        audit=_optional(run / "audit.json"),
    )
    return report


def _values(split: Mapping[str, Any]) -> dict[str, float]:
    return {"n": split["n"]} | {name: metric["value"] for name, metric in split["metrics"].items()}


def _old_report(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise MissingInputError(
            "there is no report here",
            code="TS-JUDGE-030",
            place=Place(file=str(file)),
            fix="name the folder of a finished run (tunesmith train writes it under runs/).",
        )
    report = _optional(file)
    if report is None or report.get("schema") != SCHEMA or not report.get("splits") or "task" not in report:
        raise DataError(
            f"not a report of schema {SCHEMA}",
            code="TS-JUDGE-031",
            place=Place(file=str(file)),
            fix="the file was edited, damaged or written by another version: train or evaluate again.",
        )
    return report


def _optional(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _write(file: Path, report: Mapping[str, Any]) -> None:
    try:
        with replacing(file) as out:
            out.write(json.dumps(report, ensure_ascii=False, indent=2, allow_nan=False))
    except OSError as error:
        raise StorageError(
            f"the report could not be written: {error.strerror}",
            code="TS-JUDGE-032",
            place=Place(file=str(file)),
            fix="free some space or make the folder writable.",
        ) from None
