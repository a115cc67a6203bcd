"""What a run scores its model by between two steps: how well it answers the dev rows, which are encoded once."""

from collections.abc import Callable, Sequence

from tunesmith.bundle.answered import answered, likelihoods_of
from tunesmith.bundle.collection import collection_of
from tunesmith.core.batch import Encoding
from tunesmith.core.example import Example, Relevant
from tunesmith.core.model import Model
from tunesmith.core.task import LabellingTask, RankingTask, WritingTask
from tunesmith.judge.scoring import score
from tunesmith.models.inference import logits_of
from tunesmith.run.prepared import Prepared
from tunesmith.tune.fit import CutShort, Evaluate

MOST_DOCUMENTS = 2000
"""Documents that dev questions are ranked among between two steps: to read more would take too long"""


def dev_score(ready: Prepared, should_stop: Callable[[], str | None]) -> Evaluate | None:
    """The task's `dev_metric` on the dev rows; None where there are none.

    Raises:
        CutShort: by the function that is given back, between two forward passes, once there is a wish to stop.
    """
    if not ready.data.dev:
        return None
    look = cut_short_by(should_stop)
    if isinstance(ready.task, RankingTask):
        return _ranking_score(ready, ready.task, look)
    windows = ready.task.encode(ready.data.dev, ready.tokenizer)
    match ready.task:
        case WritingTask() as writing:
            return lambda model: mean_likelihood(model, writing, windows, progress=look)
        case LabellingTask() as labelling:
            return lambda model: _main_metric(model, labelling, ready.data.dev, windows, look)
        case other:
            raise TypeError(f"{other.kind()} neither labels nor writes nor ranks")


def _ranking_score(ready: Prepared, task: RankingTask, progress: Callable[[int], None]) -> Evaluate:
    """The main metric among at most `MOST_DOCUMENTS`: those that answer dev questions first, then others."""
    examples, task = ready.asked("dev"), task.judged()
    golds = [example.gold for example in examples if isinstance(example.gold, tuple)]
    wanted = {item.id for gold in golds for item in gold if isinstance(item, Relevant)}
    documents = sorted(ready.documents, key=lambda document: document.id not in wanted)[:MOST_DOCUMENTS]

    def evaluate(model: Model) -> float:
        tokenizer, collection = ready.tokenizer, None
        if documents:
            collection = collection_of(model, task, documents, tokenizer=tokenizer, progress=progress)
        found = answered(model, task, examples, tokenizer=tokenizer, source=collection, progress=progress)
        scores = score(found.predictions, kind=task.kind(), main=task.main_metric, replicates=0)
        return scores.metrics[task.main_metric].value

    return evaluate


def cut_short_by(should_stop: Callable[[], str | None]) -> Callable[[int], None]:
    """What is called between two forward passes, so that no wish to stop waits until all rows are answered."""

    def look(_: int) -> None:
        if should_stop():
            raise CutShort

    return look


def mean_likelihood(
    model: Model, task: WritingTask, windows: Sequence[Encoding], *, progress: Callable[[int], None] | None = None
) -> float:
    """log p of a token of the gold answers, the mean over all of them, in nats."""
    total, count = 0.0, 0
    for likelihoods in likelihoods_of(model, task, windows, progress=progress):
        total += float(likelihoods.double().sum())
        count += len(likelihoods)
    return total / max(1, count)


def _main_metric(
    model: Model,
    task: LabellingTask,
    examples: Sequence[Example],
    windows: Sequence[Encoding],
    progress: Callable[[int], None],
) -> float:
    logits = [tensor for _, tensor in logits_of(model, windows, progress=progress)]
    answers = task.decode(examples, windows, logits, head=model.head)
    tuned = task.tuned(answers)
    if tuned != task:  # the step that serves best with its thresholds is the one to keep
        answers = tuned.decode(examples, windows, logits, head=model.head)
    main = task.main_metric
    return score(answers, kind=task.kind(), main=main, replicates=0).metrics[main].value
