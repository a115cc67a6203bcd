"""What a data file holds, and its rows as examples: `detect` looks, `read` reads, `Rejects` keeps what was refused.

    finding = detect(Path("reviews.csv"))
    for example in read(finding.path, finding.format): ...

`reviews.csv#train` names the rows of one split inside a file.
"""

import difflib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tunesmith.core.component import validated
from tunesmith.core.errors import CannotCreateError, ConfigError, DataError, Place
from tunesmith.core.example import Example
from tunesmith.core.format import FORMATS, ROWS, Format, Match, Rows, Sample, option_names
from tunesmith.prepare.formats._details import names_in
from tunesmith.prepare.text_files import sample_of

EVERYWHERE = ("format", "task", "encoding", "split", "label_names")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a file holds: its format with every option decided, the task its rows are for, and why."""

    path: Path
    format: Format
    task: str
    notes: tuple[str, ...]

    @property
    def rows(self) -> Rows:
        """What its rows have in common."""
        return ROWS.get(self.task, Rows())

    def options(self) -> dict[str, Any]:
        """The flat options that read another file the same way. What belongs to this file alone is left out."""
        own = {"split", "encoding", "id", "group", "time", "split_column", "scheme", "quoting"}
        options = {name: value for name, value in self.format.options().items() if name not in own}
        return {"format": self.format.kind()} | options

    def splits(self) -> tuple[str, ...]:
        """The splits that the file names itself; `divided` says how one is asked for."""
        return self.format.splits(self.path)

    def as_record(self) -> dict[str, Any]:
        """A JSON-ready object."""
        options = {"format": self.format.kind()} | self.format.options()
        return {"path": str(self.path), "task": self.task, "options": options, "notes": list(self.notes)}


def detect(path: Path, *, given: Mapping[str, Any] | None = None) -> Finding:
    """Look at a file and decide how to read it. `given` are the options a person set; they are never changed.

    Raises:
        MissingInputError: the file is not there or may not be read.
        DataError: it is empty, of no known format, or without rows that a task could use.
        ConfigError: an unknown option, a value of the wrong type, or a column that the file does not have.
        MissingExtraError: the format needs an optional dependency.
    """
    path, split = divided(path)
    options = {**(given or {}), **({"split": split} if split else {})}
    kind = options.pop("format", None)
    encoding = options.get("encoding")
    sample = sample_of(path, encoding=encoding if isinstance(encoding, str) else None)
    _require_known(options, kind)
    if (names := options.get("label_names")) is not None:
        options["label_names"] = _label_names(names, path)
    kind = kind if kind is not None else _likeliest(sample)
    format_ = made(str(kind), options)
    match = format_.sniff(sample)
    if match is None:
        raise DataError(
            f"cannot be read as {kind}",
            code="TS-DATA-007",
            place=Place(file=str(path)),
            fix="leave `format` out to have it detected, or correct it.",
        )
    return _finding(path, match)


def read(path: Path, format: Format, *, rejects: "Rejects | None" = None) -> Iterator[Example]:
    """The examples of a file in order, one at a time.

    Raises:
        DataError: the first bad row, at its file, line and column, unless `rejects` takes it.
    """
    path, split = divided(path)
    if split:
        format = made(format.kind(), format.options() | {"split": split})
    for example in format.read(path, reject=rejects.add if rejects is not None else None):
        if rejects is not None:
            rejects.accepted += 1
        yield example


def divided(path: Path) -> tuple[Path, str | None]:
    """A path and the split after `#`, unless the `#` belongs to the name of a file that is there."""
    name, mark, split = path.name.rpartition("#")
    if not mark or not name or path.exists():
        return path, None
    return path.with_name(name), split


def made(kind: str, options: Mapping[str, Any]) -> Format:
    """A format from flat options.

    Raises:
        ConfigError: no such format or option, or a value of the wrong type.
    """
    component = FORMATS.component(kind, key="data.format")
    known = option_names(component)
    fields: dict[str, Any] = {}
    for name, value in options.items():
        if name not in known:
            raise _unknown(name, list(known), f" of the format {kind}")
        *outer, last = known[name]
        target = fields
        for part in outer:
            target = target.setdefault(part, {})
        target[last] = value
    return validated(component, fields, key="data")


class Rejects:
    """Keeps bad rows as JSON lines: what is wrong, where, the fix, and the row itself.

    `rejected` and `accepted` add up to the rows read. The file appears whole when the block is left, or not at all;
    without a path bad rows are only counted.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rejected = 0
        self.accepted = 0
        self._part = path.with_name(f"{path.name}.part") if path is not None else None
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        """Open the file.

        Raises:
            CannotCreateError: it cannot be written.
        """
        if self._part is None:
            return self
        try:
            self._file = self._part.open("w", encoding="utf-8")
        except OSError as error:
            raise CannotCreateError(
                f"cannot be written: {error.strerror}",
                code="TS-DATA-038",
                place=Place(file=str(self.path)),
                fix="choose a folder that exists and may be written to.",
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the file in its place."""
        if self._file is not None and self._part is not None and self.path is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
            self._part.replace(self.path)

    def add(self, error: DataError, row: str = "") -> None:
        """Keep one bad row."""
        self.rejected += 1
        if self._file is not None:
            sound = row.encode("utf-8", "backslashreplace").decode("utf-8")
            self._file.write(json.dumps(error.as_record() | {"row": sound}, ensure_ascii=False) + "\n")


def _finding(path: Path, match: Match) -> Finding:
    return Finding(path, match.format, match.task, match.notes)


def _likeliest(sample: Sample) -> str:
    scores = {kind: FORMATS.component(kind)().resembles(sample) for kind in FORMATS.kinds}
    best = max(scores, key=lambda kind: scores[kind])
    if scores[best] > 0:
        return best
    raise _unrecognised(sample)


_MAGIC = {
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"PK\x03\x04": "a zip archive: unpack it first (an Excel file must end in .xlsx)",
    b"%PDF": "a PDF: extract the text and write rows with labels",
    b"\xd0\xcf\x11\xe0": "an old Office file: save it as .xlsx or .csv",
    b"BZh": "a bzip2 archive: unpack it first",
    b"\xfd7zXZ": "an xz archive: unpack it first",
    b"\x28\xb5\x2f\xfd": "a zstd archive: unpack it first",
}


def _unrecognised(sample: Sample) -> DataError:
    place = Place(file=str(sample.path))
    if sample.path.is_dir():
        inside = sorted(item.name for item in sample.path.iterdir())[:8]
        return DataError(
            "is a folder, and not one of parallel line files (seq.in, seq.out, label)",
            code="TS-DATA-002",
            place=place,
            fix=f"name a file in it{': ' + ', '.join(inside) if inside else ''}.",
        )
    for magic, advice in _MAGIC.items():
        if sample.magic.startswith(magic):
            return DataError(f"this is {advice.split(':')[0]}", code="TS-DATA-005", place=place, fix=f"{advice}.")
    if not sample.encoding:
        fix = 'give a text file; UTF-16 needs a byte-order mark or encoding = "utf-16-le".'
        return DataError("this is a binary file", code="TS-DATA-005", place=place, fix=fix)
    return DataError(
        "the format is not recognised",
        code="TS-DATA-007",
        place=place,
        fix=f"set `format`: {', '.join(FORMATS.kinds)}.",
    )


def _require_known(options: Mapping[str, Any], kind: object) -> None:
    """Refuse options that no format has; `made` refuses those that the chosen one lacks."""
    if kind is not None:
        FORMATS.component(str(kind), key="data.format")
        return
    known = {name for each in FORMATS.kinds for name in option_names(FORMATS.component(each))}
    for name in options:
        if name not in known:
            raise _unknown(name, sorted(known), "")


def _unknown(name: str, known: list[str], where: str) -> ConfigError:
    near = difflib.get_close_matches(name, (*known, "train", "dev", "test"), n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return ConfigError(
        f"unknown option{where}",
        code="TS-CONF-003",
        place=Place(key=f"data.{name}"),
        fix=f"{hint}Known: {', '.join(sorted(known))}.",
    )


def _label_names(names: object, path: Path) -> object:
    """A list as it is; the name of a file (beside the data, or where the command runs) as the names in it."""
    if not isinstance(names, str):
        return names
    beside = path.parent / names
    return list(names_in(beside if beside.is_file() or not Path(names).is_file() else Path(names)))
