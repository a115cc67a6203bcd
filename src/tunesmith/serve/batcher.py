"""Many requests, one model: a bounded queue in front of one thread that takes whatever waits as its next batch.

No artificial delay: while one batch computes, the next gathers. What cannot be answered in time is refused at once:
a queue that holds more than half a second of work only turns overload into timeouts.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from tunesmith.core.example import Example
from tunesmith.core.prediction import Prediction

_SMOOTHING: Final = 0.2
_BASE_COST: Final = 32


class Overloaded(Exception):
    """The queue is full; `retry_after` is in whole seconds, rounded up."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("overloaded")
        self.retry_after = retry_after


class DeadlinePassed(Exception):
    """The client's deadline passed before work on the request began."""


@dataclass(frozen=True, slots=True)
class Served:
    """The answers to one request and what they cost. Times in seconds."""

    predictions: tuple[Prediction, ...]
    tokens: int
    queued: float
    inferred: float
    batch_id: int
    batch_items: int


@dataclass(frozen=True, slots=True)
class Ask:
    """One text, and which model is to answer."""

    example: Example
    adapter: str = ""
    """Its name where several models share a bundle"""


Answer = Callable[[Sequence[Ask]], tuple[list[Prediction], list[int]]]
"""What is asked to the predictions and to how many tokens each of them was."""


@dataclass(slots=True, eq=False)
class _Job:
    asks: tuple[Ask, ...]
    cost: int
    deadline: float | None
    future: "Future[Served]" = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


def cost_of(asks: Sequence[Ask]) -> int:
    """What texts cost to answer, in characters: their own, and as many for each as a short text is worth."""
    return sum(_BASE_COST + len(ask.example.text) + len(ask.example.pair or "") for ask in asks)


class Batcher:
    """The queue and its bookkeeping. `submit` from any thread, `run` in exactly one."""

    def __init__(self, *, batch_items: int, batch_characters: int, queue_items: int, queue_seconds: float) -> None:
        self._batch_items = batch_items
        self._batch_characters = batch_characters
        self._queue_items = queue_items
        self._queue_seconds = queue_seconds
        self._jobs: deque[_Job] = deque()
        self._waiting = 0
        self._waiting_cost = 0
        self._seconds_per_cost = 0.0
        self._batches = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """Items in the queue."""
        return self._waiting

    def submit(self, asks: Sequence[Ask], *, deadline: float | None = None) -> "Future[Served]":
        """Queue one request. `deadline` is a `time.monotonic()`. Cancelling the future takes it out of its batch.

        Raises:
            Overloaded: too much waits already. An empty queue takes any request.
        """
        with self._changed:
            wait = self._waiting_cost * self._seconds_per_cost
            full = self._waiting + len(asks) > self._queue_items or wait > self._queue_seconds
            if self._closed or (self._jobs and full):
                raise Overloaded(max(1, math.ceil(wait)))
            job = _Job(tuple(asks), cost_of(asks), deadline)
            self._jobs.append(job)
            self._waiting += len(asks)
            self._waiting_cost += job.cost
            self._changed.notify()
            return job.future

    def run(self, answer: Answer) -> None:
        """Answer batches until `close`, then what is still queued, then return."""
        while jobs := self._next():
            self._serve(jobs, answer)

    def close(self) -> None:
        """Take nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _next(self) -> list[_Job]:
        """The jobs of the next batch: at least one, as many as its limits hold; none when closed and empty."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            taken: list[_Job] = []
            while self._jobs and (not taken or self._fits([*taken, self._jobs[0]])):
                job = self._jobs.popleft()
                self._waiting -= len(job.asks)
                self._waiting_cost -= job.cost
                taken.append(job)
            return taken

    def _fits(self, jobs: Sequence[_Job]) -> bool:
        items = sum(len(job.asks) for job in jobs)
        return items <= self._batch_items and sum(job.cost for job in jobs) <= self._batch_characters

    def _serve(self, jobs: Sequence[_Job], answer: Answer) -> None:
        live = [job for job in jobs if self._begin(job)]
        if not live:
            return
        self._batches += 1
        started = time.monotonic()
        try:
            predictions, tokens = answer([ask for job in live for ask in job.asks])
        except Exception as error:  # one bad request must not fail its company
            if len(live) == 1:
                live[0].future.set_exception(error)
                return
            for job in live:
                self._alone(job, answer, started)
            return
        self._finish(live, predictions, tokens, started)

    def _begin(self, job: _Job) -> bool:
        if not job.future.set_running_or_notify_cancel():
            return False
        if job.deadline is not None and time.monotonic() > job.deadline:
            job.future.set_exception(DeadlinePassed())
            return False
        return True

    def _alone(self, job: _Job, answer: Answer, started: float) -> None:
        try:
            predictions, tokens = answer(job.asks)
        except Exception as error:  # reported to the one who asked
            job.future.set_exception(error)
        else:
            self._finish([job], predictions, tokens, started)

    def _finish(
        self, jobs: Sequence[_Job], predictions: Sequence[Prediction], tokens: Sequence[int], started: float
    ) -> None:
        seconds = time.monotonic() - started
        items = len(predictions)
        self._seconds_per_cost += _SMOOTHING * (seconds / sum(job.cost for job in jobs) - self._seconds_per_cost)
        at = 0
        for job in jobs:
            own = slice(at, at + len(job.asks))
            at = own.stop
            job.future.set_result(
                Served(
                    predictions=tuple(predictions[own]),
                    tokens=sum(tokens[own]),
                    queued=started - job.since,
                    inferred=seconds,
                    batch_id=self._batches,
                    batch_items=items,
                )
            )
