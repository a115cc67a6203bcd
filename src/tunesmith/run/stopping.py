"""Ctrl-C and SIGTERM as a wish that the loop grants at the next step border; a second signal ends at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopWish:
    """Which signal asked to stop, if any."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> str | None:
        """The name of the signal that asked to stop, or None."""
        return None if self.signal is None else signal.Signals(self.signal).name

    @property
    def exit_code(self) -> int:
        """128 + the signal's number: 130 for Ctrl-C, 143 for SIGTERM, 0 without one."""
        return 0 if self.signal is None else 128 + self.signal


@contextmanager
def stop_wishes() -> Iterator[StopWish]:
    """Listen for Ctrl-C and SIGTERM inside the block. Only a main thread can: elsewhere no signal ever asks to stop."""
    wish = StopWish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return

    def on_signal(number: int, _: FrameType | None) -> None:
        if wish.signal is not None:
            os._exit(128 + number)
        wish.signal = number

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
