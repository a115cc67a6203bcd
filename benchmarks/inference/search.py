"""From how many documents on does an index pay? Exact search against faiss: time of a question, recall, time to make.

    export OMP_NUM_THREADS=1
    python -m benchmarks.inference.search                      1e4, 1e5 and 3e5 vectors
    python -m benchmarks.inference.search --sizes 1000000      1.5 GB of vectors, held twice
    python -m benchmarks.inference.search --table

Vectors of 384 numbers as a sentence encoder gives them, synthetic: points around centres in 24 dimensions, one centre
for 200 points, bent into 384 by a random matrix and tanh, with noise. Questions are other points of the same. Without
such structure no index helps, and ours looks into every cell. Recall is that of the first ten over all questions, not
the one that the index measured of itself, which stands beside it. Times are of the process, one question at a time.
"""

import time

from benchmarks.driver import Driver

WIDTH, LATENT, AROUND, ASKED, ALONE = 384, 24, 200, 200, 50


def vectors(count, *, seed, centres):
    """[count, 384] of length 1, a block at a time."""
    import numpy as np

    draw = np.random.default_rng(seed)
    shared = np.random.default_rng(0)
    middle = shared.standard_normal((centres, LATENT), dtype=np.float32)
    bend = shared.standard_normal((LATENT, WIDTH), dtype=np.float32) / LATENT**0.5
    made = np.empty((count, WIDTH), np.float32)
    for start in range(0, count, 10_000):
        block = made[start : start + 10_000]
        at = middle[draw.integers(0, centres, len(block))]
        at = at + 0.6 * draw.standard_normal(at.shape, dtype=np.float32)
        block[:] = np.tanh(at @ bend) + 0.3 * draw.standard_normal(block.shape, dtype=np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return made


def cases(options):
    """Each size."""
    return [{"documents": size} for size in options.sizes]


def measure(case):
    """Both searches over the same vectors and questions."""
    from tunesmith.bundle.approximate import indexed
    from tunesmith.bundle.collection import Collection
    from tunesmith.core.example import Document

    count = case["documents"]
    centres = max(8, count // AROUND)
    documents = tuple(Document(str(number), "") for number in range(count))
    exact = Collection(documents, vectors(count, seed=1, centres=centres))
    questions = vectors(ASKED, seed=2, centres=centres)
    begin = time.process_time()
    through = indexed(exact)
    made = time.process_time() - begin
    expected = exact.nearest(questions, count=10)
    found = through.nearest(questions, count=10)
    pairs = zip(found, expected, strict=True)
    hits = sum(len({item.id for item in ours} & {item.id for item in theirs}) for ours, theirs in pairs)
    index = through.index
    return {
        "exact_ms": round(_milliseconds(exact, questions), 3),
        "faiss_ms": round(_milliseconds(through, questions), 3),
        "recall": round(hits / (10 * ASKED), 4),
        "recall_it_says": round(index.recall, 4),
        "cells": index.cells,
        "probed": index.probed,
        "seconds_to_make": round(made, 1),
    }


def _milliseconds(collection, questions):
    """Processor time of one question asked alone."""
    asked = questions[:ALONE]
    collection.nearest(asked[:2], count=10)
    begin = time.process_time()
    for question in asked:
        collection.nearest(question[None], count=10)
    return 1000 * (time.process_time() - begin) / len(asked)


def table(rows):
    """One line a size, in Markdown."""
    newest = {row["documents"]: row for row in rows}
    lines = ["| documents | exact | faiss | recall@10 | cells looked into | made in |", "|---|---|---|---|---|---|"]
    for size, row in sorted(newest.items()):
        cells = f"{row['exact_ms']:.2f} ms | {row['faiss_ms']:.2f} ms | {row['recall']:.3f}"
        lines.append(f"| {size:,} | {cells} | {row['probed']} of {row['cells']} | {row['seconds_to_make']:.1f} s |")
    return "\n".join(lines)


def line(row):
    return table([row]).splitlines()[-1]


def flags(parser):
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 300_000])


DRIVER = Driver(
    file=__file__,
    about=__doc__,
    cases=cases,
    measure=measure,
    line=line,
    table=table,
    flags=flags,
    reads_data=False,
)

if __name__ == "__main__":
    DRIVER.main()
