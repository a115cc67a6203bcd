"""Which column is the text, the pair, the label, the entities: by name, by shape, and only then by statistics."""

from collections.abc import Callable, Mapping

from tunesmith.core.errors import DataError
from tunesmith.prepare.formats import _names as names
from tunesmith.prepare.formats._guess import Guess, listed
from tunesmith.prepare.formats._prompts import choose_prompts
from tunesmith.prepare.formats._questions import choose_questions
from tunesmith.prepare.formats._spans import guess_ends, is_spans
from tunesmith.prepare.formats._stats import ColumnStats
from tunesmith.prepare.formats._times import iso_time

PAIRED = ("pair_matching", "retrieval")
"""What takes rows of two texts"""
MARKED = ("token_classification", "joint_classification")
"""What takes entities"""


def choose(guess: Guess) -> None:
    """Fill in task and columns.

    Raises:
        DataError: no text, or no label, or a label that is free text; the fix names the candidates.
        ConfigError: a given column is not there.
    """
    guess.require_known()
    _about_rows(guess)
    choose_questions(guess)
    choose_prompts(guess)
    if guess.task in ("extractive_qa", "generation"):
        return
    _require_no_questions(guess)
    if guess.task in (None, *MARKED):
        _entities(guess)
        if not guess.columns.entities and not guess.columns.text:
            _tokens(guess)
        if guess.task is None and (guess.columns.entities or guess.columns.tags or guess.columns.tokens):
            guess.task = "token_classification"
    if guess.task in (None, *PAIRED):
        _pair(guess)
        if guess.columns.pair and guess.task is None:
            guess.task = "pair_matching"
    if not guess.columns.text and not guess.columns.tokens:
        _text(guess)
    if own := _OWN_GOLD.get(guess.task or ""):
        own(guess)
        return
    guess.task = guess.task or "text_classification"
    if guess.task in PAIRED and not guess.columns.pair:
        raise guess.refusal(
            "no second text was found for pairs",
            code="TS-DATA-008",
            fix=f"name it with `pair`. Columns: {listed(list(guess.stats))}.",
        )
    _label(guess)


def _about_rows(guess: Guess) -> None:
    """Id, group, time and split: only under their usual names, and only where every value fits."""
    columns, closed = guess.columns, guess.closed
    if not guess.has_names:
        return
    plain = [name for name in guess.stats if "." not in name]
    for name in names.named(plain, names.ID)[:1] if columns.id is None and "id" not in closed else ():
        column = guess.column(name)
        if len(column.flat) == len(guess.rows) and column.uniqueness == 1:
            guess.fill({"id": name}, f"rows are named by {name!r}")
    for name in names.named(plain, names.GROUP)[:1] if columns.group is None and "group" not in closed else ():
        guess.fill({"group": name}, f"rows with the same {name!r} stay together (group)")
    for name in names.named(plain, names.TIME)[:1] if columns.time is None and "time" not in closed else ():
        column = guess.column(name)
        if column.flat and len(column.flat) == len(guess.rows) and all(map(iso_time, column.flat)):
            guess.fill({"time": name}, f"{name!r} is the time of a row")
    for name in names.named(plain, names.SPLIT)[:1] if columns.split_column is None else ():
        values = {value.lower() for value in guess.column(name).flat}
        if values and values <= names.SPLIT_VALUES and "split_column" not in closed:
            guess.fill({"split_column": name})


def _entities(guess: Guess) -> None:
    if guess.columns.entities or guess.columns.tags:
        return
    if guess.columns.label and guess.task != "joint_classification":  # the label is what is to be learnt
        return
    shaped = [c for c in guess.free() if sum(map(is_spans, c.present)) > 0.9 * len(c.present)]
    filled = [column.name for column in shaped if any(column.present)]
    for name in names.named(filled, names.ENTITIES)[:1] or filled[:1]:
        guess.fill({"entities": name}, f"entities from {name!r}")


def _tokens(guess: Guess) -> None:
    """Two lists of equal lengths under the usual names; where entities were asked for, also two texts with as many
    words."""
    columns = guess.columns
    if columns.tokens and columns.tags:
        return
    free = guess.free()
    lists = [column.name for column in free if column.lists]
    tokens = [columns.tokens] if columns.tokens else names.named(lists, names.TOKENS)
    tags = [columns.tags] if columns.tags else names.named(lists, names.TAGS)
    if (not tokens or not tags) and guess.task in MARKED:
        texts = [column.name for column in free if column.strings]
        wordy = [name for name in texts if guess.column(name).uniqueness > 0.3] or texts
        tokens = tokens or names.named(wordy, (*names.TOKENS, *names.TEXT))
        tags = tags or names.named(texts, names.TAGS, endings=True)
    for first in tokens:
        for second in tags:
            if first != second and _in_step(guess.column(first), guess.column(second)):
                guess.fill({"tokens": first, "tags": second}, f"words from {first!r}, their tags from {second!r}")
                return
    named = names.named(lists, names.TOKENS)
    if guess.asked and named and not columns.text:
        guess.fill({"tokens": named[0]}, f"words from {named[0]!r}, without tags: the rows are read as unlabelled")


def _in_step(first: ColumnStats, second: ColumnStats) -> bool:
    pairs = [(a, b) for a, b in zip(first.values, second.values, strict=True) if a is not None and b is not None]
    equal = sum(len(_words(a)) == len(_words(b)) for a, b in pairs)
    return bool(pairs) and equal >= 0.8 * len(pairs)


def _words(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else list(str(value).split())


def _pair(guess: Guess) -> None:
    columns = guess.columns
    if columns.pair:
        return
    texts = [column.name for column in guess.free() if column.strings] + list(columns.text)
    for first, second in names.PAIRS if guess.has_names else ():
        found_first, found_second = names.named(texts, (first,)), names.named(texts, (second,))
        if found_first and found_second and columns.text in ((), (found_first[0],)):
            found = {"text": (found_first[0],), "pair": found_second[0]}
            guess.fill(found, f"pairs of {found_first[0]!r} and {found_second[0]!r}")
            return
    texts = [column.name for column in guess.free() if column.text_like]
    if len(texts) == 2 and not columns.text and (guess.task or not guess.has_names):
        lengths = [guess.column(name).length for name in texts]
        if guess.task or max(lengths) < 1.7 * min(lengths):
            guess.fill({"text": (texts[0],), "pair": texts[1]}, f"pairs of columns {texts[0]} and {texts[1]}")


def _text(guess: Guess) -> None:
    strings = [column for column in guess.free() if column.strings]
    known = names.named([column.name for column in strings], names.TEXT, endings=True) if guess.has_names else []
    wordy = [name for name in known if not guess.column(name).label_like] or known
    others = [column.name for column in strings if column.text_like]
    if wordy:
        best = wordy[0]
        more = [name for name in others if name != best]
        note = f"the text is {best!r}" + (f" (other texts: {listed(more)})" if more else "")
        guess.fill({"text": (best,)}, note)
    elif len(others) == 1:
        guess.fill(
            {"text": (others[0],)}, f"the text is {_shown(guess, others[0])}, the only column that reads like one"
        )
    elif others and not guess.has_names:
        both = " and ".join(others)
        note = f'the text is columns {both}, joined (for pairs set task = "pair_matching")'
        guess.fill({"text": tuple(others)}, note)
    elif len(strings) == 1 and len(guess.stats) <= 2:
        guess.fill({"text": (strings[0].name,)}, f"the text is {_shown(guess, strings[0].name)}")
    else:
        raise _no_text(guess, others)


def _require_no_questions(guess: Guess) -> None:
    """Answers have strings like labels, and would be read as something else."""
    if "answers" in guess.stats and not guess.columns.label:
        raise guess.refusal(
            "this looks like question answering, but its text, question or answers were not recognised",
            code="TS-DATA-008",
            fix='set task = "extractive_qa" and name them with `text`, `pair` and `answers`. '
            f"Columns: {listed(list(guess.stats))}.",
        )


def _no_text(guess: Guess, others: list[str]) -> DataError:
    nested = [name for name, c in guess.stats.items() if c.present and isinstance(c.present[0], list | dict)]
    hint = f"candidates: {listed(others)}. " if others else ""
    deeper = f"{listed(nested)} hold lists or objects: write one row for each text. " if nested and not others else ""
    return guess.refusal(
        "no column was found that is surely the text",
        code="TS-DATA-008",
        fix=f"name it with `text`; {hint}{deeper}Columns: {listed(list(guess.stats))}.",
    )


def _shown(guess: Guess, name: str) -> str:
    return repr(name) if guess.has_names else f"column {name}"


def _entity_details(guess: Guess) -> None:
    """How the spans are written; tags are looked at by `_details`. A label beside them is pointed at."""
    if not guess.asked:
        beside = [column.name for column in guess.free() if column.strings and column.label_like]
        for likely in names.named(beside, names.LABEL)[:1]:
            guess.notes.append(f'{likely!r} may be a label of each text: task = "joint_classification" learns both')
    name = guess.columns.entities
    if not name:
        return
    column = guess.column(name)
    missing = sum(value is None for value in column.values)
    update: dict[str, str] = {}
    if guess.spans.absent is None:
        update["absent"] = "none" if missing > 0.05 * len(column.values) else "reject"
        if update["absent"] == "none":
            guess.notes.append(
                f"{missing} of {len(column.values)} sampled rows lack {name!r}: read as without entities"
            )
    if guess.spans.ends is None:
        first = guess.columns.text[0]
        rows = [(t, v) for t, v in zip(guess.column(first).values, column.values, strict=True) if isinstance(t, str)]
        update["ends"], note = guess_ends(rows, name)
        guess.notes += [note] if note else []
    guess.spans = guess.spans.model_copy(update=update)


def _label_and_entities(guess: Guess) -> None:
    """Both, or neither where rows are not labelled."""
    _entity_details(guess)
    _label(guess)
    marked = guess.columns.entities or guess.columns.tags
    if bool(marked) == bool(guess.columns.label):
        return
    missing = "label" if marked else "entities"
    raise guess.refusal(
        f"rows for joint_classification have a label and entities, and no column of {missing} was found",
        code="TS-DATA-008",
        fix=f"name it with `{missing}`{'' if marked else ' (or `tags`)'}, or choose another task. "
        f"Columns: {listed(list(guess.stats))}.",
    )


def _score(guess: Guess) -> None:
    """The number that a text is scored with."""
    if guess.columns.score:
        return
    if guess.columns.label:
        guess.fill({"score": guess.columns.label, "label": None})
        return
    numbers = [column.name for column in guess.free() if column.numeric and column.name != guess.columns.split_column]
    known = names.named(numbers, (*names.SCORE, *names.LABEL), endings=True) if guess.has_names else []
    found = known or (numbers if len(numbers) == 1 else [])
    if found:
        guess.fill({"score": found[0]}, f"the score is {_shown(guess, found[0])}")
    else:
        guess.notes.append("no score was found: the rows are read as unlabelled")


def _label(guess: Guess) -> None:
    columns = guess.columns
    if columns.label or columns.score:
        return
    free = [column for column in guess.free() if "." not in column.name]
    single = [column for column in free if column.strings or column.lists or column.numeric]
    scored = names.named([c.name for c in single if c.numeric], names.SCORE) if guess.task in PAIRED else []
    known = names.named([c.name for c in single], names.LABEL, endings=True) if guess.has_names else []
    known = [name for name in known if not guess.column(name).free_text or len(known) == 1] or known
    likely = [column.name for column in single if column.label_like and column.name != columns.split_column]
    numbers = [column.name for column in single if column.fractional]
    if scored and not known:
        guess.fill({"score": scored[0]}, f"the score is {scored[0]!r}")
    elif known:
        others = [name for name in dict.fromkeys((*known[1:], *likely)) if name != known[0]]
        more = f" (others that could be: {listed(others)})" if others else ""
        guess.fill({"label": known[0]}, f"the label is {known[0]!r}{more}")
    elif guess.task == "retrieval" or (guess.task == "pair_matching" and not guess.asked and not guess.free()):
        guess.task = "retrieval"  # two texts and nothing else
        guess.notes.append("no label was found: the two texts of every row belong together")
    elif guess.task == "pair_matching" and len(numbers) == 1 and not likely:
        guess.fill({"score": numbers[0]}, f"the score is {_shown(guess, numbers[0])} (numbers with fractions)")
    elif len(single) == 1 and len(guess.stats) == 2 and not guess.has_names:
        guess.fill({"label": single[0].name}, f"the label is {_shown(guess, single[0].name)}, the other column")
    elif len(likely) == 1 and (len(guess.stats) <= 3 or not guess.has_names):
        guess.fill({"label": likely[0]}, f"the label is {_shown(guess, likely[0])}")
    else:
        _without_label(guess, likely)


def _without_label(guess: Guess, likely: list[str]) -> None:
    if guess.asked:
        guess.notes.append("no label was found: the rows are read as unlabelled")
        return
    hint = f"candidates: {listed(likely)}. " if likely else ""
    raise guess.refusal(
        "no column was found that is surely the label",
        code="TS-DATA-008",
        fix=f"name it with `label` (or `score`, `entities`, `tags`); {hint}Columns: {listed(list(guess.stats))}.",
    )


_OWN_GOLD: Mapping[str, Callable[[Guess], None]] = {
    "token_classification": _entity_details,
    "joint_classification": _label_and_entities,
    "text_regression": _score,
}
"""Tasks whose gold is no label of a text or a pair"""
