"""The road of a run, walked once with a watch in hand: every stage is the run's own, only fewer steps are made.

Reading, encoding and building are done in full. Of each lesson some real groups are learnt from: the heaviest of the
run, so that peak memory is met, and others spread evenly over their sizes, so that the pace of all can be told. Dev and
test are thinned, one state is saved, and the model is judged and bundled like any other.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch

from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.memory import peak_memory
from tunesmith.core.seed import derived
from tunesmith.judge.baselines import baselines
from tunesmith.run.config import RunConfig
from tunesmith.run.data import spaced
from tunesmith.run.dev_score import dev_score
from tunesmith.run.environment import peak_gpu_memory
from tunesmith.run.events import Noted, Phase
from tunesmith.run.folder import RunFolder
from tunesmith.run.lessons import settings_of, silver_settings, training_data, tuned_model, windows_of
from tunesmith.run.prepared import Prepared, prepared
from tunesmith.run.probe_lesson import Lesson, LessonProbe
from tunesmith.run.silver import silver_pairs, write_learnt, write_silver
from tunesmith.run.train import concluded
from tunesmith.tune.settings import TrainSettings

STEPS = 24
ANSWERED = 3
"""Events until dev and test are answered; notes after them are what the task remarks"""
MOST_ROWS, LEAST_ROWS = 1024, 64
MOST_TOKENS = 40_960
"""Of dev and of test that are answered: some ten batches, for the allocator to keep what it keeps after many"""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What was measured. Seconds are wall seconds, sizes bytes."""

    reading: float
    """Until rows, tokenizer and audit are there"""
    building: float
    """Until the model is, and what is scored on dev is encoded"""
    rows: tuple[int, int]
    """Of dev and test"""
    seen: tuple[int, int]
    """Of these, as thinned"""
    pairing: float
    """Until silver pairs are there, 0 without them"""
    lessons: tuple[Lesson, ...]
    """In their order; training is the last"""
    settings: tuple[TrainSettings, ...]
    """Of each lesson"""
    answers: tuple[float, float]
    """To answer the thinned dev and test rows"""
    judging: float
    baselines: float
    """Of `judging`, what does not grow with the rows answered"""
    bundling: float
    bundle_bytes: int
    row_bytes: int
    """What else lies in the folder and grows with the rows answered"""
    step_bytes: float
    """A line of the journal"""
    other_bytes: int
    """What else lies in the folder and does not grow"""
    silver_bytes: int
    """What the lesson of silver pairs leaves behind beside its states"""
    peak_training: int
    """The most memory until the last lesson was over"""
    peak: int
    """The most memory"""
    device_peak: int | None
    """The most bytes of the GPU that tensors took, None without one"""
    device_free: int | None
    """What of it was free before"""

    def as_record(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"settings": [settings.model_dump(mode="json") for settings in self.settings]}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """What `as_record` gave."""
        lessons = tuple(Lesson.from_record(lesson) for lesson in record["lessons"])
        settings = tuple(TrainSettings.model_validate(one) for one in record["settings"])
        pairs = {name: tuple(record[name]) for name in ("rows", "seen", "answers")}
        return cls(**{**record, **pairs, "lessons": lessons, "settings": settings})


def probed(config: RunConfig, folder: RunFolder, *, steps: int = STEPS, tell: Tell = lambda said: None) -> Probed:
    """Measure what a run of `config` is made of. `folder` is empty, and for the caller to throw away.

    Raises:
        TunesmithError: what would stop the run itself.
    """
    free = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else None
    watch = _Watch()
    tell("reading")
    whole = prepared(config)
    if not whole.data.train:
        raise ConfigError(
            "there is nothing to plan: without rows to learn from no step is made",
            code="TS-RUN-031",
            place=Place(key="data.shots"),
            fix="start the run without --plan.",
        )
    ready = _thinned(whole)
    reading = watch.lap()
    model = tuned_model(whole)
    evaluate = dev_score(ready, lambda: None)
    building = watch.lap()
    probe = LessonProbe(ready=ready, model=model, evaluate=evaluate, steps=steps, tell=tell)
    lessons, settings, pairing = [], [], 0.0
    if config.silver:
        tell("pairing texts")
        silver = silver_pairs(whole, config.silver.pairs).examples
        write_silver(folder.silver, silver)
        pairing = watch.lap()
        settings.append(silver_settings(whole, config.silver))
        seed = derived(config.seed, "silver")
        pairs = partial(windows_of, whole, silver, seed=seed)
        lessons.append(probe.of("silver", pairs, settings[0], folder.silver))
        write_learnt(folder.silver, model)
    settings.append(settings_of(whole))
    lessons.append(probe.of("training", partial(training_data, whole), settings[-1], folder))
    peak_training = peak_memory()
    watch.lap()
    laps: list[float] = []
    remarks = 0.0
    for event in concluded(ready, model, folder, lambda done: None):
        if len(laps) == ANSWERED and isinstance(event, Noted):
            remarks += watch.lap()
            continue
        laps.append(watch.lap())
        if isinstance(event, Phase):
            tell(event.name)
    _, dev, test, judging, bundling = laps
    peak = peak_memory()
    watch.lap()
    baselines(whole.task.kind(), whole.asked("train"), whole.asked("test")[:1], documents=whole.documents)
    answered = tuple(map(folder.predictions, ("dev", "test")))
    known = _size(folder.bundle) + sum(map(_size, (*answered, folder.checkpoints, folder.silver.path, folder.journal)))
    return Probed(
        reading=reading,
        building=building,
        rows=(len(whole.data.dev), len(whole.data.test)),
        seen=(len(ready.data.dev), len(ready.data.test)),
        pairing=pairing,
        lessons=tuple(lessons),
        settings=tuple(settings),
        answers=(dev, test),
        judging=judging + remarks,
        baselines=min(watch.lap(), judging),
        bundling=bundling,
        bundle_bytes=_size(folder.bundle),
        row_bytes=sum(map(_size, answered)),
        step_bytes=_size(folder.journal) / (steps + 4),
        other_bytes=_size(folder.path) - known,
        silver_bytes=sum(map(_size, (folder.silver.pairs, folder.silver.learnt))),
        peak_training=peak_training,
        peak=peak,
        device_peak=peak_gpu_memory() if lessons[-1].device == "cuda" else None,
        device_free=free,
    )


class _Watch:
    """Tells the seconds since it was last asked."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        before, self._last = self._last, time.perf_counter()
        return self._last - before


def _thinned(ready: Prepared) -> Prepared:
    """With as many rows of dev and test as hold so many tokens."""
    sample = spaced(ready.data.dev or ready.data.test, LEAST_ROWS)
    tokens = sum(map(len, ready.task.encode(sample, ready.tokenizer))) / len(sample)
    rows = min(max(int(MOST_TOKENS / tokens), LEAST_ROWS), MOST_ROWS)
    data = replace(ready.data, dev=spaced(ready.data.dev, rows), test=spaced(ready.data.test, rows))
    return replace(ready, data=data)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; 0 where there is none."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
