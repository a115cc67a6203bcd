"""How the chosen columns are written: label names, several labels, scores in a label column, tag scheme, characters."""

from collections.abc import Sequence
from pathlib import Path

from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.strict_json import JsonFault, parse
from tunesmith.prepare.formats._guess import Guess, listed
from tunesmith.prepare.formats._labels import plain
from tunesmith.prepare.formats._options import Labelling, Tagging
from tunesmith.prepare.formats._stats import ColumnStats
from tunesmith.prepare.formats._tags import guess_scheme
from tunesmith.prepare.text_files import encoding_of, lines_of

NAME_FILES = ("labels.txt", "label.txt", "classes.txt", "class.txt", "label_names.txt", "categories.txt")
_SEPARATORS = ("<div>", "|", ";", ",")


def detail(guess: Guess) -> None:
    """Fill in what the chosen columns leave open.

    Raises:
        DataError: a label column that is really free text.
    """
    columns = guess.columns
    if columns.tokens:
        _tags(guess)
    if not columns.label or guess.task in ("token_classification", "extractive_qa", "generation"):
        return
    column = guess.column(columns.label)
    if not column.flat:
        guess.notes.append(f"no row has a label under {columns.label!r}")
        return
    if guess.task in ("pair_matching", "retrieval") and column.fractional:
        guess.fill({"score": columns.label, "label": None}, f"{columns.label!r} holds numbers with fractions: a score")
        return
    _require_labels(guess, column)
    if guess.task != "joint_classification":  # which takes one label a text
        _several(guess, column)
    guess.labelling = with_names(guess.labelling, column.flat, guess.path, guess.notes)
    if not guess.several and column.distinct == 1 and len(column.flat) >= 20:
        guess.notes.append(f"warning: every sampled row has the label {column.flat[0]!r}")


def _require_labels(guess: Guess, column: ColumnStats) -> None:
    values, distinct = len(column.flat), column.distinct
    if column.fractional:
        raise guess.refusal(
            f"the label column {column.name!r} holds numbers with fractions",
            code="TS-DATA-009",
            fix='set task = "text_regression" for a score of each text, or name a column with classes as `label`.',
        )
    if column.free_text:
        others = [other.name for other in guess.free() if other.label_like]
        hint = f"Columns that could be: {listed(others)}." if others else "Labels should repeat."
        raise guess.refusal(
            f"the label column {column.name!r} is free text: {distinct} different values in {values} sampled rows",
            code="TS-DATA-009",
            fix=f"name another column as `label`. {hint}",
        )


def _several(guess: Guess, column: ColumnStats) -> None:
    separator = guess.labelling.separator
    if separator is None and column.strings:
        separator = _separator(guess, column)
    guess.labelling = guess.labelling.model_copy(update={"separator": separator})
    guess.several = column.lists or bool(separator)
    if column.lists:
        guess.notes.append(f"several labels a row ({column.name!r} holds lists)")


def _separator(guess: Guess, column: ColumnStats) -> str | None:
    for separator in _SEPARATORS:
        among = sum(separator in value for value in column.flat)
        parts = {part.strip() for value in column.flat for part in value.split(separator)}
        if not among or "" in parts or len(parts) >= column.distinct or max(map(len, parts)) > 40:
            continue
        share = among / len(column.flat)
        if share >= 0.05:
            guess.notes.append(f"several labels a row, separated by {separator!r}")
            return separator
        guess.notes.append(
            f"{among} label(s) contain {separator!r} and are read as labels of their own "
            f'(separator = "{separator}" reads several labels a row)'
        )
        return None
    return None


def with_names(labelling: Labelling, labels: Sequence[str], path: Path, notes: list[str]) -> Labelling:
    """Names for numbered labels: those given, else those of a file beside the data. An index may begin at 0 or 1."""
    if not labels or not all(label.isdecimal() for label in set(labels)):
        return labelling
    numbers = {int(label) for label in set(labels)}
    names = labelling.label_names
    if not names:
        names = next((found for found in _beside(path) if max(numbers) <= len(found[1])), ("", ()))[1]
        if not names:
            return labelling
        notes.append(f"label names from a file beside the data: {listed(names)}")
    first = labelling.first_label or (1 if 0 not in numbers and max(numbers) == len(names) else 0)
    return labelling.model_copy(update={"label_names": names, "first_label": first})


def _beside(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    found = []
    for name in NAME_FILES:
        file = path.parent / name
        if file.is_file() and file != path and file.stat().st_size < 100_000:
            found.append((name, names_in(file)))
    return found


def names_in(file: Path) -> tuple[str, ...]:
    """The label names of a file: one a line, or a JSON array of strings.

    Raises:
        MissingInputError: no such file.
        ConfigError: neither of both.
    """
    text = "".join(lines_of(file, encoding_of(file)[0])) if file.is_file() else "".join(lines_of(file, "utf-8"))
    if text.lstrip().startswith("["):
        try:
            value = parse(text)
        except JsonFault as fault:
            raise _no_names(file, fault.message) from None
        if not all(isinstance(item, str) for item in value):
            raise _no_names(file, "not every item is a string")
        return tuple(value)
    names = tuple(line.strip() for line in text.split("\n"))
    while names and not names[-1]:
        names = names[:-1]
    if not names or not all(names):
        raise _no_names(file, "it has blank lines or none at all")
    return names


def _no_names(file: Path, why: str) -> ConfigError:
    return ConfigError(
        f"no label names can be read: {why}",
        code="TS-CONF-022",
        place=Place(file=str(file), key="data.label_names"),
        fix="write one name a line, the first for the label 0 (or `first_label`).",
    )


def _tags(guess: Guess) -> None:
    tokens, tags = guess.column(guess.columns.tokens or ""), guess.column(guess.columns.tags or "")
    words = [_cut(value) for value in tokens.present]
    guess.labelling = with_names(guess.labelling, tags.flat, guess.path, guess.notes)
    names, first = guess.labelling.label_names, guess.labelling.first_label
    sequences = [_cut(value) for value in tags.present]
    if names:
        sequences = [
            [names[int(t) - first] if t.isdecimal() and int(t) - first < len(names) else t for t in s]
            for s in sequences
        ]
    guess.tagging = with_tagging(guess.tagging, words, sequences, guess.notes)


def with_tagging(
    tagging: Tagging, words: Sequence[Sequence[str]], tags: Sequence[Sequence[str]], notes: list[str]
) -> Tagging:
    """Scheme and joint of tagged sentences, where they were not given."""
    update: dict[str, str] = {}
    if tagging.scheme is None and tags:
        update["scheme"], found = guess_scheme(tags)
        notes += found
    if tagging.joined is None:
        update["joined"] = "characters" if _are_characters(words) else "words"
        if update["joined"] == "characters":
            notes.append("tokens are single Chinese characters: joined without blanks")
    return tagging.model_copy(update=update)


def _are_characters(sentences: Sequence[Sequence[str]]) -> bool:
    """Whether the text is mostly ideographs, and nearly all of them stand alone."""
    tokens = [token for sentence in sentences for token in sentence]
    chinese = [token for token in tokens if any("\u3400" <= c <= "\u9fff" for c in token)]
    return len(chinese) > 0.4 * len(tokens) and sum(len(token) == 1 for token in chinese) > 0.95 * len(chinese)


def _cut(value: object) -> list[str]:
    return [plain(item) for item in value] if isinstance(value, list) else str(value).split()
