"""The rows of a run: read the files that are named, take the splits that are not, write down which row went where."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError, Place
from tunesmith.core.example import Example
from tunesmith.core.seed import derived
from tunesmith.prepare.answer_lengths import answers_of
from tunesmith.prepare.audit import labels_of
from tunesmith.prepare.reading import Finding, Rejects, detect, read
from tunesmith.prepare.shots import drawn
from tunesmith.prepare.splitting import fingerprint, split
from tunesmith.run.config import RunConfig

NAMES = ("train", "dev", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunData:
    """The examples of each split, how they were read, and the record of the split."""

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    named: tuple[Example, ...]
    """What a task reads its labels from: the training rows, or where none are learnt those that they name"""
    finding: Finding
    notes: tuple[str, ...]
    """What was detected about the files, one sentence each."""
    record: dict[str, Any]

    def sizes(self) -> str:
        """How many rows each split has, in words."""
        return ", ".join(f"{len(rows)} {name}" for name, rows in self.splits().items())

    def splits(self) -> dict[str, tuple[Example, ...]]:
        """The splits by name, training first."""
        return {"train": self.train, "dev": self.dev, "test": self.test}


def load(config: RunConfig, *, rejects: Path | None = None) -> RunData:
    """Read all splits of a run.

    A split without a file is taken from the training file; a few-shot run has no dev rows but those of a file that
    somebody drew for it. `rejects` is the folder that bad rows are written to
    where `data.skip_bad` is set.

    Raises:
        DataError: the first bad row, a split without rows, or a label with fewer rows than are to be drawn.
        ConfigError: rows are to be drawn by labels that they do not have.
        MissingInputError: a file that is not there.
    """
    data, files = config.data, config.data.files
    rows_of = "retrieval" if data.mined else config.task.rows if config.task else None
    given = dict(data.options) | ({"task": rows_of} if rows_of else {})
    first, *others = files
    finding = detect(config.path(files[first]), given=given)
    rows = {first: _read(config, finding, first, rejects)}
    notes = list(finding.notes)
    for name in others:
        found = detect(config.path(files[name]), given=_as_training(config, finding, rows[first]) | given)
        notes += [f"{name}: {note}" for note in found.notes if note not in finding.notes]
        own = _read(config, found, name, rejects)
        rows[name] = _asked_once(own) if finding.rows.written else own
    record: dict[str, Any] = {"files": files}
    if data.limit is not None:
        rows = _thinned(rows, data.limit, labelled=not finding.rows.written)
        notes.append(f"data.limit = {data.limit}: evenly spaced rows only, without labels that are then not learnt")
    shares = {name: 0.0 if name in rows else _share(config, name) for name in ("dev", "test")}
    if any(shares.values()):
        together = finding.rows.within_text and data.split.by == "stratified"
        by = "group" if together else data.split.by  # a text that is known from training is half the answer
        made = split(
            rows["train"],
            **shares,
            by=by,
            seed=config.seed,
            labelled=not finding.rows.written,
            by_question=finding.rows.of_question,
        )
        rows = {"dev": made.dev, "test": made.test} | rows | {"train": made.train}
        record["made"] = made.record
    if finding.rows.written:
        rows = {name: rows[name] if name == "train" else _asked_once(rows[name]) for name in rows}
    everyone = rows.get("train", ())
    if data.shots is not None:
        seed = derived(config.seed, "shots", data.draw)
        rows["train"] = drawn(everyone, data.shots, seed=seed, labelled=not finding.rows.written)
        record["shots"] = {"of_each_label": data.shots, "draw": data.draw, "from": len(everyone)}
    if data.few_shot and not rows.get("dev"):
        rows["dev"] = ()
        last = "; training has a fixed length and keeps its last weights" if rows["train"] else ""
        notes.append(f"few-shot: no rows are left for dev{last}")
    for name in NAMES:
        if not rows.get(name) and not _may_be_empty(config, name):
            raise DataError(
                f"no rows for {name}",
                code="TS-RUN-010",
                place=Place(key=f"data.{name}"),
                fix=f"give more rows, or a share above 0 (data.split.{name})."
                if name != "train"
                else "give more rows.",
            )
    record["fingerprint"] = {name: fingerprint(rows[name]) for name in NAMES}
    record["counts"] = {name: len(rows[name]) for name in NAMES}
    return RunData(
        train=rows["train"],
        dev=rows["dev"],
        test=rows["test"],
        named=rows["train"] or everyone,
        finding=finding,
        record=record,
        notes=tuple(notes),
    )


def _may_be_empty(config: RunConfig, name: str) -> bool:
    return config.data.few_shot if name == "dev" else name == "train" and config.data.shots == 0


def _share(config: RunConfig, name: str) -> float:
    """The share of training rows that a split without a file takes."""
    if name == "dev":
        return 0.0 if config.data.few_shot else config.data.split.dev
    return config.data.split.test


def _as_training(config: RunConfig, finding: Finding, examples: Sequence[Example]) -> dict[str, Any]:
    """Read the other splits as the training file was read, and refuse at its line a label that it does not have."""
    if finding.rows.written:
        return finding.options()
    labels = {label for example in examples for label in labels_of(example)}
    labels |= set(config.task.label_names) if config.task and labels else set()
    options = finding.options()
    return options | {"labels": sorted(labels)} if labels and "labels" not in options else options


def _read(config: RunConfig, finding: Finding, name: str, folder: Path | None) -> tuple[Example, ...]:
    file = folder / f"rejects.{name}.jsonl" if folder else None
    with Rejects(file) if config.data.skip_bad else nullcontext() as rejects:
        return tuple(read(finding.path, finding.format, rejects=rejects))


def _thinned(rows: Mapping[str, tuple[Example, ...]], limit: int, *, labelled: bool) -> dict[str, tuple[Example, ...]]:
    """At most `limit` rows of each split, evenly spaced, since files are often sorted by label.

    Rows of the other splits with a label that no chosen training row has could be neither learnt nor scored fairly.
    """
    chosen = {name: spaced(examples, limit) for name, examples in rows.items()}
    if not labelled:
        return chosen
    known = {label for example in chosen["train"] for label in labels_of(example)}
    return {
        name: tuple(example for example in examples if known.issuperset(labels_of(example)))
        for name, examples in chosen.items()
    }


def _asked_once(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Rows that ask the same as one row with all their answers: an answer may be right by any of them."""
    asked: dict[tuple[object, str], list[Example]] = {}
    for example in examples:
        asked.setdefault((example.turns, example.text), []).append(example)
    return tuple(_joined(same) for same in asked.values())


def _joined(same: Sequence[Example]) -> Example:
    answers = tuple(dict.fromkeys(answer for example in same for answer in answers_of(example)))
    return replace(same[0], gold=answers) if len(answers) > 1 else same[0]


def spaced(examples: tuple[Example, ...], limit: int) -> tuple[Example, ...]:
    """At most `limit` of the rows, evenly spaced."""
    if len(examples) <= limit:
        return examples
    return tuple(examples[index * len(examples) // limit] for index in range(limit))
