"""Fault 1: padding scored as correct. A model that finds nothing looks excellent once the padding is counted."""

from dataclasses import dataclass

from sklearn.metrics import accuracy_score, f1_score

from tunesmith.core.example import Source, Span
from tunesmith.core.prediction import Prediction
from tunesmith.judge.scoring import score
from tunesmith.prepare.alignment import spans_of

PADDED_LENGTH = 128
SENTENCES = {
    "My parcel for Marta Dunning has not come this week": "O O O B-PERSON I-PERSON O O O O O",
    "Please send it to Canal Row before the weekend starts": "O O O O B-LOCATION I-LOCATION O O O O",
}


@dataclass(frozen=True)
class Scores:
    """The same useless answers, scored twice the textbook's way and once by entities."""

    token_accuracy: float
    weighted_f1: float
    span_f1: float


def all_outside() -> Scores:
    """Score a model that answers O everywhere."""
    gold = [tags.split() for tags in SENTENCES.values()]
    said = [["O"] * len(tags) for tags in gold]
    padded_gold = [tag for tags in gold for tag in tags + ["O"] * (PADDED_LENGTH - len(tags))]
    padded_said = [tag for tags in said for tag in tags + ["O"] * (PADDED_LENGTH - len(tags))]
    return Scores(
        token_accuracy=float(accuracy_score(padded_gold, padded_said)),
        weighted_f1=float(f1_score(padded_gold, padded_said, average="weighted", zero_division=0)),
        span_f1=score(map(_prediction, SENTENCES), kind="token_classification").metrics["span_f1"].value,
    )


def _prediction(text: str) -> Prediction:
    words, end = [], 0
    for word in text.split():
        start = text.index(word, end)
        end = start + len(word)
        words.append((start, end))
    gold: tuple[Span, ...] = tuple(spans_of(SENTENCES[text].split(), words))
    return Prediction(id=text, text=text, gold=gold, predicted=(), source=Source("padding.py", 1))


if __name__ == "__main__":
    found = all_outside()
    print(f"a model that answers O for every token, two sentences of 10 words padded to {PADDED_LENGTH}:")
    print(f"  token accuracy   {found.token_accuracy:.3f}   (scikit-learn, padding counted)")
    print(f"  weighted F1      {found.weighted_f1:.3f}   (scikit-learn, padding counted)")
    print(f"  entity F1        {found.span_f1:.3f}   (Tunesmith: it found no entity)")
