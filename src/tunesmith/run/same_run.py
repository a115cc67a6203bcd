"""A run goes on as what it began: configuration, backbone and rows are compared before any file of it is touched."""

from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.core.errors import ConfigError, DataError, Place
from tunesmith.run.folder import RunFolder, read_json
from tunesmith.run.prepared import Prepared
from tunesmith.tune.saver import MAY_CHANGE

_FREE = frozenset(f"train.{key}" for key in MAY_CHANGE)
"""Keys that do not decide a result."""


def require_same_run(folder: RunFolder, ready: Prepared) -> None:
    """Refuse to go on with a run as another one.

    Raises:
        ConfigError: a key has another value than when the run began.
        DataError: the rows of a split or the backbone's files are not those the run began with.
    """
    began = read_json(folder.config)
    before, now = (dict(_leaves(table)) for table in (began["config"], ready.config.as_table()))
    for table in (before, now):
        table.pop("trackers", None)  # who watches decides no result
    for key in sorted(before.keys() | now.keys(), key=lambda key: (not key.endswith(".kind"), key)):
        if key.startswith("data.") or key in _FREE:
            continue  # files may have moved, and what else stands there decides the rows, which are compared below
        if before.get(key) != now.get(key):
            raise ConfigError(
                f"the run began with {before.get(key)!r}, now it says {now.get(key)!r}",
                code="TS-RUN-015",
                place=Place(key=key),
                fix="set it back, or start a new run in another folder.",
            )
    rows = read_json(folder.split)["fingerprint"]
    for name, fingerprint in ready.data.record["fingerprint"].items():
        _require_same(f"the {name} rows", rows.get(name), fingerprint, key=f"data.{name}")
    _require_same("the files of the backbone", began["backbone"], ready.checkpoint.fingerprint, key="backbone")


def _require_same(subject: str, before: str | None, now: str, *, key: str) -> None:
    if before != now:
        raise DataError(
            f"{subject} changed since the run began: sha256 {(before or 'unknown')[:16]} then, {now[:16]} now",
            code="TS-RUN-016",
            place=Place(key=key),
            fix="restore what was there, or start a new run in another folder.",
        )


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested tables; a list is a value."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
