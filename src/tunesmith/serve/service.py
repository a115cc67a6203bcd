"""The life of a served model: verifying, loading, warming, ready, draining, retired. Every step is a line in the log.

One thread loads the bundle, proves its golden rows and then answers batches, so the model is never shared. Until the
rows are proved readiness says 503; if they cannot be, nothing is ever served.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tunesmith.bundle import golden
from tunesmith.bundle.golden import prove
from tunesmith.bundle.integrity import check, read_manifest
from tunesmith.bundle.manifest import Manifest
from tunesmith.bundle.precision import ready
from tunesmith.bundle.predictor import Predictor
from tunesmith.bundle.read import load
from tunesmith.core.errors import TunesmithError
from tunesmith.core.example import Example
from tunesmith.core.prediction import Prediction
from tunesmith.serve.batcher import Batcher, Overloaded, Served
from tunesmith.serve.settings import ServeSettings


class State(StrEnum):
    """Where the model stands."""

    UNLOADED = "unloaded"
    VERIFYING = "verifying"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    RETIRED = "retired"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model that answers, and what the playground shows of it."""

    manifest: Manifest
    examples: tuple[dict[str, Any], ...]
    """A few golden texts: `{"text", "pair"}`."""


class Service:
    """A bundle behind a queue. Made with a folder that holds no bundle it raises what `read_manifest` raises."""

    def __init__(
        self, folder: Path, settings: ServeSettings, *, on_state: Callable[["Service", str], None] = lambda *_: None
    ) -> None:
        self.settings = settings
        self.state = State.UNLOADED
        self.loaded: Loaded | None = None
        self.error: Exception | None = None
        self.batcher = Batcher(
            batch_items=settings.batch_items,
            batch_characters=settings.batch_characters,
            queue_items=settings.queue_items,
            queue_seconds=settings.queue_seconds,
        )
        self.name = read_manifest(folder).name
        self._folder = folder
        self._on_state = on_state
        self._thread = threading.Thread(target=self._live, name="tunesmith-model", daemon=True)

    def start(self) -> None:
        """Begin to load; returns at once."""
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether new traffic should come here."""
        return self.state is State.READY

    @property
    def answering(self) -> bool:
        """Whether a request that comes nevertheless is answered: while ready, and while draining."""
        return self.state in (State.READY, State.DRAINING)

    def submit(self, examples: Sequence[Example], *, deadline_ms: int | None = None) -> "Future[Served]":
        """Queue one request.

        Raises:
            Overloaded: not ready, retired, or too much waits already.
        """
        if not self.answering:
            raise Overloaded(1)
        deadline = None if deadline_ms is None else time.monotonic() + deadline_ms / 1000
        return self.batcher.submit(examples, deadline=deadline)

    def drain(self) -> None:
        """Say that new traffic should go elsewhere; answer what comes nevertheless."""
        if self.answering:
            self._enter(State.DRAINING, "asked to stop")

    def retire(self, *, timeout: float) -> bool:
        """Take nothing more, finish what is queued; whether that was done within `timeout` seconds."""
        if self.state is not State.REFUSED:
            self._enter(State.RETIRED, "asked to stop")
        self.batcher.close()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _live(self) -> None:
        try:
            predictor = self._load()
        except Exception as error:  # whatever it is, this model is not served
            self.error = error
            reason = f"{error.code}: {error.message}" if isinstance(error, TunesmithError) else type(error).__name__
            self._enter(State.REFUSED, reason)
            return
        self.batcher.run(lambda examples: _answered(predictor, examples))

    def _load(self) -> Predictor:
        self._enter(State.VERIFYING, "starting")
        manifest = check(self._folder)
        self._enter(State.LOADING, f"{len(manifest.files)} files are what was written")
        bundle = load(self._folder, manifest)
        self._enter(State.WARMING, "loaded")
        answering = ready(bundle, "fp32")
        proved = prove(answering)
        if self.settings.precision != "fp32":  # golden rows hold fp32 logits: nothing is cast before they are proved
            answering = ready(bundle, self.settings.precision)
        self.loaded = Loaded(manifest, _examples(self._folder))
        if self.state is State.WARMING:  # asked to stop meanwhile: retired it stays
            self._enter(State.READY, f"{proved} golden rows answered as they were; computing in {answering.precision}")
        return Predictor(answering, batch_tokens=self.settings.batch_tokens)

    def _enter(self, state: State, reason: str) -> None:
        if self.state is State.RETIRED:
            return
        self.state = state
        self._on_state(self, reason)


def _answered(predictor: Predictor, examples: Sequence[Example]) -> tuple[list[Prediction], list[int]]:
    answered = predictor.answer(examples)
    tokens = [0] * len(examples)
    for window in answered.windows:
        tokens[window.example] += len(window)
    return answered.predictions, tokens


def _examples(folder: Path, most: int = 6) -> tuple[dict[str, Any], ...]:
    """Golden texts of different answers first, short ones before long ones."""
    rows = sorted(golden.read(folder), key=lambda row: len(row.example.text))
    seen: set[str] = set()
    fresh: list[golden.GoldenRow] = []
    again: list[golden.GoldenRow] = []
    for row in rows:
        said = _kind_of(row.answer.get("predicted"))
        (again if said in seen else fresh).append(row)
        seen.add(said)
    return tuple({"text": row.example.text, "pair": row.example.pair} for row in (*fresh, *again)[:most])


def _kind_of(said: Any) -> str:  # noqa: ANN401 - an answer as JSON
    if isinstance(said, list):
        return ",".join(sorted({str(item.get("label") if isinstance(item, dict) else item) for item in said}))
    return said if isinstance(said, str) else "score"
