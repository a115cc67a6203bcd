"""`RunConfig`: everything that decides a run, read from TOML, closed at every level, saved with each value's origin.

Precedence is file, then `--set`. Environment variables never change a run.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from tunesmith.core.component import Component, Room, validated
from tunesmith.core.errors import ConfigError, MissingInputError, Place
from tunesmith.core.method import Method
from tunesmith.core.regularizer import Regularizer
from tunesmith.core.rooms import METHODS, REGULARIZERS, TASKS, TRACKERS
from tunesmith.core.task import Task
from tunesmith.core.tracker import Tracker
from tunesmith.prepare.reading import divided
from tunesmith.run.data_settings import DataSettings
from tunesmith.run.leaves import leaves
from tunesmith.tune.settings import TrainSettings


class SilverSettings(BaseModel):
    """Pairs of training texts, as given and new ones, scored by the backbone's own cosine, to learn ahead of gold."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    pairs: int = Field(ge=1)
    """How many new ones; fewer where there are not so many."""
    length: str = "1 epoch"
    """How long to learn them, as `train.length`."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak rate; that of the training rows where absent. It may be higher: there is no scarce gold to overfit."""
    batch_size: int | None = Field(default=None, ge=1)
    """Pairs that go through the model at once; as for the training rows where absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """One run. `task` is None until the data decide it."""

    data: DataSettings
    silver: SilverSettings | None = None
    seed: int = 0
    backbone: str = "starter:english"
    adapters: tuple[str, ...] = ()
    """Folders of adapters that are folded into the backbone first, in this order"""
    task: Task | None = None
    method: Method
    train: TrainSettings
    regularizers: tuple[Regularizer, ...] = ()
    trackers: tuple[Tracker, ...] = ()
    folder: Path = Path()
    """What the paths of `data` are relative to."""

    def as_table(self) -> dict[str, Any]:
        """The configuration with every default written out, JSON-ready."""
        return self.result_table() | {"trackers": [tracker.as_table() for tracker in self.trackers]}

    def result_table(self) -> dict[str, Any]:
        """What of `as_table` can decide a result: who watches the run is no part of its report and its bundle."""
        data = self.data.model_dump(mode="json")
        return {
            "seed": self.seed,
            "backbone": self.backbone,
            "adapters": list(self.adapters),
            "data": data | data.pop("options"),
            "silver": self.silver.model_dump(mode="json") if self.silver else None,
            "task": self.task.as_table() if self.task else None,
            "method": self.method.as_table(),
            "train": self.train.model_dump(mode="json"),
            "regularizers": [regularizer.as_table() for regularizer in self.regularizers],
        }

    def path(self, name: str) -> Path:
        """A path of the `data` section: as seen from the working directory where it lies below that, else absolute."""
        found = (self.folder / Path(name).expanduser()).resolve()
        return found.relative_to(Path.cwd()) if found.is_relative_to(Path.cwd()) else found

    def with_task(self, task: Task) -> "RunConfig":
        """The same run with its task decided."""
        return replace(self, task=task)


KEYS = ("seed", "backbone", "adapters", "data", "silver", "task", "method", "train", "regularizers", "trackers")


def parsed(table: Mapping[str, Any], *, folder: Path) -> RunConfig:
    """The run that a TOML table describes.

    Raises:
        ConfigError: at the exact key.
    """
    for key in table:
        if key not in KEYS:
            raise ConfigError(
                "unknown key",
                code="TS-CONF-003",
                place=Place(key=key),
                fix=f"known here: {', '.join(KEYS)}.",
            )
    data = dict(_section(table, "data"))
    options = {key: data.pop(key) for key in list(data) if key not in DataSettings.model_fields or key == "options"}
    if "options" in options:
        raise ConfigError(
            "unknown key", code="TS-CONF-003", place=Place(key="data.options"), fix="write format options in [data]."
        )
    if "train" not in data and "draws" not in data and (data.get("shots") != 0 or "test" not in data):
        fix = "name the rows to learn from; only a run with shots = 0 and a test file can do without."
        raise ConfigError("this key is required", code="TS-CONF-003", place=Place(key="data.train"), fix=fix)
    return RunConfig(
        data=validated(DataSettings, {**data, "options": options}, key="data"),
        silver=validated(SilverSettings, _section(table, "silver"), key="silver")
        if table.get("silver") is not None
        else None,
        seed=_typed(table, "seed", int, 0),
        backbone=_typed(table, "backbone", str, "starter:english"),
        adapters=_names(table, "adapters"),
        task=TASKS.make(table["task"], key="task") if table.get("task") is not None else None,
        method=METHODS.make(table.get("method", "full"), key="method"),
        train=validated(TrainSettings, _section(table, "train"), key="train"),
        regularizers=_several(table, "regularizers", REGULARIZERS),
        trackers=_several(table, "trackers", TRACKERS),
        folder=folder,
    )


def read_config(file: Path, *, overrides: Sequence[str] = (), data: Path | None = None) -> RunConfig:
    """The run that a TOML file describes, with `--set` applied. Paths are relative to `data`, or to the file's folder.

    Raises:
        MissingInputError: no such file.
        ConfigError: not TOML, or wrong at a key.
    """
    return parsed(overridden(read_table(file), overrides), folder=(data or file.parent).resolve())


def read_table(file: Path) -> dict[str, Any]:
    """The TOML of a configuration file."""
    if not file.is_file():
        raise MissingInputError(
            "there is no such configuration",
            code="TS-RUN-001",
            place=Place(file=str(file)),
            fix="write one with `tunesmith init DATA`.",
        )
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"not TOML: {error}",
            code="TS-CONF-005",
            place=Place(file=str(file)),
            fix="mend it there; texts stand in quotes, and `tunesmith init DATA` writes a whole one to look at.",
        ) from None


def overridden(table: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """The table with `key=value` assignments applied; a value is TOML, and text that is not TOML is a string."""
    result = _copied(table)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(
                f"not an assignment: {assignment!r}", code="TS-CONF-006", fix="write --set method.rank=4."
            )
        *path, last = key.strip().split(".")
        target = result
        for part in path:
            inner = target.setdefault(part, {})
            if not isinstance(inner, dict):
                inner = target[part] = {"kind": inner}
            target = inner
        target[last] = _value(text.strip())
    return result


def overlaid(table: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The table with the values of another laid over it, key by key, as deep as both are tables."""
    result = _copied(table)
    for key, value in over.items():
        below = result.get(key)
        result[key] = overlaid(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return result


def origins(resolved: Mapping[str, Any], file: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, str]:
    """For each leaf of the resolved configuration: "flag", "file" or "default"."""
    flags = {assignment.partition("=")[0].strip() for assignment in assignments}
    named = {key for key, _ in leaves(file)}
    return {key: "flag" if key in flags else "file" if key in named else "default" for key, _ in leaves(resolved)}


def require_files(config: RunConfig) -> None:
    """Check that the data files exist.

    Raises:
        MissingInputError: at the key whose path leads nowhere.
    """
    for key, name in config.data.files.items():
        if not divided(config.path(name))[0].exists():
            raise MissingInputError(
                f"there is no file or folder {config.path(name)}",
                code="TS-RUN-002",
                place=Place(key=f"data.{key}"),
                fix="paths are relative to the configuration, or to the folder given with --data.",
            )


def _value(text: str) -> Any:  # noqa: ANN401 - any TOML value
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _copied(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in table.items()}


def _section(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = table.get(key, {})
    if not isinstance(section, Mapping):
        raise ConfigError("must be a table", code="TS-CONF-004", place=Place(key=key), fix=f"write [{key}].")
    return section


C = TypeVar("C", bound=Component)


def _several(table: Mapping[str, Any], key: str, room: Room[C]) -> tuple[C, ...]:
    tables = table.get(key, [])
    if not isinstance(tables, list):
        raise ConfigError(
            "must be an array of tables", code="TS-CONF-004", place=Place(key=key), fix=f"write [[{key}]] above each."
        )
    return tuple(room.make(item, key=f"{key}.{number}") for number, item in enumerate(tables))


def _names(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = table.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            "must be an array of folders", code="TS-CONF-004", place=Place(key=key), fix=f'write {key} = ["folder"].'
        )
    return tuple(names)


V = TypeVar("V", int, str)


def _typed(table: Mapping[str, Any], key: str, kind: type[V], default: V) -> V:
    value = table.get(key, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ConfigError(
            f"must be of type {kind.__name__}",
            code="TS-CONF-004",
            place=Place(key=key),
            fix=f"write for instance {key} = {json.dumps(default)}.",
        )
    return value
