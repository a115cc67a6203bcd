"""What may be shown of an answer while it is still being written.

Two things must not be shown. A token may hold some bytes of a character only: they are decoded as U+FFFD until the rest
has come. And what may turn out to be the beginning of a stop string is held back until it is clear.

A piece is what the newest tokens add to the text of the few before them: decoders that drop or add a blank at the
beginning of what they are given then treat an answer as they treat it whole.
"""

from collections.abc import Callable, Sequence

Reader = Callable[[Sequence[int]], str]
"""Token ids to their text"""
_HALF = "\ufffd"


class VisibleText:
    """The text of one answer. All pieces in a row are the text of all tokens, up to the first stop string."""

    def __init__(self, read: Reader, stops: Sequence[str]) -> None:
        self._read, self._stops = read, stops
        self._ids: list[int] = []
        self._begin = 0
        """First token of those that the next piece is read with"""
        self._told = 0
        """Tokens whose text has come out of the decoder"""
        self._held = ""
        self.stopped = False
        """Whether a stop string has come"""

    def feed(self, token: int) -> str:
        """What can be shown once `token` has come."""
        self._ids.append(token)
        return self._shown(self._decoded(whole=False))

    def end(self) -> str:
        """The rest, once no token will follow."""
        if self.stopped:
            return ""
        shown = self._shown(self._decoded(whole=True)) + self._held
        self._held = ""
        return shown

    def _decoded(self, *, whole: bool) -> str:
        before = self._read(self._ids[self._begin : self._told])
        text = self._read(self._ids[self._begin :])
        if not whole and (len(text) <= len(before) or text.endswith(_HALF)):
            return ""
        self._begin, self._told = self._told, len(self._ids)
        return text[len(before) :]

    def _shown(self, piece: str) -> str:
        text = self._held + piece
        found = [at for at in map(text.find, self._stops) if at >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        held = _open(text, self._stops)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _open(text: str, stops: Sequence[str]) -> int:
    """How many last characters of `text` may be the beginning of a stop string."""
    longest = min(len(text), max(map(len, stops), default=1) - 1)
    return next((size for size in range(longest, 0, -1) if any(s.startswith(text[-size:]) for s in stops)), 0)
