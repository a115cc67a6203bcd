"""What the service says about itself: metrics under frozen names, and one JSON log line a request, without its text."""

import datetime
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

from tunesmith.core.errors import MissingExtraError
from tunesmith.serve.batcher import Served

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
except ImportError:
    raise MissingExtraError(
        "serving needs prometheus-client, which is not installed",
        code="TS-SERVE-002",
        fix='pip install "tunesmith[serve]"',
    ) from None

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ITEMS: Final = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(slots=True)
class Access:
    """What is known about one request when it ends."""

    request_id: str
    method: str
    route: str
    """The route's own pattern, or `unknown`: never the path that was sent."""
    code: int = 0
    items: int = 0
    adapters: tuple[str, ...] = ()
    """The models that were named, where several share the bundle; only such as there are"""
    key_id: str | None = None
    deadline_ms: int | None = None
    served: Served | None = None
    reason: str = ""
    seconds: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)


class Metrics:
    """The registry of one service. Label values come from closed sets, so no client can add a series."""

    def __init__(self, *, model: str, waiting: Callable[[], int]) -> None:
        self._model = model
        self.registry = CollectorRegistry()
        new = self.registry
        self._requests = Counter(
            "tunesmith_requests", "Requests to /v1/predict by status.", ["model", "code"], registry=new
        )
        self._duration = Histogram(
            "tunesmith_request_duration_seconds", "From first byte to answer.", registry=new, buckets=_SECONDS
        )
        self._queue = Histogram(
            "tunesmith_queue_duration_seconds", "Wait before the model began.", registry=new, buckets=_SECONDS
        )
        self._inference = Histogram(
            "tunesmith_inference_duration_seconds",
            "The batch of a request in the model.",
            registry=new,
            buckets=_SECONDS,
        )
        self._batch = Histogram(
            "tunesmith_batch_items", "Texts in the batch of a request.", registry=new, buckets=_ITEMS
        )
        self._rejected = Counter("tunesmith_rejected", "Requests not answered, by reason.", ["reason"], registry=new)
        self._expired = Counter("tunesmith_expired", "Requests whose deadline passed before work began.", registry=new)
        self._info = Gauge(
            "tunesmith_model_info", "The model that answers.", ["model", "version", "bundle_sha256"], registry=new
        )
        self._adapters = Counter(
            "tunesmith_adapter_items",
            "Texts answered by each model of several.",
            ["model", "adapter"],
            registry=new,
        )
        Gauge("tunesmith_queue_items", "Texts that wait.", registry=new).set_function(waiting)

    def loaded(self, version: str, sha256: str) -> None:
        """Name the model that answers from now on."""
        self._info.clear()
        self._info.labels(self._model, version, sha256).set(1)

    def count(self, access: Access) -> None:
        """Count one request to `/v1/predict`, whatever became of it."""
        self._requests.labels(self._model, str(access.code)).inc()
        self._duration.observe(access.seconds)
        if access.reason:
            self._rejected.labels(access.reason).inc()
        if access.code == 504:
            self._expired.inc()
        if access.served is not None:
            self._queue.observe(access.served.queued)
            self._inference.observe(access.served.inferred)
            self._batch.observe(access.served.batch_items)
            for adapter in access.adapters:
                self._adapters.labels(self._model, adapter).inc(access.items / len(access.adapters))

    def exposed(self) -> bytes:
        """The text format that Prometheus scrapes."""
        return bytes(generate_latest(self.registry))


class Log:
    """JSON lines on a stream, each written whole and in ASCII: no text can forge a line or colour a terminal."""

    def __init__(self, stream: TextIO, *, model: str) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._about: dict[str, Any] = {"model": model, "version": None, "bundle": None}

    def loaded(self, version: str, sha256: str) -> None:
        """Name the model that answers from now on."""
        self._about |= {"version": version, "bundle": sha256}

    def request(self, access: Access) -> None:
        """The line of one request: sizes, times and codes; no text, no path, no key."""
        level = "error" if access.code == 500 else "warning" if access.code in (503, 504) else "info"
        served = access.served
        line = self._about | {
            "request_id": access.request_id,
            "method": access.method,
            "route": access.route,
            "code": access.code,
            "items": access.items,
            **({"adapters": list(access.adapters)} if access.adapters else {}),
            "tokens": served.tokens if served else 0,
            "queue_ms": _ms(served.queued) if served else None,
            "infer_ms": _ms(served.inferred) if served else None,
            "total_ms": _ms(access.seconds),
            "batch_id": served.batch_id if served else None,
            "key_id": access.key_id,
            "deadline_ms": access.deadline_ms,
        }
        self._write(level, line | access.extra)

    def event(self, name: str, facts: Mapping[str, str | int], *, level: str = "info") -> None:
        """A line about the service itself."""
        self._write(level, self._about | {"event": name} | dict(facts))

    def _write(self, level: str, line: dict[str, Any]) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        text = json.dumps({"ts": now, "level": level} | line, allow_nan=False)
        with self._lock:
            self._stream.write(f"{text}\n")
            self._stream.flush()


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)
