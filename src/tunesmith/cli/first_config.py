"""The configuration that `tunesmith init` writes: about a dozen lines, each guess with its reason."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.cli.output import printable
from tunesmith.core.atomic import replacing
from tunesmith.core.errors import CannotCreateError, Place
from tunesmith.judge.errors_table import visible
from tunesmith.prepare.reading import Finding, divided

MOST_LINES = 12
"""Guesses end here. What a person gave, and what bad rows need, is written whatever the count."""
CHINESE = "starter:multilingual"
ENGLISH = "starter:english"
WRITING = "starter:chat"
TREE = "hierarchical_classification"
_KEYS = (
    "text", "pair", "answers", "answer", "messages", "tokens", "tags", "entities", "label", "score",
    "format", "scheme", "separator", "weight",
)  # fmt: skip
"""Options worth a line, most telling first; what does not fit is detected again when the file is read."""
_WHY = {
    "text": "the text",
    "pair": "the second text",
    "answers": "answers with character offsets",
    "answer": "the answer that is to be written",
    "messages": "conversations",
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
    kind: str | None = None
    """The kind of task that a person asked for"""
    separator: str | None = None
    """The sign that makes a tree of the labels, where most hold it"""
    given: Mapping[str, Any]
    """Options that a person set; they are written down even where they equal the guess."""


def config_text(look: FirstLook, out: Path) -> str:
    """The TOML of a first configuration."""
    lines = [
        f"# {_comment(f'next: tunesmith audit {out.name}, then tunesmith train {out.name}')}",
        *_backbone(look),
        f"task = {_task(look)}  # {_comment(_task_reason(look))}",
        "[data]",
    ]
    for role, path in look.files.items():
        lines.append(_line(role, _named(path, out, look), _file_reason(role, look)))
    lines += _remedies(look) + _given(look)
    return "\n".join(lines + _guesses(look)[: max(0, MOST_LINES - len(lines))]) + "\n"


def _task(look: FirstLook) -> str:
    """The table of the task, with the separator of a tree where it is not the usual one."""
    fields = {"kind": look.kind or look.finding.task}
    if look.kind == TREE and look.separator not in (None, "/"):
        fields["separator"] = look.separator
    return f"{{ {', '.join(f'{key} = {_toml(value)}' for key, value in fields.items())} }}"


def _backbone(look: FirstLook) -> list[str]:
    if look.finding.rows.written:
        method = 'method = { kind = "lora" }  # tuning a language model in full takes gigabytes'
        return [_line("backbone", WRITING, "small, English, and writes"), method]
    if look.kind == "cloze_classification":
        return [_line("backbone", WRITING, "it was pretrained to write, which sentence encoders were not")]
    if look.chinese:
        return [_line("backbone", CHINESE, "mostly Chinese")]
    return [_line("backbone", ENGLISH, "not Chinese")]


def require_new(out: Path, *, force: bool) -> None:
    """Refuse to overwrite what nobody said may be overwritten, before the data are looked at.

    Raises:
        CannotCreateError: it exists and `force` is not set.
    """
    if out.exists() and not force:
        raise CannotCreateError(
            "exists already",
            code="TS-CONF-030",
            place=Place(file=str(out)),
            fix="choose another name with --out, or overwrite it with --force.",
        )


def write_config(text: str, out: Path) -> None:
    """Write the file whole or not at all.

    Raises:
        CannotCreateError: it cannot be written.
    """
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


def _given(look: FirstLook) -> list[str]:
    """Every option that a person set; the task and the split have a place of their own."""
    return [_line(key, value, "as given") for key, value in look.given.items() if key not in ("task", "split")]


def _guesses(look: FirstLook) -> list[str]:
    options = {"format": look.finding.format.kind()} | look.finding.format.options()
    lines = []
    for key in _KEYS:
        value = options.get(key)
        if value is not None and key not in look.given:
            value = value[0] if isinstance(value, list) and len(value) == 1 else value
            lines.append(_line(key, value, _WHY.get(key, "")))
    return lines


def _remedies(look: FirstLook) -> list[str]:
    """Lines without which training would stop at the first bad row, in sight so that they can be taken out."""
    lines = []
    left = Counter(look.rejected)
    overlaps = left.pop("TS-DATA-024", 0) if "overlaps" not in look.given else 0
    transitions = left.pop("TS-DATA-029", 0) if "transitions" not in look.given else 0
    stray = left.pop("TS-DATA-046", 0) if "stray" not in look.given else 0
    if overlaps:
        lines.append(
            _line("overlaps", "longest", f"{overlaps} rows hold overlapping entities; without this line refused")
        )
    if transitions:
        reason = f"{transitions} rows break the tag scheme; read as conlleval does; without this line refused"
        lines.append(_line("transitions", "repair", reason))
    if stray:
        reason = f"{stray} rows hold an answer that is not in their text; without this line refused"
        lines.append(_line("stray", "drop", reason))
    if left:
        codes = ", ".join(f"{count} x {code}" for code, count in left.most_common(3))
        lines.append(f"skip_bad = true  # {codes}; left-out rows go to the run folder; without this line refused")
    return lines


def _task_reason(look: FirstLook) -> str:
    names = ", ".join(list(look.labels)[:5])
    more = ", ..." if len(look.labels) > 5 else ""
    labelled = look.labels and not look.finding.rows.within_text
    if look.separator and look.kind is None:
        more += f'; "{TREE}" reads them as paths with {look.separator!r} between the steps'
    return f"{len(look.labels)} labels: {names}{more}" if labelled else "from the columns"


def _file_reason(role: str, look: FirstLook) -> str:
    if role == "train":
        missing = [name for name in ("dev", "test") if name not in look.files]
        rest = f"; {' and '.join(missing)} taken from it" if missing else ""
        return f"{look.accepted} rows{rest}"
    return "chooses the best checkpoint" if role == "dev" else "the reported score"


def _named(path: Path, out: Path, look: FirstLook) -> str:
    """The file as seen from the configuration, with the split that was given for it."""
    relative = os.path.relpath(path, out.parent)
    name = str(path.resolve()) if relative.startswith(os.pardir) else relative
    split = look.given.get("split")
    return f"{name}#{split}" if split and divided(path)[1] is None else name


def _line(key: str, value: Any, why: str) -> str:  # noqa: ANN401 - a TOML value
    comment = f"  # {_comment(why)}" if why else ""
    return f"{key} = {_toml(value)}{comment}"


def _comment(text: str) -> str:
    """The text as one line that a TOML file may hold: labels and names come from strangers."""
    return printable(visible(text)).replace("\n", " ")


def _toml(value: Any) -> str:  # noqa: ANN401 - a TOML value
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, str) and printable(value) != value:
        raise CannotCreateError(
            "a name that is not UTF-8 cannot stand in a configuration",
            code="TS-CONF-032",
            place=Place(file=value),
            fix="rename the file or its folder.",
        )
    # TOML is stricter than JSON about one character
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
