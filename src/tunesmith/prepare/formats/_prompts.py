"""Which columns hold what is asked and what is to be written: a conversation, or a prompt and its answer."""

from tunesmith.prepare.formats import _names as names
from tunesmith.prepare.formats._conversations import are_messages
from tunesmith.prepare.formats._guess import Guess, listed
from tunesmith.prepare.formats._stats import ColumnStats


def choose_prompts(guess: Guess) -> None:
    """Fill in the columns of answers that are written, and the task where the file speaks for it.

    Raises:
        DataError: a person said that answers are written, and no prompt is to be found.
    """
    if guess.task not in (None, "generation"):
        return
    _messages(guess)
    if not guess.columns.messages:
        _pair(guess)
    if guess.columns.messages or guess.columns.answer:
        guess.task = "generation"
    if guess.task == "generation":
        _rest(guess)


def _messages(guess: Guess) -> None:
    if guess.columns.messages or guess.columns.text or "messages" in guess.closed:
        return
    found = [
        column.name for column in guess.free() if sum(map(are_messages, column.present)) > 0.9 * len(column.present)
    ]
    if found:
        guess.fill({"messages": found[0]}, f"conversations from {found[0]!r}; the last answer is the one to be written")


def _pair(guess: Guess) -> None:
    """A prompt and an answer under names that go together."""
    columns = guess.columns
    if columns.answer or not guess.has_names:
        return
    strings = [column.name for column in guess.free() if column.strings] + list(columns.text)
    for prompt, answer in names.PROMPTS:
        asked, said = names.named(strings, (prompt,)), names.named(strings, (answer,))
        fits = asked and said and columns.text in ((), (asked[0],)) and (guess.asked or _written(guess.column(said[0])))
        if not fits:
            continue
        more = [name for name in names.named(strings, (names.PROMPT_INPUT,)) if name not in (asked[0], said[0])][:1]
        text = (asked[0], *more)
        guess.fill(
            {"text": text, "answer": said[0]}, f"{said[0]!r} is to be written when {' and '.join(text)!r} is asked"
        )
        return


def _written(column: ColumnStats) -> bool:
    """Whether values read like answers and not like labels."""
    return column.text_like and not column.label_like


def _rest(guess: Guess) -> None:
    """What a person who asked for this task has not named and no pair of names tells."""
    columns = guess.columns
    if columns.messages:
        return
    free = [column.name for column in guess.free() if column.strings]
    if not columns.answer:
        known = names.named(free, names.ANSWER)
        if not known and len(free) == 2 and not columns.text:
            known = free[1:]
        if known:
            guess.fill({"answer": known[0]}, f"the answer is {known[0]!r}")
        else:
            guess.notes.append("no answers were found: the rows are read as questions alone")
    if not guess.columns.text:
        free = [name for name in free if name != guess.columns.answer]
        known = names.named(free, names.PROMPT) or (free if len(free) == 1 else [])
        if not known:
            raise guess.refusal(
                "no column was found that is surely the prompt",
                code="TS-DATA-008",
                fix=f"name it with `text`, and the answer with `answer`. Columns: {listed(list(guess.stats))}.",
            )
        guess.fill({"text": (known[0],)}, f"the prompt is {known[0]!r}")
