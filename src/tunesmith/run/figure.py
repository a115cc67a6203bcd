"""A number that is not known yet, with an interval, and how far a machine may drift until it is.

The probe and the run do not meet the same machine. Clocks, caches and disks move by a tenth without any neighbour; and
where the main thread waited for a processor in the probe (wall over processor seconds, 1 on an idle machine), the
neighbours it waited for may leave, and others come. Both are allowed for on a logarithmic scale:

    low  = exp(-sqrt(spread^2 + DRIFT_DOWN^2) - WAITED ln(wall / processor))
    high = exp(+sqrt(spread^2 + DRIFT_UP^2)   + WAITED ln(wall / processor))

`spread` is the standard error of what was measured, relative to it. The constants are chosen so that real runs on a
machine with neighbours lie within (benchmarks/planning/truth.py).
"""

import math
from dataclasses import dataclass
from typing import Final

DRIFT_DOWN: Final = 0.14
DRIFT_UP: Final = 0.22
"""Between two processes on one machine: more often it turns out slower, when a neighbour comes, than faster"""
WAITED: Final = 0.5
"""How much of what was waited for a processor may come or go"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A prediction with its interval."""

    value: float
    low: float
    high: float

    def as_record(self) -> dict[str, float]:
        """JSON-ready."""
        return {"value": round(self.value, 3), "low": round(self.low, 3), "high": round(self.high, 3)}


def factors(spread: float, waited: float) -> tuple[float, float]:
    """(low, high) as shares of a time with this relative standard error; `waited` is wall over processor seconds."""
    waiting = WAITED * math.log(waited)
    down, up = math.hypot(spread, DRIFT_DOWN), math.hypot(spread, DRIFT_UP)
    return math.exp(-down - waiting), math.exp(up + waiting)
