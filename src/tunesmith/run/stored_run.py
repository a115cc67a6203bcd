"""A run folder as a stranger finds it: whatever is damaged in it is named, and never an error of whoever looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import MissingInputError, Place
from tunesmith.core.strict_json import JsonFault, parse
from tunesmith.run.course import Course, course
from tunesmith.run.folder import RunFolder
from tunesmith.run.lock import holder
from tunesmith.run.result import Result
from tunesmith.run.standing import Standing, standing

MARKS = ("config.json", "journal.jsonl", "report.json", "split.json", ".lock")
"""A folder that holds one of these is looked at as a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """What the files of one run say. A mapping of a file that is absent or damaged is empty."""

    folder: RunFolder
    standing: Standing
    config: Mapping[str, Any]
    """The resolved configuration"""
    origins: Mapping[str, str]
    backbone_files: str | None
    """Fingerprint of the files of the backbone"""
    data: Mapping[str, Any]
    """The record of the split: files, counts, fingerprints"""
    lessons: tuple[Course, ...]
    """Silver pairs where there were any, then the training rows"""
    result: Result | None

    @property
    def newest(self) -> Course | None:
        """The lesson that the run is at, or ended with."""
        return self.lessons[-1] if self.lessons else None

    @property
    def began(self) -> float | None:
        """Seconds since the epoch: the first step's, else when the configuration was written."""
        if self.lessons:
            return self.lessons[0].began
        try:
            return self.folder.config.stat().st_mtime
        except OSError:
            return None

    @property
    def task(self) -> str | None:
        """The kind of its task."""
        return _kind(self.config, "task")

    @property
    def method(self) -> str | None:
        """The kind of its method."""
        return _kind(self.config, "method")

    @property
    def backbone(self) -> str | None:
        """Its backbone as it was named."""
        named = self.config.get("backbone")
        return named if isinstance(named, str) else None


def looks_like_a_run(path: Path) -> bool:
    """Whether a folder holds a file that only runs are known by."""
    return any((path / name).is_file() for name in MARKS)


def stored_run(path: Path) -> StoredRun:
    """What lies in a folder, whatever its state."""
    folder = RunFolder(path)
    writer = holder(path)
    reading = _Reading(path)
    written = reading.table("config.json")
    config, origins = reading.part(written, "config"), reading.part(written, "origins")
    if not written and not reading.problems:
        reading.problems.append("no config.json: refused or killed before it began, or no run")
    data = reading.table("split.json")
    lessons = reading.lessons(folder)
    report = reading.table("report.json")
    result = reading.result(report) if report else None
    complete = result is not None and (folder.bundle / "bundle.json").is_file()
    problem = reading.problems[0] if reading.problems else None
    fingerprint = written.get("backbone")
    return StoredRun(
        folder=folder,
        standing=standing(lessons[-1] if lessons else None, holder=writer, complete=complete, problem=problem),
        config=config,
        origins=origins,
        backbone_files=fingerprint if isinstance(fingerprint, str) else None,
        data=data,
        lessons=lessons,
        result=result,
    )


def named_run(path: Path) -> StoredRun:
    """The run in a folder, or in `runs/` under that name.

    Raises:
        MissingInputError: in neither.
    """
    for folder in (path, Path("runs") / path):
        if looks_like_a_run(folder):
            return stored_run(folder)
    raise MissingInputError(
        "there is no run here",
        code="TS-RUN-022",
        place=Place(file=str(path)),
        fix="name a folder that `tunesmith train` wrote; `tunesmith runs` lists them.",
    )


class _Reading:
    """Reads the files of a folder and notes what is wrong with them, one sentence each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []

    def table(self, name: str) -> dict[str, Any]:
        """The object in a JSON file; empty where there is none."""
        try:
            found = parse((self.path / name).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            self.problems.append(f"{name} cannot be read: {error.strerror}")
            return {}
        except JsonFault as fault:
            self.problems.append(f"{name} is damaged: {fault.message}")
            return {}
        if isinstance(found, dict):
            return found
        self.problems.append(f"{name} is damaged: it holds no object")
        return {}

    def part(self, written: Mapping[str, Any], key: str) -> dict[str, Any]:
        """A table in config.json."""
        found = written.get(key)
        if written and not isinstance(found, dict):
            bundle = (self.path / "bundle.json").is_file()
            self.problems.append("a bundle, not a run" if bundle else "config.json was not written by a run")
        return found if isinstance(found, dict) else {}

    def lessons(self, folder: RunFolder) -> tuple[Course, ...]:
        """The courses of the journals that are there."""
        found = []
        for journal in (folder.silver.journal, folder.journal):
            try:
                found.append(course(journal))
            except OSError as error:
                self.problems.append(f"journal.jsonl cannot be read: {error.strerror}")
            except ValueError as error:
                self.problems.append(f"journal.jsonl is damaged: {error}")
        return tuple(one for one in found if one is not None)

    def result(self, report: Mapping[str, Any]) -> Result | None:
        """The result in report.json."""
        try:
            return Result.of(report)
        except (KeyError, TypeError, ValueError, AttributeError):
            self.problems.append("report.json is damaged or of another version: delete it and --resume judges again")
            return None


def _kind(config: Mapping[str, Any], section: str) -> str | None:
    table = config.get(section)
    kind = table.get("kind") if isinstance(table, Mapping) else None
    return kind if isinstance(kind, str) else None
