"""One record (a row with named columns) to one example: shared by every format whose rows have names."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tunesmith.core.conversation import Conversation
from tunesmith.core.example import Example, Gold, LabelAndSpans, Source, Span
from tunesmith.core.format import TaskKind
from tunesmith.prepare.formats._answers import answers_of
from tunesmith.prepare.formats._conversations import exchange, written_answers
from tunesmith.prepare.formats._faults import SKIP, RowFault, check_characters, check_text
from tunesmith.prepare.formats._labels import LabelReader, plain
from tunesmith.prepare.formats._options import Columns, Labelling, SpanRules, Tagging
from tunesmith.prepare.formats._spans import spans_of
from tunesmith.prepare.formats._tags import TagFault, entities_of
from tunesmith.prepare.formats._times import iso_time

Record = Mapping[str, Any]


def value_of(record: Record, name: str) -> Any:  # noqa: ANN401 - any cell
    """The value of a column, through objects where the name has dots; None where it is absent."""
    if name in record:
        return record[name]
    value: Any = record
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


class RecordReader:
    """Turns the records of one file into examples, and remembers their ids."""

    def __init__(
        self,
        path: Path,
        task: TaskKind,
        *,
        columns: Columns,
        labelling: Labelling,
        tagging: Tagging,
        spans: SpanRules,
        several: bool = False,
    ) -> None:
        self._file = str(path)
        self._name = path.name
        self._task = task
        self._columns = columns
        self._tagging = tagging
        self._spans = spans
        self._texts: dict[str, str] = {}
        self._labels = LabelReader(labelling, several=several)
        self._ids: set[str] = set()
        self._extras: list[tuple[str, Callable[[Any, str], Any], str]] = [
            (field, read, name)
            for field, read, name in (
                ("group", _group, columns.group),
                ("time", _time, columns.time),
                ("weight", _weight, columns.weight),
            )
            if name
        ]

    def example(self, record: Record, line: int, *, spot: str = "") -> Example:
        """The example of a record. `spot` tells records on one line apart (`:12`).

        Raises:
            RowFault: at the key that is wrong.
        """
        columns = self._columns
        words: tuple[tuple[int, int], ...] | None = None
        turns: Conversation = ()
        gold: Gold | None
        if columns.messages:
            said = exchange(value_of(record, columns.messages), columns.messages)
            turns, text, gold = said.turns, said.text, said.answer
        elif columns.tokens:
            text, words, gold = self._tagged(record, columns.tokens)
        else:
            text = self._text(record)
            gold = self._gold(record, text)
        if self._task == "joint_classification":
            gold = self._with_label(record, gold)
        pair = None
        if columns.pair:
            pair = _string(value_of(record, columns.pair), columns.pair)
            check_text(pair, columns.pair, what="the second text")
        key = f"{self._name}:{line}{spot}"
        if columns.id:
            key = self._id(record, columns.id, key)
        source = Source(self._file, line)
        together = None
        if self._task == "extractive_qa":  # questions about one text belong together, also where nothing says so
            together = self._texts.setdefault(text, f"{self._name}:{line}{spot}")
        if not self._extras:
            return Example(
                id=key, text=text, source=source, pair=pair, words=words, turns=turns, gold=gold, group=together
            )
        extras = {field: read(value_of(record, name), name) for field, read, name in self._extras}
        return Example(
            id=key,
            text=text,
            source=source,
            pair=pair,
            words=words,
            turns=turns,
            gold=gold,
            group=extras.get("group") or together,
            time=extras.get("time"),
            weight=extras.get("weight", 1.0),
        )

    def _text(self, record: Record) -> str:
        names = self._columns.text
        if len(names) == 1:
            text = _string(value_of(record, names[0]), names[0])
        else:
            parts = (_string(value_of(record, name), name).strip() for name in names)
            text = ("\n\n" if self._task == "generation" else " ").join(part for part in parts if part)
        check_text(text, names[0])
        return text

    def _gold(self, record: Record, text: str) -> Gold | None:
        columns = self._columns
        if self._task in ("token_classification", "joint_classification"):
            return self._entities(record, text, columns.entities) if columns.entities else None
        if self._task == "generation":
            return written_answers(value_of(record, columns.answer), columns.answer) if columns.answer else None
        if self._task == "extractive_qa":
            return self._answers(record, text, columns.answers) if columns.answers else None
        if columns.score:
            return _score(value_of(record, columns.score), columns.score)
        if columns.label:
            return self._labels.read(value_of(record, columns.label), columns.label)
        return None

    def _with_label(self, record: Record, entities: Gold | None) -> Gold | None:
        """The entities of a text beside its label; nothing where the file has none of either."""
        name = self._columns.label
        if name is None or not isinstance(entities, tuple):
            return None
        spans = tuple(span for span in entities if isinstance(span, Span))
        return LabelAndSpans(self._labels.only(value_of(record, name), name), spans)

    def _answers(self, record: Record, text: str, name: str) -> tuple[Span, ...]:
        impossible = value_of(record, self._columns.impossible) if self._columns.impossible else None
        if plain(impossible).lower() in ("true", "1", "yes"):
            return ()
        value = value_of(record, name)
        if value is None or value == "":
            return self._absent(name, "answers")
        start = value_of(record, "start") if isinstance(value, str) else None  # as predictions are written
        beside = [{"text": value, "start": start}] if start is not None else value
        return answers_of(beside, text, self._spans, key=name)

    def _absent(self, name: str, what: str) -> tuple[Span, ...]:
        if self._spans.absent == "none":
            return ()
        raise RowFault(
            f"there are no {what} under {name!r}",
            code="TS-DATA-016",
            fix=f'write an empty list where there are none, or set absent = "none", {SKIP}.',
            key=name,
        )

    def _entities(self, record: Record, text: str, name: str) -> tuple[Span, ...]:
        value = value_of(record, name)
        if value is None:
            return self._absent(name, "entities")
        spans = spans_of(value, text, self._spans, key=name)
        return tuple(Span(span.start, span.end, self._labels.one(span.label, name)) for span in spans)

    def _tagged(self, record: Record, name: str) -> tuple[str, tuple[tuple[int, int], ...], Gold | None]:
        tokens = _cut(value_of(record, name), name)
        if not tokens:
            fix = f"fill it in, delete the row, {SKIP}."
            raise RowFault("the text is empty", code="TS-DATA-015", fix=fix, key=name)
        for index, token in enumerate(tokens):
            check_text(token, name, what=f"token {index + 1}")
        text, words = joined(tokens, self._tagging)
        if not self._columns.tags:
            return text, words, None
        tags = _cut(value_of(record, self._columns.tags), self._columns.tags)
        return text, words, self.entities(tokens, tags, words)

    def entities(self, tokens: list[str], tags: list[str], words: tuple[tuple[int, int], ...]) -> tuple[Span, ...]:
        """The entities that tags mark, as spans of the joined text."""
        key = self._columns.tags
        if len(tags) != len(tokens):
            fix = f"give every word exactly one tag, {SKIP}."
            raise RowFault(f"{len(tokens)} words have {len(tags)} tags", code="TS-DATA-030", fix=fix, key=key)
        named = [self._labels.named(tag, key or "tags") for tag in tags]
        try:
            found = entities_of(named, self._tagging.scheme or "IOB2", repair=self._tagging.transitions == "repair")
        except TagFault as fault:
            fault.message = f"word {fault.index + 1} ({tokens[fault.index][:40]!r}): {fault.message}"
            fault.key = key
            raise
        return tuple(
            Span(words[first][0], words[last - 1][1], self._labels.allowed(label, key or "tags"))
            for first, last, label in found
        )

    def _id(self, record: Record, name: str, spot: str) -> str:
        key = plain(value_of(record, name))
        if not key:
            return spot
        check_characters(key, name)
        if key in self._ids:
            raise RowFault(
                f"the id {key[:60]!r} stands on an earlier row too",
                code="TS-DATA-018",
                fix=f'make ids unique, set id = "" to name rows by their line, {SKIP}.',
                key=name,
            )
        self._ids.add(key)
        return key


def joined(tokens: list[str], tagging: Tagging) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The text that tokens make, and where each stands in it."""
    gap = 0 if tagging.joined == "characters" else 1
    words: list[tuple[int, int]] = []
    at = 0
    for token in tokens:
        words.append((at, at + len(token)))
        at += len(token) + gap
    return ("" if gap == 0 else " ").join(tokens), tuple(words)


def _string(value: object, name: str) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        raise RowFault(
            f"there is no text under {name!r}", code="TS-DATA-015", fix=f"fill it in, delete the row, {SKIP}.", key=name
        )
    raise RowFault(
        f"{name!r} is not text but {_kind(value)}", code="TS-DATA-021", fix=f"write it in quotes, {SKIP}.", key=name
    )


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds = {int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def _cut(value: object, name: str) -> list[str]:
    if isinstance(value, list):
        return [item if isinstance(item, str) else plain(item) for item in value]
    return _string(value, name).split()


def _number(value: object) -> float:
    try:
        return math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        return math.nan


def _score(value: object, name: str) -> float:
    score = _number(value)
    if not math.isfinite(score):
        missing = value is None or not str(value).strip()
        raise RowFault(
            "the score is missing" if missing else f"the score {str(value)[:40]!r} is not a number",
            code="TS-DATA-016" if missing else "TS-DATA-032",
            fix=f"write a number with a point, {SKIP}.",
            key=name,
        )
    return score


def _group(value: object, name: str) -> str | None:
    group = plain(value)
    check_characters(group, name)
    return group or None


def _time(value: object, name: str) -> str:
    time = iso_time(value) if value is not None else None
    if time is None:
        shown = "is missing" if value in (None, "") else f"{str(value)[:40]!r} is no date that can be read"
        fix = f'write it as 2024-03-31 or 2024-03-31T12:00:00, set time = "" to leave times out, {SKIP}.'
        raise RowFault(f"the time {shown}", code="TS-DATA-034", fix=fix, key=name)
    return time


def _weight(value: object, name: str) -> float:
    weight = _number(value)
    if not math.isfinite(weight) or weight < 0:
        fix = f"write a number that is not negative, {SKIP}."
        raise RowFault(f"the weight {str(value)[:40]!r} cannot be used", code="TS-DATA-035", fix=fix, key=name)
    return weight
