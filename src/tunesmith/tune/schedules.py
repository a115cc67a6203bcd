"""Learning-rate schedules as pure functions of the share of the run that is done.

    warm-up    (done + step) / warmup              while done < warmup: the first step already learns
    linear     (1 - done) / (1 - warmup)
    cosine     (1 + cos(pi * (done - warmup) / (1 - warmup))) / 2
    constant   1

`done` in [0, 1) is where a step begins, `step` the share it takes. With `done = s / total` the linear one equals
`transformers.get_linear_schedule_with_warmup` without a warm-up. Cosine: Loshchilov and Hutter 2017, SGDR.
"""

import math
from typing import Literal

Schedule = Literal["linear", "cosine", "constant"]


def rate_factor(schedule: Schedule, done: float, *, warmup: float, step: float) -> float:
    """What the peak rate is multiplied by, in [0, 1]."""
    if done < warmup:
        return min(1.0, (done + step) / warmup)
    falling = min(1.0, max(0.0, (done - warmup) / (1 - warmup)))
    match schedule:
        case "linear":
            return 1 - falling
        case "cosine":
            return (1 + math.cos(math.pi * falling)) / 2
        case "constant":
            return 1.0
