"""How long, in the unit a person thinks in: "3 epochs", "500 steps", "20 minutes"."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from tunesmith.core.errors import ConfigError, Place

Unit = Literal["epochs", "steps", "seconds"]

_UNITS: dict[str, tuple[Unit, float]] = {
    "epoch": ("epochs", 1),
    "step": ("steps", 1),
    "second": ("seconds", 1),
    "minute": ("seconds", 60),
    "hour": ("seconds", 3600),
}
_MOST: Final = 1e12
"""Of any unit. No run is that long, and far beyond it a count of steps is no longer exact, then infinite."""
_FORM = re.compile(r"(\d+(?:\.\d+)?) ?(epoch|step|second|minute|hour)s?")


@dataclass(frozen=True, slots=True)
class Duration:
    """An amount of epochs, steps or seconds; epochs and seconds may be fractions."""

    amount: float
    unit: Unit

    @classmethod
    def parse(cls, text: str, *, key: str = "", zero: bool = False) -> "Duration":
        """The duration that a text like "3 epochs" names; with `zero` it may be none at all.

        Raises:
            ConfigError: at `key`, where the text has another form or the amount is not positive, not whole steps or
                beyond what a run can be.
        """
        match = _FORM.fullmatch(text.strip().lower())
        if match is not None:
            unit, factor = _UNITS[match[2]]
            amount = float(match[1]) * factor
            if (zero or amount > 0) and amount <= _MOST and (unit != "steps" or amount == int(amount)):
                return cls(amount, unit)
        raise ConfigError(
            f"{text!r} is not a duration",
            code="TS-CONF-010",
            place=Place(key=key),
            fix='write it like "3 epochs", "500 steps" or "20 minutes".',
        )

    def __str__(self) -> str:
        """The text that parses to an equal duration."""
        amount = int(self.amount) if self.amount == int(self.amount) else self.amount
        return f"{amount} {self.unit}"
