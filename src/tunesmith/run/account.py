"""One run told in full, from its files alone: what it was made of, what it scored, what can be done with it next."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.judge.curves import learning_curves
from tunesmith.run.catalogue import Row, row
from tunesmith.run.difference import conditions
from tunesmith.run.leaves import leaves
from tunesmith.run.stored_run import StoredRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What `tunesmith runs show` tells."""

    run: StoredRun
    row: Row
    chosen: tuple[tuple[str, Any, str], ...]
    """(key, value, origin) of whatever somebody set"""
    splits: tuple[tuple[str, int | None, str | None, str | None], ...]
    """(split, rows, file, fingerprint); no file where the rows were taken from the training file"""
    curves: Mapping[str, Any]
    """As `judge.curves.learning_curves` gives them"""
    files: Mapping[str, Path]
    """Those that are there: report, page, bundle, adapter"""
    commands: tuple[tuple[str, str], ...]
    """(command, what for)"""

    def as_record(self) -> dict[str, Any]:
        """A JSON-ready object."""
        result = self.run.result
        judged = {
            name: {
                "rows": split.rows,
                "main_metric": split.main,
                "metrics": {key: metric.as_record() for key, metric in split.metrics.items()},
                "baselines": {
                    rival: {key: metric.as_record() for key, metric in metrics.items()}
                    for rival, metrics in split.baselines.items()
                },
            }
            for name, split in (result.splits if result else {}).items()
        }
        return self.row.as_record() | {
            "headline": result.headline if result else None,
            "config": [{"key": key, "value": value, "from": origin} for key, value, origin in self.chosen],
            "data": [dict(zip(("split", "rows", "file", "fingerprint"), split, strict=True)) for split in self.splits],
            "splits": judged,
            "curve": dict(self.curves),
            "cost": dict(result.cost) if result else {},
            "environment": conditions(self.run),
            "files": {name: str(path) for name, path in self.files.items()},
            "next": [command for command, _ in self.commands],
        }


def account(run: StoredRun) -> Account:
    """Tell of one run whatever its files hold."""
    folder = run.folder
    places = {"report": folder.report, "page": folder.page, "bundle": folder.bundle, "adapter": folder.adapter}
    return Account(
        run=run,
        row=row(run, str(folder.path)),
        chosen=tuple(_chosen(run)),
        splits=tuple(_split(run, name) for name in ("train", "dev", "test")) if run.data else (),
        curves=learning_curves(folder.journal),
        files={name: path for name, path in places.items() if path.exists()},
        commands=tuple(_commands(run)),
    )


def _chosen(run: StoredRun) -> list[tuple[str, Any, str]]:
    """Values that are no defaults. A run from Python knows the origin of whole sections only."""
    found = []
    for key, value in leaves(run.config):
        origin = run.origins.get(key) or run.origins.get(key.partition(".")[0]) or "unknown"
        if origin != "default" and not (origin in ("python", "unknown") and value is None):
            found.append((key, value, str(origin)))
    return found


def _split(run: StoredRun, name: str) -> tuple[str, int | None, str | None, str | None]:
    facts = [run.data.get(table) for table in ("counts", "files", "fingerprint")]
    count, file, fingerprint = (fact.get(name) if isinstance(fact, Mapping) else None for fact in facts)
    return name, count, file, fingerprint


def _commands(run: StoredRun) -> list[tuple[str, str]]:
    path = shlex.quote(str(run.folder.path))
    match run.standing.state:
        case "running":
            return [(f"tunesmith runs show {path}", "look again")]
        case "finished":
            return [
                (f"tunesmith report {path} --open", "every number, every error"),
                (f"tunesmith runs diff OTHER {path}", "is it better than another run?"),
                (f"tunesmith serve {shlex.quote(str(run.folder.bundle))}", "answer over HTTP"),
            ]
        case "broken":
            return [("tunesmith train CONFIG --out FOLDER", "start again in another folder")]
        case _ if any(lesson.saved is not None for lesson in run.lessons):
            return [(f"tunesmith train CONFIG --out {path} --resume", "go on to the same result")]
        case _:
            return [("tunesmith train CONFIG --out FOLDER", "nothing was saved here: start again in another folder")]
