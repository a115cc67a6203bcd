"""A connection must speak, read what it asked for, and leave room for others; else it is closed.

uvicorn closes a connection that is idle after an answer, but waits without end for a first request, for the rest of a
head or of a body that nobody reads, and for a client that does not take its answers; and it accepts connections
without a limit. A few thousand such sockets would use up every file descriptor.
"""

import asyncio
from typing import ClassVar, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from tunesmith.serve.settings import ServeSettings

CROWDED: Final = "tunesmith.crowded"
"""In the state of a scope: more connections are open than the settings allow."""


class Patient(H11Protocol):
    """uvicorn's protocol with deadlines: for a request head from its first byte, for an answer from its first wait."""

    limits: ClassVar[ServeSettings] = ServeSettings()
    _hearing: asyncio.TimerHandle | None = None
    _telling: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """Turn the connection away where there are far too many, else begin to wait for the first head."""
        super().connection_made(transport)
        if len(self.connections) > 2 * self.limits.connections:
            transport.abort()
            return
        if len(self.connections) > self.limits.connections:
            self.app_state = {**self.app_state, CROWDED: True}
        transport.set_write_buffer_limits(high=0)  # so that pause_writing tells of every byte that is not taken
        self._watch()

    def data_received(self, data: bytes) -> None:
        """A head is complete, or the wait for its rest goes on."""
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        """The client does not read as fast as we write: it has so long to catch up."""
        super().pause_writing()
        self._telling = self.loop.call_later(self.limits.answer_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It did."""
        super().resume_writing()
        _cancel(self._telling)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        _cancel(self._hearing)
        _cancel(self._telling)
        super().connection_lost(exc)

    def _watch(self) -> None:
        if not self._owes():
            _cancel(self._hearing)
            self._hearing = None
        elif self._hearing is None:
            self._hearing = self.loop.call_later(self.limits.head_seconds, self._late)

    def _owes(self) -> bool:
        """Whether the client has to send something that no route waits for; routes have a deadline of their own."""
        state = self.conn.their_state
        return state is h11.IDLE or (state is h11.SEND_BODY and self.cycle.response_complete)

    def _late(self) -> None:
        self._hearing = None
        if self._owes():
            self.transport.close()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def patient_for(limits: ServeSettings) -> type[Patient]:
    """The protocol with these limits; uvicorn makes one for each connection and asks for a class."""
    return type("Patient", (Patient,), {"limits": limits})
