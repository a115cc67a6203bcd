"""Two ways from words to labels with the same weights: our `Predictor`, and the `pipeline` of transformers.

    predictor      `tunesmith.load(bundle)`: fp32, as it comes; it sorts by length by itself
    predictor_bf16 the same with precision="bf16"
    pipeline       pipeline("token-classification"), one text at a time, as its documentation begins
    pipeline_32    the same with batch_size=32
    pipeline_best  the same with bf16 weights, and the texts sorted by length before they are handed over

transformers opens the folder of the bundle. What comes back is turned into a tag for each word after the clock has
stopped: characters and spans from ours, a tag for every sub-word from the pipeline, whose first counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Engine:
    """`one` answers a row, `many` a list of rows in its order; `tags_of` reads an answer.

    `likeliest` gives the likeliest tag of every word of each row, by itself and without a look at what is legal.
    """

    one: Callable
    many: Callable
    tags_of: Callable
    likeliest: Callable


def opened(name, bundle):
    precision = PRECISIONS.get(name)
    return _predictor(bundle, precision) if precision else _pipeline(name, bundle)


PRECISIONS = {"predictor": "fp32", "predictor_bf16": "bf16"}
NAMES = ("pipeline_32", "pipeline", "pipeline_best", *PRECISIONS)


def _predictor(bundle, precision):
    from benchmarks.training.ours import answers_of

    import tunesmith

    predictor = tunesmith.load(bundle, precision=precision)

    def many(rows):
        return list(predictor.stream(examples(rows)))

    def tags_of(row, answer):
        tags = ["O"] * len(row.words)
        for span in answer.predicted:
            inside = [n for n, (start, end) in enumerate(borders(row)) if span.start <= start and end <= span.end]
            for place, word in enumerate(inside):
                tags[word] = f"{'I' if place else 'B'}-{span.label}"
        return tags

    def likeliest(rows):
        found = predictor.answer(list(examples(rows)))
        labels = predictor.bundle.task.label_names
        return answers_of("ner", list(examples(rows)), found.windows, found.logits, labels)

    return Engine(lambda row: many([row])[0], many, tags_of, likeliest)


def examples(rows):
    """Rows as our readers give them, one at a time, so that a stream stays a stream."""
    from tunesmith.core.example import Example, Source

    for line, row in enumerate(rows, start=1):
        yield Example(id=str(line), text=row.text, words=borders(row), source=Source("benchmark", line))


def borders(row):
    """Characters at which each word begins and ends."""
    ends = accumulate(row.words, lambda end, word: end + 1 + len(word), initial=-1)
    return tuple((end + 1, end + 1 + len(word)) for end, word in zip(ends, row.words, strict=False))


def _pipeline(name, bundle):
    import torch
    from transformers import pipeline

    dtype = torch.bfloat16 if name == "pipeline_best" else torch.float32
    tagger = pipeline("token-classification", model=str(bundle), device="cpu", dtype=dtype)

    def many(rows):
        texts = [row.text for row in rows]
        match name:
            case "pipeline":
                return [tagger(text) for text in texts]
            case "pipeline_32":
                return tagger(texts, batch_size=32)
        order = sorted(range(len(rows)), key=lambda index: -len(texts[index]))
        found = dict(zip(order, tagger([texts[index] for index in order], batch_size=32), strict=True))
        return [found[index] for index in range(len(rows))]

    def tags_of(row, answer):
        begins = {begin: word for word, (begin, _) in enumerate(borders(row))}
        tags = ["O"] * len(row.words)
        for piece in answer:
            if piece["start"] in begins:
                tags[begins[piece["start"]]] = piece["entity"]
        return tags

    def likeliest(rows):
        return [tags_of(row, answer) for row, answer in zip(rows, many(rows), strict=True)]

    return Engine(lambda row: tagger(row.text), many, tags_of, likeliest)
