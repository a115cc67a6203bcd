"""What an audit finds about questions and answers, in the place of what it finds about labels."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.core.example import Example, Span
from tunesmith.prepare.alignment import units_of
from tunesmith.prepare.audit import SHOWN, Section, Status
from tunesmith.prepare.characters import Level
from tunesmith.prepare.duplicates import normalized


def question_sections(splits: Mapping[str, Sequence[Example]], *, level: Level) -> tuple[Section, ...]:
    """Answers and their lengths in each split, and texts that the model has read before it is judged on them."""
    return _answers(splits, level), _known_texts(splits)


def _answers(splits: Mapping[str, Sequence[Example]], level: Level) -> Section:
    (first, train), *others = splits.items()
    rows: list[dict[str, Any]] = []
    total, texts = 0, 0
    for name, examples in splits.items():
        lengths = sorted(
            len(units_of(example.text[span.start : span.end], level))
            for example in examples
            for span in _references(example)
        )
        own = len({example.text for example in examples})
        total, texts = total + len(examples), texts + own
        rows.append(
            {
                "split": name,
                "questions": len(examples),
                "texts": own,
                "without answer": sum(map(_lacks, examples)),
                "median length": lengths[len(lengths) // 2] if lengths else 0,
                "longest": lengths[-1] if lengths else 0,
            }
        )
    unit = "characters" if level == "characters" else "words"
    summary = f"{total} questions about {texts} texts; answers of at most {max(row['longest'] for row in rows)} {unit}"
    lacking = sum(row["without answer"] for row in rows)
    summary += f"; {lacking} without answer" if lacking else ""
    unlearnt = not any(map(_lacks, train)) and any(_lacks(example) for _, examples in others for example in examples)
    if unlearnt:
        remedy = f"{first} has no question without answer, so that the model will always answer"
        return Section("Answers", "warn", f"{summary}; {remedy}", tuple(rows))
    return Section("Answers", "ok", summary, tuple(rows))


def _known_texts(splits: Mapping[str, Sequence[Example]]) -> Section:
    (first, train), *others = splits.items()
    seen = {normalized(example.text): example for example in reversed(train)}
    rows = tuple(
        {"split": name, "line": str(example.source), f"in {first}": str(seen[key].source)}
        for name, examples in others
        for example in examples
        if (key := normalized(example.text)) in seen
    )
    asked = sum(len(examples) for _, examples in others)
    status: Status = "warn" if rows else "ok"
    about = f"{len(rows)} of {asked}" if rows else "no"
    return Section("Known texts", status, f"{about} evaluation questions are about texts of {first}", rows[:SHOWN])


def _references(example: Example) -> tuple[Span, ...]:
    gold = example.gold if isinstance(example.gold, tuple) else ()
    return tuple(item for item in gold if isinstance(item, Span))


def _lacks(example: Example) -> bool:
    return example.gold == ()
