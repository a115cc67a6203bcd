"""What the world looked like when the model was made: the distributions that monitoring compares served traffic with.

No text is kept: labels are counted, lengths and confidences binned, and the meaning of a text is one mean vector.
Tensors (n reference examples, L answer labels, D width, s sampled rows):
    label_counts [L] int64             how often each label was answered; names in the file's metadata, `about`
    confidence_histogram [20] int64    confidences from 0 to 1
    confidence [n] float32             the same values, sorted
    length_histogram [24] int64        characters, by powers of two
    length [n] int32                   characters, sorted
    embedding_mean [D], embedding_covariance [D, D] float32
    embedding_sample [s, D] float16    s <= 512 rows for distances to the nearest neighbours
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final

import torch
from safetensors.torch import save
from torch import Tensor

from tunesmith.bundle.predictor import Predictor
from tunesmith.core.batch import Encoding, collate
from tunesmith.core.example import Example
from tunesmith.core.model import Model
from tunesmith.core.prediction import LabelAndScoredSpans, Prediction, Ranked, ScoredNode, ScoredSpan

MOST: Final = 1000
"""Examples looked at: the distributions are steady well before."""
SAMPLE: Final = 512
CONFIDENCE_BINS: Final = 20
LENGTH_BINS: Final = 24
_BATCH: Final = 16


def chosen(examples: Sequence[Example]) -> list[Example]:
    """At most 1,000 examples, spread over all of them."""
    fit = [example for example in examples if example.text.strip()]
    step = max(1, len(fit) // MOST)
    return fit[::step][:MOST]


def described(predictor: Predictor, examples: Sequence[Example]) -> bytes:
    """`reference.safetensors` for the answers of `predictor` to `examples`; all counts are 0 where there are none."""
    answered = predictor.answer(examples)
    labels = sorted({label for item in answered.predictions for label in labels_of(item)})
    confidence = [value for item in answered.predictions for value in confidences_of(item)]
    length = [len(item.text) + len(item.pair or "") for item in answered.predictions]
    rows = list(embeddings(predictor.bundle.model, answered.windows))
    width = predictor.bundle.model.backbone.width
    vectors = torch.stack(rows) if rows else torch.zeros(0, width)
    tensors = {
        "label_counts": torch.tensor([_count(answered.predictions, label) for label in labels], dtype=torch.int64),
        "confidence_histogram": confidence_histogram(confidence),
        "confidence": torch.tensor(sorted(confidence), dtype=torch.float32),
        "length_histogram": length_histogram(length),
        "length": torch.tensor(sorted(length), dtype=torch.int32),
        "embedding_mean": vectors.mean(0) if rows else torch.zeros(width),
        "embedding_covariance": torch.cov(vectors.T) if len(rows) > 1 else torch.zeros(width, width),
        "embedding_sample": vectors[:SAMPLE].half(),
    }
    about = json.dumps({"examples": len(examples), "labels": labels}, ensure_ascii=False)
    # one metadata entry only: the library writes several in random order, and equal runs shall give equal bytes
    written: bytes = save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata={"about": about})
    return written


def labels_of(prediction: Prediction) -> list[str]:
    """The labels an answer names, with repetition, or the id of the document that was found first; none for a score.

    Of a path down a tree of labels the last node counts.
    """
    said = prediction.predicted
    if isinstance(said, LabelAndScoredSpans):
        return [said.label, *(span.label for span in said.spans)]
    if isinstance(said, str):
        return [said]
    if isinstance(said, float):
        return []
    if said and isinstance(said[0], Ranked):
        return [said[0].id]
    if said and isinstance(said[-1], ScoredNode):
        return [said[-1].label]
    return [item if isinstance(item, str) else item.label for item in said if isinstance(item, str | ScoredSpan)]


def confidences_of(prediction: Prediction) -> list[float]:
    """How sure an answer is: one value a span, else one value, none where the task has no confidence."""
    said = prediction.predicted
    if isinstance(said, LabelAndScoredSpans) and prediction.confidence is not None:
        return [prediction.confidence, *(span.confidence for span in said.spans)]
    if isinstance(said, tuple) and any(isinstance(item, ScoredSpan) for item in said):
        return [item.confidence for item in said if isinstance(item, ScoredSpan)]
    return [] if prediction.confidence is None else [prediction.confidence]


def confidence_histogram(values: Sequence[float]) -> Tensor:
    """[20] int64: bin i counts confidences in [i/20, (i+1)/20), the last bin includes 1."""
    bins = (torch.tensor(list(values), dtype=torch.float64) * CONFIDENCE_BINS).long().clamp(0, CONFIDENCE_BINS - 1)
    return torch.bincount(bins, minlength=CONFIDENCE_BINS)


def length_histogram(values: Sequence[int]) -> Tensor:
    """[24] int64: bin i counts lengths in [2^i, 2^(i+1)); bin 0 includes 0."""
    bins = [min(max(value, 1).bit_length() - 1, LENGTH_BINS - 1) for value in values]
    return torch.bincount(torch.tensor(bins, dtype=torch.int64), minlength=LENGTH_BINS)


@torch.inference_mode()
def embeddings(model: Model, windows: Sequence[Encoding]) -> Iterator[Tensor]:
    """For each example the mean hidden state [D] of its first window, in order of the examples."""
    first: dict[int, Encoding] = {}
    for window in windows:
        first.setdefault(window.example, window)
    ordered = [first[index] for index in sorted(first)]
    for start in range(0, len(ordered), _BATCH):
        group = ordered[start : start + _BATCH]
        batch = collate(group, [str(index) for index in range(len(group))])
        hidden = model.backbone(batch)
        for rows in hidden.split(list(batch.window_lengths)):
            yield rows.float().mean(0)


def _count(predictions: Sequence[Prediction], label: str) -> int:
    return sum(labels_of(item).count(label) for item in predictions)
