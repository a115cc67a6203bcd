"""`tunesmith init`: look at a data file, say what it holds, and write a first configuration."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tunesmith.cli.output import emit, out, plain, printable, refuse_folder, table

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from tunesmith.cli.first_config import FirstLook
    from tunesmith.core.example import Example
    from tunesmith.prepare.reading import Finding

LOOKED_AT = 100_000
"""Rows of each file that are read to count labels and bad rows."""


def init(
    data: Path = typer.Argument(..., help="A data file, or a folder with train, dev and test files.", metavar="DATA"),
    target: Path = typer.Option(None, "--out", help="Configuration to write; <name of the data>.toml by default."),
    task: str = typer.Option(
        None, "--task", help="What the rows are for: a kind of task, such as text_classification or extractive_qa."
    ),
    assignments: list[str] = typer.Option(
        [], "--set", help="An option of the data, e.g. --set label=category.", metavar="KEY=VALUE"
    ),
    force: bool = typer.Option(False, "--force", help="Overwrite the configuration if it exists."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Look at the data and write a short configuration, each guess with its reason.

    Nothing is trained, and nothing is overwritten without --force.
    """
    from dataclasses import replace

    from tunesmith.cli.first_config import config_text, require_new, write_config

    given = _given(assignments, task)
    config = target or Path(f"{data.name.partition('#')[0].split('.')[0] or 'data'}.toml")
    refuse_folder(config, "--out")
    require_new(config, force=force)
    look = replace(_look(data, given), kind=task)
    text = config_text(look, config)
    write_config(text, config)
    following = [f"tunesmith audit {config}", f"tunesmith train {config}"]
    if as_json:
        emit(_record(look, config, following))
        return
    out.print(table(f"{data}", ("what", "found"), _rows(look)))
    out.print(f"[green]wrote[/] {plain(config)}", highlight=False)
    out.print(printable(text.rstrip()), markup=False, highlight=False)
    out.print(f"Next: [bold]{plain(following[0])}[/], then [bold]{plain(following[1])}[/]", highlight=False)


def _given(assignments: list[str], task: str | None) -> dict[str, Any]:
    """The options of the data; `data.label=x` and `label=x` are the same."""
    from tunesmith.core.errors import ConfigError, Place
    from tunesmith.core.format import READ_AS
    from tunesmith.run.config import overridden

    options = overridden({}, assignments)
    section = options.pop("data", {})
    if not isinstance(section, dict):
        raise ConfigError(
            "must be a table",
            code="TS-CONF-004",
            place=Place(key="data"),
            fix="name the option: --set data.label=intent.",
        )
    return {**section, **options, **({"task": READ_AS.get(task, task)} if task else {})}


def _look(data: Path, given: dict[str, Any]) -> "FirstLook":
    from collections import Counter

    from tunesmith.cli.first_config import FirstLook
    from tunesmith.core.errors import TunesmithError
    from tunesmith.prepare.audit import labels_of, mostly_chinese
    from tunesmith.prepare.label_paths import separator_of
    from tunesmith.prepare.reading import detect
    from tunesmith.prepare.split_files import split_files

    files = split_files(data)
    finding = detect(files["train"], given=given)
    if len(files) == 1:
        files = _splits_inside(files, finding.splits())
        finding = detect(files["train"], given=given)
    bad: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    texts: list[str] = []
    accepted, several = 0, False
    for example in _sound(finding, bad):
        accepted += 1
        if len(texts) < 2000:
            texts.append(example.text)
        several = several or isinstance(example.gold, tuple)
        if finding.rows.within_text and example.gold is not None:
            labels["answer" if example.gold else "no answer"] += 1
        elif not finding.rows.written:  # an answer that is written is no label
            labels.update(labels_of(example))
    left_out: list[str] = []
    for role in [role for role in files if role != "train"]:
        try:
            for _ in _sound(detect(files[role], given=finding.options() | given), bad):
                pass
        except TunesmithError as error:
            left_out.append(f"{files.pop(role).name} is left out: {error.message}")
    return FirstLook(
        files=files,
        finding=finding,
        left_out=tuple(left_out),
        chinese=mostly_chinese(texts),
        accepted=accepted,
        rejected=dict(bad),
        labels=dict(labels.most_common()),
        given=given,
        separator=None if several or finding.task != "text_classification" else separator_of(labels),
    )


def _sound(finding: "Finding", bad: "Counter[str]") -> "Iterator[Example]":
    """The sound rows at the beginning of a file; the codes of the others are counted."""
    from itertools import islice

    from tunesmith.core.errors import DataError

    def reject(error: DataError, row: str) -> None:
        bad[error.code] += 1

    return islice(finding.format.read(finding.path, reject=reject), LOOKED_AT)


def _splits_inside(files: dict[str, Path], splits: tuple[str, ...]) -> dict[str, Path]:
    """The splits that a single file names itself, as `file#split`."""
    path = files["train"]
    names = {"train": ("train", "training"), "dev": ("dev", "valid", "validation", "val"), "test": ("test", "testing")}
    found = {role: next((s for s in splits if s.lower() in known), None) for role, known in names.items()}
    if "#" in path.name or found["train"] is None or not (found["dev"] or found["test"]):
        return files
    return {role: path.with_name(f"{path.name}#{split}") for role, split in found.items() if split}


def _rows(look: "FirstLook") -> list[tuple[str, str]]:
    from tunesmith.judge.errors_table import visible

    finding = look.finding
    rows = [(role, str(path)) for role, path in look.files.items()]
    rows += [("format", finding.format.kind()), ("task", look.kind or finding.task), ("rows", str(look.accepted))]
    if look.labels:
        shown = ", ".join(f"{visible(label)} ({count})" for label, count in list(look.labels.items())[:8])
        rows.append((f"{len(look.labels)} labels", shown + (", ..." if len(look.labels) > 8 else "")))
    rows += [("guess", note) for note in finding.notes]
    rows += [("warning", note) for note in look.left_out]
    rows += [("bad rows", f"{count} x {code}") for code, count in look.rejected.items()]
    return rows


def _record(look: "FirstLook", config: Path, following: list[str]) -> dict[str, Any]:
    return {
        "config": str(config),
        "files": {role: str(path) for role, path in look.files.items()},
        "finding": look.finding.as_record(),
        "left_out": list(look.left_out),
        "rows": look.accepted,
        "rejected": dict(look.rejected),
        "labels": dict(look.labels),
        "next": following,
    }
