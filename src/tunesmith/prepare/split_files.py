"""Which files (or folders of parallel files) beside each other are train, dev and test."""

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from tunesmith.core.errors import DataError, MissingInputError, Place

ROLES = {
    "train": re.compile(r"train", re.IGNORECASE),
    "dev": re.compile(r"(dev|valid|(^|[^a-z])val([^a-z]|$)|testa$)", re.IGNORECASE),
    "test": re.compile(r"(^|[^a-z])test(?!a$)", re.IGNORECASE),
}
"""What a name says. `testa` and `testb` are the dev and test of the CoNLL shared tasks."""
_IGNORED = (".md", ".toml", ".py", ".html", ".zip", ".gz")


def split_files(path: Path) -> dict[str, Path]:
    """The files of each split: those of a folder by their names; for a single training file also its siblings.

    Raises:
        MissingInputError: there is nothing at `path`.
        DataError: a folder in which no training file can be told.
    """
    if path.is_dir():
        return _in_folder(path)
    if not path.exists() and "#" not in path.name:
        raise MissingInputError(
            "there is no such file or folder",
            code="TS-DATA-001",
            place=Place(file=str(path)),
            fix="give a data file, or a folder with train, dev and test files.",
        )
    if "#" in path.name or not ROLES["train"].search(path.name):
        return {"train": path}
    beside = [other for other in _candidates(path.parent) if other != path and other.suffix == path.suffix]
    beside += [other for other in _candidates(path.parent) if path.stem == other.stem and other != path]
    return _roles(path, beside)


def _in_folder(folder: Path) -> dict[str, Path]:
    if (folder / "seq.in").is_file():
        return _roles(folder, [other for other in _candidates(folder.parent) if other.is_dir() and other != folder])
    candidates = [path for path in _candidates(folder) if path.is_file() or (path / "seq.in").is_file()]
    training = [path for path in candidates if ROLES["train"].search(path.name)]
    if training:
        return _roles(training[0], candidates)
    if len(candidates) == 1:
        return {"train": candidates[0]}
    raise DataError(
        "no training file can be told from the names in this folder",
        code="TS-DATA-002",
        place=Place(file=str(folder)),
        fix=f"name the file: {', '.join(path.name for path in candidates[:8]) or 'the folder is empty'}.",
    )


def _candidates(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in found if path.suffix.lower() not in _IGNORED)


def _roles(train: Path, others: Sequence[Path]) -> dict[str, Path]:
    """Dev and test among the others: the name most like that of the training file wins."""
    found = {"train": train}
    for role in ("dev", "test"):
        named = [path for path in others if path != train and ROLES[role].search(path.name)]
        named = [path for path in named if not ROLES["train"].search(path.name) and path.is_dir() == train.is_dir()]
        if role == "test":
            named = [path for path in named if path != found.get("dev")]
        if named:
            found[role] = max(named, key=lambda path: _likeness(path, train))
    return found


def _likeness(path: Path, train: Path) -> tuple[int, int]:
    begin, end = _shared(path.name, train.name), _shared(path.stem[::-1], train.stem[::-1])
    return begin + end + (path.suffix == train.suffix), -len(path.name)


def _shared(one: str, other: str) -> int:
    """How many characters two names begin with in common."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in pairs)
