"""What a row of questions and documents becomes when it is learnt: the document that answers, then hard negatives."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tunesmith.core.example import Example


@dataclass(frozen=True, slots=True)
class LearntRow:
    """The example's number and its documents: the answer first, then hard negatives; none for a question alone."""

    example: int
    documents: tuple[str, ...] = ()


def answers_of(examples: Iterable[Example], grade: Callable[[Example], float]) -> dict[str, set[str]]:
    """The documents that answer each question, by its text."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for example in examples:
        if example.pair is not None and grade(example) > 0:
            found[example.text].add(example.pair)
    return dict(found)


def learnt_rows(examples: Sequence[Example], grade: Callable[[Example], float]) -> list[LearntRow]:
    """One row for each example but those whose document does not answer.

    Such a document goes to the first row of the same question that has an answer, as a hard negative; where there is
    none it is not learnt from.
    """
    answers = answers_of(examples, grade)
    wrong: defaultdict[str, list[str]] = defaultdict(list)
    for example in examples:
        if example.pair is not None and grade(example) <= 0:
            wrong[example.text].append(example.pair)
    rows = []
    for number, example in enumerate(examples):
        if example.pair is None:
            rows.append(LearntRow(number))
        elif grade(example) > 0:
            others = dict.fromkeys((*example.negatives, *wrong.pop(example.text, ())))
            negatives = [text for text in others if text not in answers[example.text]]
            rows.append(LearntRow(number, (example.pair, *negatives)))
    return rows
