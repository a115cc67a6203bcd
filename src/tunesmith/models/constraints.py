"""What may follow in an answer: the contract of a constraint, and the closed list of choices.

A constraint is asked before every token and told the token that was taken. Each answer has its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import ConfigError, Place

Trie = dict[int, "Trie"]
"""Token id to what may come behind it; empty where a choice ends for good"""


class Constraint(ABC):
    """The state of one answer."""

    @abstractmethod
    def allowed(self) -> Sequence[int] | NDArray[np.int64] | None:
        """Ids of tokens that may come next, at least one; None where any may."""

    @abstractmethod
    def advance(self, token: int) -> None:
        """`token`, one of those allowed, has come."""

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether the answer is complete and nothing may follow, not even a token that ends it."""


class Choices(Constraint):
    """An answer that is one of a few: greedy goes down their common beginnings, always to the likeliest next token.

    A choice with which another begins may be ended there by one of the tokens that end an answer.
    """

    def __init__(self, choices: Trie) -> None:
        """`choices` as `choice_trie` makes them; one may serve many answers."""
        self._left: Trie = choices

    def allowed(self) -> Sequence[int]:
        """The next tokens of the choices that are left."""
        return tuple(self._left)

    def advance(self, token: int) -> None:
        """Leave out the choices that go on with another token."""
        self._left = self._left[token]

    @property
    def finished(self) -> bool:
        """Whether a choice has been written to its end, and no other begins with it."""
        return not self._left


def choice_trie(choices: Sequence[Sequence[int]], ends: Collection[int]) -> Trie:
    """The trie of `choices`, token ids each; `ends` are the tokens that end an answer.

    Raises:
        ConfigError: there is none, one has no tokens, or one begins with another and no token could tell them apart.
    """
    if not choices or not all(choices):
        raise _unfit("every choice needs a token", "leave out choices without a visible character.")
    trie: Trie = {}
    for choice in choices:
        below = trie
        for token in choice:
            below = below.setdefault(token, {})
    for choice in choices:
        below = trie
        for token in choice:
            below = below[token]
        if below and not ends:
            raise _unfit("one choice begins with another, and no token ends an answer", "name the end token.")
        if below:
            below.update((end, {}) for end in ends)
    return trie


def _unfit(what: str, fix: str) -> ConfigError:
    return ConfigError(what, code="TS-MODEL-083", place=Place(key="choices"), fix=fix)
