"""A connection that must speak: one that has not sent a whole request head in time is closed.

uvicorn closes a connection that is idle after an answer, but waits without end for a first request, or for the rest of
a head once a byte of it has come. A few thousand such sockets would use up every file descriptor.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Patient(H11Protocol):
    """uvicorn's protocol, with a deadline for each request head: from the connection, or from its first byte."""

    head_seconds = 10.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401  # as uvicorn types it
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """A head is complete, or the wait for its rest goes on."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._cancel()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self._late)

    def _late(self) -> None:
        self._deadline = None
        if self.conn.their_state is h11.IDLE:
            self.transport.close()

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def patient_for(seconds: float) -> type[Patient]:
    """The protocol with this deadline; uvicorn makes one for each connection and asks for a class."""
    return type("Patient", (Patient,), {"head_seconds": seconds})
