"""The life of a served model: verifying, loading, warming, ready, draining, retired. Every step is a line in the log.

One thread loads the bundle, proves its golden rows and then answers batches, so the model is never shared. Until the
rows are proved readiness says 503; if they cannot be, nothing is ever served.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from enum import StrEnum
from pathlib import Path

from tunesmith.bundle.reranking import Stages
from tunesmith.core.errors import TunesmithError
from tunesmith.serve.batcher import Ask, Batcher, Overloaded, Served
from tunesmith.serve.models import Proved, models_in
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


class Service:
    """A bundle behind a queue. Made with a folder that holds no bundle it raises what `models_in` raises."""

    def __init__(
        self, folder: Path, settings: ServeSettings, *, on_state: Callable[["Service", str], None] = lambda *_: None
    ) -> None:
        self.settings = settings
        self.state = State.UNLOADED
        self.loaded: Proved | None = None
        self.error: Exception | None = None
        self.batcher = Batcher(
            batch_items=1 if settings.reranker else settings.batch_items,
            batch_characters=settings.batch_characters,
            queue_items=settings.queue_items,
            queue_seconds=settings.queue_seconds,
        )
        stages = Stages(settings.index, settings.reranker, settings.candidates, settings.relevant)
        self._models = models_in(folder, stages)
        self.name, self.adapters = self._models.name, self._models.adapters
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

    def submit(self, asks: Sequence[Ask], *, deadline_ms: int | None = None) -> "Future[Served]":
        """Queue one request.

        Raises:
            Overloaded: not ready, retired, or too much waits already.
        """
        if not self.answering:
            raise Overloaded(1)
        deadline = None if deadline_ms is None else time.monotonic() + deadline_ms / 1000
        return self.batcher.submit(asks, deadline=deadline)

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
            self._load()
        except Exception as error:  # whatever it is, this model is not served
            self.error = error
            reason = f"{error.code}: {error.message}" if isinstance(error, TunesmithError) else type(error).__name__
            self._enter(State.REFUSED, reason)
            return
        self.batcher.run(self._models.answer)

    def _load(self) -> None:
        self._enter(State.VERIFYING, "starting")
        files = self._models.verify()
        self._enter(State.LOADING, f"{files} files are what was written")
        self._models.load()
        self._enter(State.WARMING, "loaded")
        proved = self._models.prove(self.settings.precision, batch_tokens=self.settings.batch_tokens)
        self.loaded = proved
        if self.state is State.WARMING:  # asked to stop meanwhile: retired it stays
            said = [f"{proved.golden_rows} golden rows answered as they were", f"computing in {proved.precision}"]
            said += [proved.index] if proved.index else []
            said += [f"re-ranked by {proved.reranker.name} {proved.reranker.version}"] if proved.reranker else []
            self._enter(State.READY, "; ".join(said))

    def _enter(self, state: State, reason: str) -> None:
        if self.state is State.RETIRED:
            return
        self.state = state
        self._on_state(self, reason)
