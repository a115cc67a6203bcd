"""The configuration that `tunesmith init` writes: at most 12 lines, each guess with its reason."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.atomic import replacing
from tunesmith.core.errors import CannotCreateError, Place
from tunesmith.prepare.reading import Finding

MOST_LINES = 12
CHINESE = "starter:multilingual"
ENGLISH = "starter:english"
_KEYS = ("text", "pair", "tokens", "tags", "entities", "label", "score", "format", "scheme", "separator", "weight")
"""Options worth a line, most telling first; what does not fit is detected again when the file is read."""
_WHY = {
    "text": "the text",
    "pair": "the second text",
    "label": "the label",
    "score": "the score",
    "entities": "entities with character offsets",
    "tokens": "the words",
    "tags": "one tag a word",
    "format": "how the file is read",
    "scheme": "how tags mark entities",
    "separator": "between several labels",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLook:
    """What was found out about the data: the files of each split, how the first is read, and how its rows fare."""

    files: Mapping[str, Path]
    finding: Finding
    left_out: tuple[str, ...] = ()
    """Files that their names promised but that cannot be read like the training file, and why."""
    chinese: bool
    accepted: int
    rejected: Mapping[str, int]
    """Bad rows by code."""
    labels: Mapping[str, int]
    given: Mapping[str, Any]
    """Options that a person set; they are written down even where they equal the guess."""


def config_text(look: FirstLook, out: Path) -> str:
    """The TOML of a first configuration."""
    head = [
        f"# next: tunesmith audit {out.name}, then tunesmith train {out.name}",
        _line("backbone", CHINESE if look.chinese else ENGLISH, "mostly Chinese" if look.chinese else "not Chinese"),
        f'task = {{ kind = "{look.finding.task}" }}  # {_task_reason(look)}',
        "[data]",
    ]
    for role, path in look.files.items():
        head.append(_line(role, _relative(path, out), _file_reason(role, look)))
    options = _remedies(look) + [_line(*item) for item in _options(look)]
    return "\n".join([*head, *options][:MOST_LINES]) + "\n"


def write_config(text: str, out: Path, *, force: bool) -> None:
    """Write the file whole or not at all.

    Raises:
        CannotCreateError: it exists and `force` is not set, or it cannot be written.
    """
    if out.exists() and not force:
        raise CannotCreateError(
            "exists already",
            code="TS-CONF-030",
            place=Place(file=str(out)),
            fix="choose another name with --out, or overwrite it with --force.",
        )
    try:
        with replacing(out) as file:
            file.write(text)
    except OSError as error:
        raise CannotCreateError(
            f"cannot be written: {error.strerror}",
            code="TS-CONF-031",
            place=Place(file=str(out)),
            fix="choose a folder that exists and may be written to with --out.",
        ) from None


def _options(look: FirstLook) -> list[tuple[str, Any, str]]:
    options = {"format": look.finding.format.kind()} | look.finding.format.options()
    given = [(key, value, "as given") for key, value in look.given.items() if key not in ("task", "split", *_KEYS)]
    found = []
    for key in _KEYS:
        value = options.get(key)
        if value is not None:
            value = value[0] if isinstance(value, list) and len(value) == 1 else value
            found.append((key, value, "as given" if key in look.given else _WHY.get(key, "")))
    return given + found


def _remedies(look: FirstLook) -> list[str]:
    """Lines without which training would stop at the first bad row, in sight so that they can be taken out."""
    lines = []
    left = Counter(look.rejected)
    overlaps, transitions = left.pop("TS-DATA-024", 0), left.pop("TS-DATA-029", 0)
    if overlaps:
        lines.append(
            _line("overlaps", "longest", f"{overlaps} rows hold overlapping entities; without this line refused")
        )
    if transitions:
        reason = f"{transitions} rows break the tag scheme; read as conlleval does; without this line refused"
        lines.append(_line("transitions", "repair", reason))
    if left:
        codes = ", ".join(f"{count} x {code}" for code, count in left.most_common(3))
        lines.append(f"skip_bad = true  # {codes}; left-out rows go to the run folder; without this line refused")
    return lines


def _task_reason(look: FirstLook) -> str:
    names = ", ".join(list(look.labels)[:5])
    more = ", ..." if len(look.labels) > 5 else ""
    return f"{len(look.labels)} labels: {names}{more}".replace("\n", " ") if look.labels else "from the columns"


def _file_reason(role: str, look: FirstLook) -> str:
    if role == "train":
        missing = [name for name in ("dev", "test") if name not in look.files]
        rest = f"; {' and '.join(missing)} taken from it" if missing else ""
        return f"{look.accepted} rows{rest}"
    return "chooses the best checkpoint" if role == "dev" else "the reported score"


def _relative(path: Path, out: Path) -> str:
    relative = os.path.relpath(path, out.parent)
    return str(path.resolve()) if relative.startswith(os.pardir) else relative


def _line(key: str, value: Any, why: str) -> str:  # noqa: ANN401 - a TOML value
    comment = f"  # {why}" if why else ""
    return f"{key} = {_toml(value)}{comment}"


def _toml(value: Any) -> str:  # noqa: ANN401 - a TOML value
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)
