"""Hard negatives: for each training row the wrong documents that the backbone takes for the nearest.

Mined once, before anything is learnt, among the documents of the training rows. What answers an equal question by
another row is never a negative. A document that nobody marked may answer all the same: mine few of them, and not at all
where many documents say the same.

Source: Karpukhin et al. 2020, Dense passage retrieval, section 3.2 (there found by BM25); Xiong et al. 2021, ANCE.
"""

from collections.abc import Sequence
from dataclasses import replace

from tunesmith.bundle.collection import collection_of
from tunesmith.core.example import Example
from tunesmith.core.model import Model
from tunesmith.prepare.relevance import documents_of
from tunesmith.run.prepared import Prepared
from tunesmith.tasks._learnt_rows import answers_of
from tunesmith.tasks.retrieval import Retrieval


def with_mined(ready: Prepared, rows: Sequence[Example]) -> list[Example]:
    """The rows, those whose document answers with `mined` negatives more; as they are where the task mines none."""
    task = ready.task
    if not isinstance(task, Retrieval) or not task.mined:
        return list(rows)
    model = Model(ready.backbone, task.head(ready.backbone))
    collection = collection_of(model, task, documents_of(rows), tokenizer=ready.tokenizer)
    answers = answers_of(rows, task.grade)
    most = task.mined + max(map(len, answers.values()))
    asked = [replace(row, pair=None, gold=None) for row in rows]
    vectors = task.vectors(model, task.encode(asked, ready.tokenizer))
    found = []
    for row, near in zip(rows, collection.nearest(vectors, count=most), strict=True):
        wrong = [item.text for item in near if item.text not in answers.get(row.text, ())][: task.mined]
        found.append(replace(row, negatives=(*row.negatives, *wrong)) if task.grade(row) > 0 else row)
    return found
