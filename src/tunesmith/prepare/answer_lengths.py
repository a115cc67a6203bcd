"""How long answers are that are to be written, and how often one is given to several questions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.core.example import Example
from tunesmith.prepare.audit import Section


def answer_sections(splits: Mapping[str, Sequence[Example]]) -> tuple[Section, ...]:
    """What an audit says of the answers of the first split, with a row of characters for each split."""
    rows: list[dict[str, Any]] = []
    for name, examples in splits.items():
        sizes = sorted(len(answer) for example in examples for answer in answers_of(example))
        if sizes:
            middle, high = sizes[len(sizes) // 2], sizes[int(len(sizes) * 0.95)]
            rows.append({"split": name, "answers": len(sizes), "median": middle, "p95": high, "longest": sizes[-1]})
    first = next(iter(splits.values()))
    given = Counter(answer for example in first for answer in answers_of(example))
    if not given:
        return (Section("Answers", "fail", "there is no answer to learn", tuple(rows)),)
    (_, most), total = given.most_common(1)[0], sum(given.values())
    often = f"; one answer is given {most} times" if most > 1 else ""
    return (Section("Answers", "ok", f"{total} answers, {len(given)} different{often}", tuple(rows)),)


def answers_of(example: Example) -> tuple[str, ...]:
    """The answers to an example that are all right."""
    if isinstance(example.gold, str):
        return (example.gold,)
    return tuple(item for item in example.gold if isinstance(item, str)) if isinstance(example.gold, tuple) else ()
