"""What is wrong with labelled data, before a model learns it: counts, balance, duplicates, conflicts, leaks, lengths.

Every finding names its lines. The result is a list of sections that the command line prints as tables, `--json`
prints as an object, and the report shows as a page.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.core.example import Example, LabelAndSpans, Span
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.prepare.alignment import units_of_example, words_of
from tunesmith.prepare.balance import balance, spread
from tunesmith.prepare.certificate import Certificate, spans_in
from tunesmith.prepare.characters import Level
from tunesmith.prepare.duplicates import normalized

Status = Literal["ok", "warn", "fail"]
SHOWN = 20
"""Rows listed under a finding; the count in the summary is always complete."""


@dataclass(frozen=True, slots=True)
class Section:
    """One finding: a sentence, a verdict and the rows that prove it."""

    title: str
    status: Status
    summary: str
    rows: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class AuditReport:
    """All findings of one audit."""

    sections: tuple[Section, ...]

    @property
    def status(self) -> Status:
        """The worst verdict of any section."""
        found = {section.status for section in self.sections}
        return "fail" if "fail" in found else "warn" if "warn" in found else "ok"

    def as_record(self) -> dict[str, Any]:
        """A JSON-ready object."""
        rows = [
            {"title": s.title, "status": s.status, "summary": s.summary, "rows": list(s.rows)} for s in self.sections
        ]
        return {"status": self.status, "sections": rows}


def audit(
    splits: Mapping[str, Sequence[Example]],
    *,
    tokenizer: Tokenizer | None = None,
    max_length: int | None = None,
    level: Level | None = None,
    certificates: Mapping[str, Certificate] | None = None,
    answers: Sequence[Section] = (),
    english_only: bool = False,
) -> AuditReport:
    """Look through the splits of one data set.

    Args:
        splits: examples by split name; the first split is the one the model learns from.
        tokenizer: measures lengths in tokens against its window; without it lengths are in characters.
        max_length: the task's own window in tokens, where it is shorter than the tokenizer's.
        level: for data with entities or answers, the units that the task tokenises one by one.
        certificates: by split, for data with entities or answers.
        answers: for questions, what there is to say about answers; it stands in the place of labels.
        english_only: whether the backbone knows English only.
    """
    sections = [
        _counts(splits, labelled=not answers),
        *(answers or (*_balances(splits), _unseen_labels(splits))),
        *([_certificate(certificates, "answers" if answers else "entities")] if certificates else []),
        _lengths(splits, tokenizer, max_length, level),
        _duplicates(splits),
        *([_conflicts(splits)] if certificates or not answers else []),  # answers that are written may all be right
        _leaks(splits),
        _script(splits, english_only=english_only),
    ]
    return AuditReport(tuple(sections))


def labels_of(example: Example) -> tuple[str, ...]:
    """The labels an example carries: entity types, one label or several, both, or none for a score or an answer."""
    if isinstance(example.gold, LabelAndSpans):
        return (example.gold.label, *(span.label for span in example.gold.spans))
    if isinstance(example.gold, str):
        return (example.gold,)
    if isinstance(example.gold, tuple) and not _answers(example):
        return tuple(item.label if isinstance(item, Span) else str(item) for item in example.gold)
    return ()


def _answers(example: Example) -> tuple[str, ...]:
    """What answers a question, as it stands in the text."""
    gold = example.gold if isinstance(example.gold, tuple) and example.pair is not None else ()
    return tuple(example.text[item.start : item.end] for item in gold if isinstance(item, Span))


def _counts(splits: Mapping[str, Sequence[Example]], *, labelled: bool) -> Section:
    rows = []
    for name, examples in splits.items():
        entities = sum(len(spans_in(example)) for example in examples if example.pair is None)
        labels = Counter(label for example in examples for label in labels_of(example))
        row: dict[str, Any] = {"split": name, "examples": len(examples)} | ({"labels": len(labels)} if labelled else {})
        row |= {"entities": entities} if entities else {}
        rows.append(row | {"unlabelled": sum(example.gold is None for example in examples)})
    total = sum(row["examples"] for row in rows)
    empty = [row["split"] for row in rows if not row["examples"]]
    if empty:
        return Section("Counts", "fail", f"no examples in: {', '.join(empty)}", tuple(rows))
    return Section("Counts", "ok", f"{total} examples in {len(rows)} split(s)", tuple(rows))


def _balances(splits: Mapping[str, Sequence[Example]]) -> tuple[Section, ...]:
    """One for the labels; where texts have a label beside their entities, one for each of the two."""
    name, examples = next(iter(splits.items()))
    both = [example.gold for example in examples if isinstance(example.gold, LabelAndSpans)]
    if both:
        types = Counter(span.label for gold in both for span in gold.spans)
        of_labels = balance(name, Counter(gold.label for gold in both))
        return Section("Balance", *of_labels), Section("Balance of entities", *balance(name, types))
    counts = Counter(label for example in examples for label in labels_of(example))
    return (Section("Balance", *(balance(name, counts) if counts else spread(name, examples))),)


def _unseen_labels(splits: Mapping[str, Sequence[Example]]) -> Section:
    (first, train), *others = splits.items()
    known = {label for example in train for label in labels_of(example)}
    rows = tuple(
        {"split": name, "label": label, "line": str(example.source)}
        for name, examples in others
        for example in examples
        for label in labels_of(example)
        if label not in known
    )
    if rows:
        names = sorted({row["label"] for row in rows})
        summary = f"{len(names)} label(s) never occur in {first} and cannot be learnt: {', '.join(names[:8])}"
        return Section("Labels unseen in training", "warn", summary, rows[:SHOWN])
    return Section("Labels unseen in training", "ok", "every label of the other splits occurs in training")


def _certificate(certificates: Mapping[str, Certificate], what: str) -> Section:
    rows: list[dict[str, Any]] = []
    for name, certificate in certificates.items():
        counts = {"exact": certificate.exact, "repaired": certificate.repaired, "lossy": certificate.lossy}
        rows.append({"split": name, what: certificate.total, **counts, "truncated": certificate.truncated})
    faults = [
        {"split": name, "line": str(fault.source), "what": fault.describe()}
        for name, certificate in certificates.items()
        for fault in certificate.faults
    ]
    lost = sum(certificate.lossy + certificate.truncated for certificate in certificates.values())
    total = sum(certificate.total for certificate in certificates.values())
    repaired = sum(certificate.repaired for certificate in certificates.values())
    status: Status = "fail" if lost > 0.005 * total else "warn" if lost or repaired else "ok"
    exact = total - lost - repaired
    summary = f"{exact} of {total} {what} survive tokenisation exactly, {repaired} repaired, {lost} lost"
    return Section("Alignment certificate", status, summary, (*rows, *faults[:SHOWN]))


def _lengths(
    splits: Mapping[str, Sequence[Example]], tokenizer: Tokenizer | None, max_length: int | None, level: Level | None
) -> Section:
    unit = "tokens" if tokenizer else "characters"
    window = min(tokenizer.max_length, max_length or tokenizer.max_length) if tokenizer else None
    rows = []
    longest = 0
    over = {"text": 0, "pair": 0}
    for name, examples in splits.items():
        sizes = _sizes(examples, tokenizer, level)
        if not sizes:
            continue
        for example, size in zip(examples, sizes, strict=True):
            over["text" if example.pair is None or level else "pair"] += window is not None and size > window
        sizes.sort()
        longest = max(longest, sizes[-1])
        middle, high = sizes[len(sizes) // 2], sizes[int(len(sizes) * 0.95)]
        rows.append({"split": name, "unit": unit, "median": middle, "p95": high, "longest": sizes[-1]})
    found = []
    if over["text"]:
        found.append(f"{over['text']} text(s) exceed the window of {window} tokens and are read in overlapping windows")
    if over["pair"]:
        found.append(f"{over['pair']} pair(s) exceed the window of {window} tokens and are CUT, the longer text first")
    if found:
        return Section("Length", "warn", "; ".join(found), tuple(rows))
    limit = f", window {window}" if window else ""
    return Section("Length", "ok", f"longest text {longest} {unit}{limit}", tuple(rows))


def _sizes(examples: Sequence[Example], tokenizer: Tokenizer | None, level: Level | None) -> list[int]:
    """How long each example is: with the special tokens around it, or in characters."""
    first, second = [example.text for example in examples], [example.pair or "" for example in examples]
    if tokenizer is None:
        return [len(a) + len(b) for a, b in zip(first, second, strict=True)]
    alone, paired = tokenizer.framing.alone, tokenizer.framing.paired
    if level is not None:
        words = (words_of(example.text, units_of_example(example, level)) for example in examples)
        asked = (len(ids) + paired - alone if ids else 0 for ids in tokenizer.texts(second))
        return [alone + sum(map(len, tokenizer.words(own))) + more for own, more in zip(words, asked, strict=True)]
    return [
        len(a) + (alone if example.pair is None else len(b) + paired)
        for example, a, b in zip(examples, tokenizer.texts(first), tokenizer.texts(second), strict=True)
    ]


def _duplicates(splits: Mapping[str, Sequence[Example]]) -> Section:
    rows = []
    for name, examples in splits.items():
        for first, *again in _same_text(examples):
            lines = ", ".join(str(example.source.line) for example in again)
            rows.append({"split": name, "line": str(first.source), "again on line": lines, "text": _short(first.text)})
    copies = sum(row["again on line"].count(",") + 1 for row in rows)
    if rows:
        return Section("Exact duplicates", "warn", f"{copies} row(s) repeat an earlier text", tuple(rows[:SHOWN]))
    return Section("Exact duplicates", "ok", "no text occurs twice within a split")


def _conflicts(splits: Mapping[str, Sequence[Example]]) -> Section:
    rows = []
    for name, examples in splits.items():
        for same in _same_text(examples):
            # Surfaces may differ in blanks and case, so entity offsets are compared only between equal texts.
            answers = {repr(e.gold) for e in same if e.gold is not None and e.text == same[0].text}
            if len(answers) > 1:
                lines = ", ".join(str(example.source.line) for example in same)
                said = {", ".join(labels_of(e) or _answers(e)) or str(e.gold or "nothing") for e in same}
                rows.append(
                    {"split": name, "lines": lines, "labels": " / ".join(sorted(said)), "text": _short(same[0].text)}
                )
    if rows:
        summary = f"{len(rows)} text(s) carry different labels on different lines"
        return Section("Conflicting labels", "warn", summary, tuple(rows[:SHOWN]))
    return Section("Conflicting labels", "ok", "equal texts carry equal labels")


def _leaks(splits: Mapping[str, Sequence[Example]]) -> Section:
    (first, train), *others = splits.items()
    seen = {_key(example): example for example in reversed(train)}
    rows = [
        {
            "split": name,
            "line": str(example.source),
            f"in {first}": str(seen[_key(example)].source),
            "text": _short(example.text),
        }
        for name, examples in others
        for example in examples
        if _key(example) in seen
    ]
    if not rows:
        return Section("Leaks between splits", "ok", f"no text of another split occurs in {first}")
    evaluated = sum(len(examples) for _, examples in others)
    share = len(rows) / evaluated
    status: Status = "fail" if share > 0.05 else "warn"
    found = f"{len(rows)} of {evaluated} evaluation texts ({share:.1%}) occur in {first}: scores on them are flattered"
    return Section("Leaks between splits", status, found, tuple(rows[:SHOWN]))


def _script(splits: Mapping[str, Sequence[Example]], *, english_only: bool) -> Section:
    examples = next(iter(splits.values()))
    chinese = mostly_chinese(example.text for example in examples[:2000])
    if chinese and english_only:
        remedy = 'the backbone knows English only: set backbone = "starter:multilingual"'
        return Section("Language", "fail", f"the texts are mostly Chinese and {remedy}")
    return Section("Language", "ok", "mostly Chinese" if chinese else "no script that the backbone cannot read")


def mostly_chinese(texts: Iterable[str]) -> bool:
    """Whether more than half of the letters are CJK ideographs."""
    letters = Counter("cjk" if "\u4e00" <= c <= "\u9fff" else "other" for text in texts for c in text if c.isalpha())
    return letters["cjk"] > letters["other"]


def _same_text(examples: Sequence[Example]) -> list[list[Example]]:
    groups: defaultdict[tuple[str, str], list[Example]] = defaultdict(list)
    for example in examples:
        groups[_key(example)].append(example)
    return [group for group in groups.values() if len(group) > 1]


def _key(example: Example) -> tuple[str, str]:
    return normalized(example.text), normalized(example.pair or "")


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
