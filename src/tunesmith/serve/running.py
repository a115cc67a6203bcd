"""A service from its first line to its last: bind, load, answer, and on SIGTERM finish what was begun and leave with 0.

The server runs in a thread of its own, so that this one keeps the signals: readiness falls at once, answers go on for
the drain time with `Connection: close`, then the listener closes, requests in flight end, and the queue runs dry.
"""

import errno
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

from tunesmith.core.errors import BusyError, CannotCreateError, MissingExtraError, Place, TunesmithError
from tunesmith.serve.app import Endpoints
from tunesmith.serve.connection import patient_for
from tunesmith.serve.guard import Keys, check_bind, hosts_allowed
from tunesmith.serve.service import Service, State
from tunesmith.serve.settings import ServeSettings
from tunesmith.serve.shell import Door, Shell
from tunesmith.serve.telemetry import Log, Metrics

try:
    import uvicorn
except ImportError:
    raise MissingExtraError(
        "serving needs uvicorn, which is not installed", code="TS-SERVE-002", fix='pip install "tunesmith[serve]"'
    ) from None

_LOOK: Final = 0.05
_BACKLOG: Final = 2048


class Running:
    """A service that listens. `wait` returns when it is asked to stop or its model is refused."""

    def __init__(self, folder: Path, settings: ServeSettings, *, keys: Iterable[str] = (), log: TextIO | None) -> None:
        """Check, bind and begin to load; raises what is wrong before anything listens.

        Raises:
            UsageError: open to a network without a key.
            BusyError: the port is taken.
        """
        known = Keys.of(keys)
        check_bind(settings.host, keys=known, insecure=settings.insecure)
        self._asked = threading.Event()
        self.service = Service(folder, settings, on_state=self._state)
        self._socket = bound(settings.host, settings.port)
        self.url = _url(self._socket)
        self._log = Log(log, model=self.service.name) if log is not None else None
        self._metrics = Metrics(model=self.service.name, waiting=lambda: self.service.batcher.waiting)
        door = Door(known, hosts_allowed(settings.host, settings.allowed_hosts, keys=known))
        router = Endpoints(self.service, self._metrics).router()
        self._server = uvicorn.Server(
            uvicorn.Config(
                Shell(router, self.service, door=door, metrics=self._metrics, log=self._log),
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                ws="none",
                http=patient_for(settings),
                timeout_keep_alive=5,
                timeout_graceful_shutdown=max(1, round(settings.stop_seconds)),
            )
        )
        self._thread = threading.Thread(target=self._listen, name="tunesmith-http", daemon=True)
        self.service.start()
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Begin to stop; safe in a signal handler. A second time: at once."""
        if self._asked.is_set():
            self._server.force_exit = True
        self._asked.set()

    def wait(self) -> None:
        """Until it has stopped.

        Raises:
            TunesmithError: the model was refused, with the reason.
        """
        while not self._asked.wait(_LOOK):
            if self.service.state is State.REFUSED or not self._thread.is_alive():
                break
        self.service.drain()
        until = time.monotonic() + self.service.settings.drain_seconds
        while self.service.error is None and time.monotonic() < until and not self._server.force_exit:
            time.sleep(_LOOK)
        self._server.should_exit = True
        self._thread.join(self.service.settings.stop_seconds + 5)
        self.service.retire(timeout=self.service.settings.stop_seconds)
        self._socket.close()
        if isinstance(self.service.error, TunesmithError):
            raise self.service.error
        if self.service.error is not None:
            raise RuntimeError("the model could not be loaded") from self.service.error

    def _listen(self) -> None:
        self._server.run(sockets=[self._socket])

    def _state(self, service: Service, reason: str) -> None:
        loaded = service.loaded
        if service.state is State.READY and loaded is not None:
            self._metrics.loaded(loaded.version, loaded.sha256)
            if self._log is not None:
                self._log.loaded(loaded.version, loaded.sha256)
        if self._log is not None:
            level = "error" if service.state is State.REFUSED else "info"
            self._log.event("state", {"state": str(service.state), "reason": reason}, level=level)


def serve(
    folder: Path | str,
    settings: ServeSettings | None = None,
    *,
    keys: Iterable[str] = (),
    log: TextIO | None = None,
    started: Callable[[Running], None] = lambda _: None,
) -> None:
    """Serve a bundle until SIGTERM or Ctrl-C, then finish what was begun and return. JSON log lines go to `log`.

    Raises:
        UsageError: open to a network without a key.
        BusyError: the port is taken.
        ModelFileError: the bundle is damaged or no longer answers as it did.
    """
    running = Running(Path(folder), settings or ServeSettings(), keys=keys, log=log or sys.stdout)
    with _signals(running):
        started(running)
        running.wait()


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        BusyError: the port is taken.
        CannotCreateError: the address cannot be bound.
    """
    place = Place(key=f"{host}:{port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise _unbound(error, place) from None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise _unbound(error, place) from None
    made.setblocking(False)
    return made


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _unbound(error: OSError | UnicodeError, place: Place) -> TunesmithError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return BusyError(
            "the port is taken", code="TS-SERVE-003", place=place, fix="choose another with --port, or 0 for any."
        )
    return CannotCreateError(
        f"cannot listen here: {getattr(error, 'strerror', None) or error}",
        code="TS-SERVE-004",
        place=place,
        fix="choose an address of this machine, and a port above 1023.",
    )


@contextmanager
def _signals(running: Running) -> Iterator[None]:
    """SIGTERM and Ctrl-C ask to stop; elsewhere than in the main thread nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(_number: int, _frame: FrameType | None) -> None:
        running.ask_to_stop()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
