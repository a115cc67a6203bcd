"""`report.html`: one file that opens anywhere, asks no host for anything, and shows what `report.json` says."""

import heapq
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tunesmith.core.atomic import replacing
from tunesmith.core.errors import CannotCreateError, Place
from tunesmith.core.prediction import Prediction
from tunesmith.judge.audit_tables import audit_view, facts_view
from tunesmith.judge.curves import learning_curves
from tunesmith.judge.errors_table import error_record, worst_errors
from tunesmith.judge.forms import WRITTEN
from tunesmith.judge.intervals import key_of
from tunesmith.judge.metrics.spans import FATES
from tunesmith.judge.ranked_sample import ranked_sample
from tunesmith.judge.stored import read_predictions
from tunesmith.judge.truth import BASELINE_NAMES, LEADS, METRIC_NAMES
from tunesmith.judge.written_rows import samples, worst
from tunesmith.web.loading import asset, page

HEAT_LABELS = 24
"""A heat map of more labels than this cannot be read; the most confused ones are shown."""
SCATTER = 800


def write_page(
    report: Mapping[str, Any], predictions: Path, journal: Path, out: Path, *, audit: Mapping[str, Any] | None = None
) -> Path:
    """Write the page of a report and give its path.

    `predictions` are the stored answers of the headline split, `journal` the run's events (it may be missing), `audit`
    what `prepare/audit` recorded: `{"sections": [{"title", "summary", "status", "rows"}]}`.

    Raises:
        MissingInputError: the predictions are not there.
        CannotCreateError: the page may not be written.
    """
    stored = read_predictions(predictions)
    split = report["splits"][report["headline_split"]]
    errors, wrong, picked = _rows(stored, split)
    context = {
        "report": report,
        "verdict": _verdict(report),
        "split": split,
        "split_name": report["headline_split"],
        "audit": audit_view(audit),
        "ranked": ranked_sample(stored) if split["form"] == "ranking" else [],
        "errors": errors,
        "wrong": wrong,
        "samples": picked,
        "error_labels": sorted({label for error in errors for label in error["labels"]}),
        "hues": _hues(split, errors),
        "fates": FATES,
        "facts": {name: facts_view(report.get(name, {})) for name in ("data", "cost", "environment", "config")},
        "charts": _charts(report, split, journal, stored),
    }
    return written(out, page("report.html.j2", context | language()))


def write_audit_page(audit: Mapping[str, Any], out: Path, *, title: str) -> Path:
    """Write the findings of an audit as a page of their own and give its path.

    Raises:
        CannotCreateError: the page may not be written.
    """
    return written(out, page("audit.html.j2", {"audit": audit_view(audit), "title": title} | language()))


def _rows(stored: Iterable[Prediction], split: Mapping[str, Any]) -> tuple[list[dict[str, Any]], int, list[Any]]:
    """The worst rows, how many are not right in all, and for written answers a few that nobody chose."""
    form, main = split["form"], split["main_metric"]
    if form in WRITTEN:
        return *worst(stored, form=form, main=main), samples(stored, form=form, main=main)
    mistakes, wrong = worst_errors(stored)
    return [error_record(mistake) for mistake in mistakes], wrong, []


def _verdict(report: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The headline in both languages, its first sentence apart from the facts."""
    lead, lead_zh = LEADS[report["verdict"]]
    english, chinese = str(report["headline"]), str(report["headline_zh"])
    return {"en": (lead, english.removeprefix(lead).strip()), "zh": (lead_zh, chinese.removeprefix(lead_zh).strip())}


def language() -> dict[str, Any]:
    """The texts of pages in both languages, for a template."""
    texts: dict[str, dict[str, str]] = json.loads(asset("texts.json"))
    names = {f"metric.{key}": {"en": en, "zh": zh} for key, (en, zh) in METRIC_NAMES.items()}
    names |= {f"baseline.{key}": {"en": en, "zh": zh} for key, (en, zh) in BASELINE_NAMES.items()}
    return {"texts": names | texts}


def _charts(
    report: Mapping[str, Any], split: Mapping[str, Any], journal: Path, stored: Iterable[Prediction]
) -> dict[str, Any]:
    main = split["main_metric"]
    standing = [{"name": "model", **split["metrics"][main]}]
    standing += [{"name": name, **rival["metrics"][main]} for name, rival in split["baselines"].items()]
    return {
        "form": split["form"],
        "main": main,
        "standing": standing,
        "curves": learning_curves(journal),
        "confusion": _confusion(split.get("confusion") or []),
        "scatter": _scatter(stored) if split["form"] == "scores" else [],
    }


def _confusion(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """The labels worth drawing, their cells, and the pairs that were mixed up most."""
    involved: dict[str, int] = {}
    for cell in cells:
        for label in {cell["gold"], cell["predicted"]}:
            involved[label] = involved.get(label, 0) + (cell["count"] if cell["gold"] != cell["predicted"] else 0)
    total = len(involved) - ("" in involved)
    most = sorted(involved, key=lambda label: (-involved[label], label))[:HEAT_LABELS]
    shown = [cell for cell in cells if cell["gold"] in most and cell["predicted"] in most]
    rows: dict[str, int] = {}
    for cell in cells:
        rows[cell["gold"]] = rows.get(cell["gold"], 0) + cell["count"]
    mixed = [cell for cell in cells if cell["gold"] != cell["predicted"] and cell["gold"] and cell["predicted"]]
    return {
        "labels": sorted(label for label in most if label) + ([""] if "" in most else []),
        "of": total,
        "cells": [{**cell, "share": cell["count"] / rows[cell["gold"]]} for cell in shown],
        "pairs": sorted(mixed, key=lambda cell: (-cell["count"], cell["gold"], cell["predicted"]))[:12],
    }


def _scatter(stored: Iterable[Prediction]) -> list[list[float]]:
    """A fair sample of (gold, predicted), the same one every time."""
    picked: list[tuple[int, float, float]] = []
    for prediction in stored:
        if isinstance(prediction.gold, int | float) and isinstance(prediction.predicted, int | float):
            entry = (-key_of(prediction.id, 0), float(prediction.gold), float(prediction.predicted))
            heapq.heappush(picked, entry)
            if len(picked) > SCATTER:
                heapq.heappop(picked)
    return [[gold, predicted] for _, gold, predicted in sorted(picked)]


def _hues(split: Mapping[str, Any], errors: list[dict[str, Any]]) -> dict[str, int]:
    labels = {row["label"] for row in split["labels"]} | {label for error in errors for label in error["labels"]}
    return {label: position % 10 for position, label in enumerate(sorted(labels))}


def written(out: Path, html: str) -> Path:
    """Write a page, whole or not at all, and give its path.

    Raises:
        CannotCreateError: it may not be written.
    """
    try:
        with replacing(out, errors="replace") as file:
            file.write(html)
    except OSError as error:
        raise CannotCreateError(
            f"the page could not be written: {error.strerror}",
            code="TS-JUDGE-020",
            place=Place(file=str(out)),
            fix="choose a folder that exists and may be written.",
        ) from None
    return out
