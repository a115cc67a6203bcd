"""The worst errors of a split: confident and wrong first, each with its line, in the memory of the rows shown."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.example import LabelAndSpans, Node, Relevant, Span
from tunesmith.core.prediction import LabelAndScoredSpans, Prediction, Ranked, ScoredNode, ScoredSpan
from tunesmith.judge import sides
from tunesmith.judge.metrics.spans import Pairing, pairings

SHOWN, PER_LABEL = 120, 6
MOST = 3
"""Documents shown of a ranking"""
_SHOWN_AS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
_SHOWN_AS |= dict.fromkeys((*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD)
_EXCERPT, _BEFORE = 600, 160


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong answer: how bad (the confidence of the wrong part, or the distance of a score) and which labels."""

    prediction: Prediction
    severity: float
    labels: tuple[str, ...]
    pairs: tuple[Pairing, ...] = ()


@dataclass(slots=True)
class _Worst:
    """The worst few; equal severities are settled by id, so that the order of the rows has no say."""

    most: int
    heap: list[tuple[float, str, int, Mistake]] = field(default_factory=list)
    seen: int = 0

    def offer(self, mistake: Mistake) -> None:
        self.seen += 1
        entry = (mistake.severity, mistake.prediction.id, self.seen, mistake)
        if len(self.heap) < self.most:
            heapq.heappush(self.heap, entry)
        elif entry[:3] > self.heap[0][:3]:
            heapq.heapreplace(self.heap, entry)


def worst_errors(predictions: Iterable[Prediction]) -> tuple[list[Mistake], int]:
    """The worst mistakes, worst first, and how many rows are wrong in all.

    Of every label at least its worst few are kept, so that a filter by label never comes up empty-handed.
    """
    overall = _Worst(SHOWN)
    by_label: dict[str, _Worst] = {}
    for prediction in predictions:
        mistake = mistake_of(prediction)
        if mistake is None:
            continue
        overall.offer(mistake)
        for label in mistake.labels:
            by_label.setdefault(label, _Worst(PER_LABEL)).offer(mistake)
    kept = {entry[1]: entry[3] for worst in (overall, *by_label.values()) for entry in worst.heap}
    ranked = sorted(kept.values(), key=lambda mistake: (-mistake.severity, mistake.prediction.id))
    return ranked, overall.seen


def mistake_of(prediction: Prediction) -> Mistake | None:
    """What is wrong with an answer, or None."""
    gold, said = prediction.gold, prediction.predicted
    if gold is None:
        return None
    if isinstance(gold, str):
        return _label_mistake(prediction, gold, str(said))
    if isinstance(gold, LabelAndSpans) and isinstance(said, LabelAndScoredSpans):
        return _joint_mistake(prediction, gold, said)
    if isinstance(gold, tuple) and isinstance(said, tuple):
        if gold and isinstance(gold[0], Relevant):
            return _ranking_mistake(prediction)
        if gold and isinstance(gold[0], Node):
            return _path_mistake(prediction, said)
        if any(isinstance(item, Span | ScoredSpan) for item in (*gold, *said)):
            return _entity_mistake(prediction, gold, said)
        return _set_mistake(prediction, {str(label) for label in gold}, {str(label) for label in said})
    if isinstance(gold, int | float) and isinstance(said, int | float):
        return Mistake(prediction, abs(gold - said), ()) if gold != said else None
    return None


def _label_mistake(prediction: Prediction, gold: str, said: str) -> Mistake | None:
    if gold == said:
        return None
    sure = prediction.scores.get(said, prediction.confidence if prediction.confidence is not None else 1.0)
    return Mistake(prediction, sure, (gold, said))


def _joint_mistake(prediction: Prediction, gold: LabelAndSpans, said: LabelAndScoredSpans) -> Mistake | None:
    """As bad as the worse of the two, with the entities shown also where only the label is wrong."""
    parts = (
        _label_mistake(prediction, gold.label, said.label),
        _entity_mistake(prediction, gold.spans, said.spans),
    )
    wrong = [part for part in parts if part is not None]
    if not wrong:
        return None
    pairs = pairings(gold.spans, [span.span() for span in said.spans])
    labels = tuple(dict.fromkeys(label for part in wrong for label in part.labels))
    return Mistake(prediction, max(part.severity for part in wrong), labels, tuple(pairs))


def _entity_mistake(prediction: Prediction, gold: tuple[Any, ...], said: tuple[Any, ...]) -> Mistake | None:
    confidence = {item.span(): item.confidence for item in said if isinstance(item, ScoredSpan)}
    pairs = pairings([item for item in gold if isinstance(item, Span)], confidence)
    wrong = [pair for pair in pairs if pair.fate != "correct"]
    if not wrong:
        return None
    # A missed entity has no confidence of its own: it ranks as an even bet.
    severity = max(confidence[pair.predicted] if pair.predicted is not None else 0.5 for pair in wrong)
    labels = {span.label for pair in wrong for span in (pair.gold, pair.predicted) if span is not None}
    return Mistake(prediction, severity, tuple(sorted(labels)), tuple(pairs))


def _ranking_mistake(prediction: Prediction) -> Mistake | None:
    """Another document came first: as bad as its cosine lies above that of the best document that answers."""
    wanted, found = sides.documents(prediction)
    names = {item.id for item in wanted}
    if found and found[0].id in names:
        return None
    best = next((item.score for item in found if item.id in names), 0.0)
    return Mistake(prediction, found[0].score - best if found else 1.0, ())


def _path_mistake(prediction: Prediction, said: tuple[Any, ...]) -> Mistake | None:
    """A wrong step, as bad as the first wrong node was likely; an answer that only stopped early says nothing wrong."""
    wanted, given = sides.paths(prediction)
    if wanted == given:
        return None
    wrong = [item.confidence for item in said if isinstance(item, ScoredNode) and item.label not in wanted]
    return Mistake(prediction, wrong[0] if wrong else 0.0, (wanted[-1], given[-1]))


def _set_mistake(prediction: Prediction, gold: set[str], said: set[str]) -> Mistake | None:
    if gold == said:
        return None
    scores = prediction.scores
    spurious = [scores.get(label, 1.0) for label in said - gold]
    missed = [1 - scores.get(label, 0.5) for label in gold - said]
    return Mistake(prediction, max(spurious + missed), tuple(sorted(gold ^ said)))


def error_record(mistake: Mistake) -> dict[str, Any]:
    """What a page shows of a mistake: an excerpt, gold and predicted as pieces or labels, file and line."""
    prediction = mistake.prediction
    record: dict[str, Any] = {
        "id": prediction.id,
        "source": str(prediction.source) if prediction.source else None,
        "severity": round(mistake.severity, 4),
        "labels": list(mistake.labels),
        "pair": None if prediction.pair is None else shortened(prediction.pair),
        "text": shortened(prediction.text),
        "truncated": prediction.truncated,
    }
    if mistake.pairs:
        first, last = _window(prediction.text, mistake.pairs)
        text = visible(prediction.text)
        record |= {
            "gold_pieces": _pieces(text, mistake.pairs, side="gold", window=(first, last)),
            "predicted_pieces": _pieces(text, mistake.pairs, side="predicted", window=(first, last)),
            "fates": sorted({pair.fate for pair in mistake.pairs if pair.fate != "correct"}),
        }
        if not isinstance(prediction.gold, LabelAndSpans):
            return record
    record["gold"], record["predicted"] = _shown(prediction.gold), _shown(prediction.predicted)
    ranked = sorted(prediction.scores.items(), key=lambda item: (-item[1], item[0]))
    gold = record["gold"]
    told = [item for place, item in enumerate(ranked) if place < 3 or item[0] in gold][:6]
    record["scores"] = [{"label": label, "score": round(score, 4)} for label, score in told]
    return record


def visible(text: str) -> str:
    """The text with control characters and changes of reading direction made visible, character for character.

    What a person reads in a report must be what stands in the file, and nothing in it may drive a terminal.
    """
    return text.translate(_SHOWN_AS)


def _shown(value: object) -> list[str]:
    if isinstance(value, LabelAndSpans | LabelAndScoredSpans):
        return [value.label]
    if isinstance(value, tuple) and value and isinstance(value[-1], Node | ScoredNode):
        return [str(value[-1].label)]
    if isinstance(value, tuple):
        return [shortened(item.text) if isinstance(item, Relevant | Ranked) else str(item) for item in value[:MOST]]
    return [f"{value:.3f}" if isinstance(value, float) else str(value)]


def shortened(text: str) -> str:
    """The text made visible, cut where it is too long to read in a list."""
    text = visible(text)
    return text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 1]}…"


def _window(text: str, pairs: tuple[Pairing, ...]) -> tuple[int, int]:
    if len(text) <= _EXCERPT:
        return 0, len(text)
    wrong = [span.start for pair in pairs if pair.fate != "correct" for span in (pair.gold, pair.predicted) if span]
    first = max(0, min(wrong, default=0) - _BEFORE)
    return first, min(len(text), first + _EXCERPT)


def _pieces(text: str, pairs: tuple[Pairing, ...], *, side: str, window: tuple[int, int]) -> list[dict[str, str]]:
    """The text of the window cut at the spans of one side; plain pieces have no label."""
    place, last = window
    pieces = [{"text": "…"}] if place else []
    spans = [(pair.gold if side == "gold" else pair.predicted, pair.fate) for pair in pairs]
    for span, fate in sorted((span, fate) for span, fate in spans if span is not None):
        start, end = max(span.start, place), min(span.end, last)
        if end <= start:
            continue
        if start > place:
            pieces.append({"text": text[place:start]})
        pieces.append({"text": text[start:end], "label": span.label, "fate": fate})
        place = end
    if place < last:
        pieces.append({"text": text[place:last]})
    return pieces + ([{"text": "…"}] if last < len(text) else [])
