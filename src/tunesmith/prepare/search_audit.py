"""What an audit says otherwise where questions and documents are read apart: their lengths, and questions that leak."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.core.example import Example
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.prepare.audit import SHOWN, AuditReport, Section, Status
from tunesmith.prepare.duplicates import normalized


def audited_apart(
    report: AuditReport,
    splits: Mapping[str, Sequence[Example]],
    *,
    tokenizer: Tokenizer,
    max_length: int | None,
) -> AuditReport:
    """The report with the sections on lengths and leaks in the form that suits a search.

    Args:
        report: what `audit` found.
        splits: examples by split name; the first split is the one the model learns from.
        tokenizer: measures lengths in tokens against its window.
        max_length: the task's own window in tokens, where it is shorter than the tokenizer's.
    """
    window = min(tokenizer.max_length, max_length or tokenizer.max_length)
    own = {section.title: section for section in (_lengths(splits, tokenizer, window), _leaks(splits))}
    return replace(report, sections=tuple(own.get(section.title, section) for section in report.sections))


def _lengths(splits: Mapping[str, Sequence[Example]], tokenizer: Tokenizer, window: int) -> Section:
    rows: list[dict[str, Any]] = []
    cut = 0
    for name, examples in splits.items():
        sides = {"question": [row.text for row in examples], "document": [row.pair or "" for row in examples]}
        for side, texts in sides.items():
            read = tokenizer.texts(sorted(set(texts)))
            sizes = sorted(len(ids) + tokenizer.framing.alone for ids in read)
            cut += sum(size > window for size in sizes)
            middle, high = sizes[len(sizes) // 2], sizes[int(len(sizes) * 0.95)]
            rows.append({"split": name, "text": side, "median": middle, "p95": high, "longest": sizes[-1]})
    if cut:
        summary = f"{cut} text(s) exceed the window of {window} tokens and are CUT: a vector stands for their beginning"
        return Section("Length", "warn", summary, tuple(rows))
    longest = max(row["longest"] for row in rows)
    return Section("Length", "ok", f"longest text {longest} tokens, window {window}", tuple(rows))


def _leaks(splits: Mapping[str, Sequence[Example]]) -> Section:
    """Documents may be the same in all splits; a question may not."""
    (first, train), *others = splits.items()
    seen = {normalized(example.text): example for example in reversed(train)}
    found = [(name, row) for name, rows in others for row in rows if normalized(row.text) in seen]
    if not found:
        return Section("Leaks between splits", "ok", f"no question of another split occurs in {first}")
    asked = sum(len(rows) for _, rows in others)
    shown = tuple(
        {"split": name, "line": str(row.source), f"in {first}": str(seen[normalized(row.text)].source)}
        for name, row in found[:SHOWN]
    )
    status: Status = "fail" if len(found) > 0.05 * asked else "warn"
    summary = f"the questions of {len(found)} of {asked} evaluation rows occur in {first}: scores on them are flattered"
    return Section("Leaks between splits", status, summary, shown)
