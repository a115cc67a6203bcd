"""Which columns are a text, a question about it and its answers, and how the answers are written."""

from collections.abc import Iterator

from tunesmith.prepare.formats import _names as names
from tunesmith.prepare.formats._answers import RawAnswer, is_answers, located, misplaced, raw_answers
from tunesmith.prepare.formats._faults import RowFault
from tunesmith.prepare.formats._guess import Guess, listed
from tunesmith.prepare.formats._stats import ColumnStats

_STANDS = 0.8
"""The share of sampled rows whose answer must stand in the text where the file gives no places."""


def choose_questions(guess: Guess) -> None:
    """Fill in text, question and answers where the rows have them; sets the task then.

    Raises:
        DataError: the rows were said to be questions, and no text or no question was found.
    """
    columns = guess.columns
    if guess.task not in (None, "extractive_qa") or columns.label or columns.entities or columns.tags:
        return
    texts = [column.name for column in guess.free() if column.strings] if guess.has_names else []
    asked = columns.pair or next(iter(names.named(texts, names.QUESTION)), None)
    about = [name for name in names.named(texts, names.CONTEXT) if name != asked]
    text = columns.text[0] if columns.text else next(iter(about), None)
    answers = columns.answers or (_answers(guess, text) if text and asked else None)
    if guess.task is None and not answers:
        return
    if not text or not asked:
        raise guess.refusal(
            "no question was found for the answers" if text else "no text was found that holds the answers",
            code="TS-DATA-008",
            fix=f"name the {'question with `pair`' if text else 'text with `text`'}. "
            f"Columns: {listed(list(guess.stats))}.",
        )
    guess.task = "extractive_qa"
    told = f", answered under {answers!r}" if answers else ", without answers: the rows are read as unlabelled"
    found = {"text": columns.text or (text,), "pair": asked, "answers": answers}
    guess.fill(found, f"the question {asked!r} about the text {text!r}{told}")
    _document(guess)
    if answers:
        _flag(guess)
        _details(guess, text, answers)


def _answers(guess: Guess, text: str) -> str | None:
    """The column of answers: by its shape, or because what it says stands in the text."""
    free = {column.name: column for column in guess.free()}
    known = names.named(list(free), names.ANSWERS)
    shaped = [name for name in known if any(free[name].present) and all(map(is_answers, free[name].present))]
    standing = [name for name in known if _stands(free[name], guess.column(text))]
    return next(iter(shaped or standing), None)


def _stands(answers: ColumnStats, texts: ColumnStats) -> bool:
    rows = [(value, text) for value, text in zip(answers.values, texts.values, strict=True) if value and text]
    found = sum(all(located(answer, text) is not None for answer in raw) for raw, text in _read(rows, answers.name))
    return bool(rows) and found >= _STANDS * len(rows)


def _read(rows: list[tuple[object, object]], key: str) -> Iterator[tuple[list[RawAnswer], str]]:
    for value, text in rows:
        try:
            raw = raw_answers(value, key)
        except RowFault:
            continue
        if isinstance(text, str):
            yield raw, text


def _document(guess: Guess) -> None:
    """Questions about one document stay in one split; without its name those about one text do."""
    if guess.columns.group is None and "group" not in guess.closed:
        free = [column.name for column in guess.free()]
        for name in names.named(free, names.DOCUMENT)[:1]:
            guess.fill({"group": name}, f"rows with the same {name!r} stay together (group)")


def _flag(guess: Guess) -> None:
    if guess.columns.impossible is None and "impossible" not in guess.closed:
        for name in names.named(list(guess.stats), names.IMPOSSIBLE)[:1]:
            guess.fill({"impossible": name}, f"{name!r} says that the text holds no answer")


def _details(guess: Guess, text: str, answers: str) -> None:
    """What rows without answers mean, and how many answers do not stand where they should."""
    column = guess.column(answers)
    missing = sum(value is None or value == "" for value in column.values)
    if guess.spans.absent is None:
        none = missing > 0.05 * len(column.values) and not guess.columns.impossible
        guess.spans = guess.spans.model_copy(update={"absent": "none" if none else "reject"})
        if none:
            guess.notes.append(
                f"{missing} of {len(column.values)} sampled rows lack {answers!r}: read as without answer"
            )
    rows = list(zip(column.values, guess.column(text).values, strict=True))
    moved = sum(misplaced(answer, context) for raw, context in _read(rows, answers) for answer in raw)
    if moved:
        guess.notes.append(f"{moved} sampled answers stand near the place that is given for them, and are read there")
