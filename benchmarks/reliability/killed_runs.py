"""Kill runs with SIGKILL at random moments until they finish, and compare their bits with those of a run left alone.

Full and LoRA, fp32 and bf16, all with accumulation; a state is saved every second step, so that many kills hit a save.
"""

import random
import signal
import time
from pathlib import Path

from reliability.figure import Finding, counted
from reliability.forked import begin
from reliability.tiny_run import KINDS, TinyRun, difference, ended, left_alone

KILLS = 6
"""Attempts of a run that are killed, unless they finish before"""
LEAST = 100
"""Kills that must hit at the published count for the figure to mean anything; at a smaller one, one for each run"""


def measure(folder: Path, count: int) -> Finding:
    """Kill `count` runs until they finish."""
    begun = time.perf_counter()
    alone = left_alone(folder, count)
    took = (time.perf_counter() - begun) / len(alone)
    draw = random.Random(0)
    kills, faults = 0, []
    for trial in range(count):
        kind = KINDS[trial % len(KINDS)]
        run, place = TinyRun(*kind), folder / f"trial-{trial}"
        for _ in range(KILLS):
            child = begin(lambda run=run, place=place: run.finish(place), folder / "output")
            time.sleep(draw.uniform(0.02, 0.7 * took))
            child.send(signal.SIGKILL)
            kills += child.wait() == -signal.SIGKILL
        last = begin(lambda run=run, place=place: run.finish(place), folder / "output")
        if last.wait():
            faults.append(f"{place.name} {kind} could not go on: {last.said()}")
        elif wrong := difference(ended(place), alone[kind]):
            faults.append(f"{place.name} {kind} ended with other bits: {wrong}")
    if kills < (LEAST if count >= 50 else count):
        faults.append(f"only {kills} kills hit a run")
    return counted(count, faults, f" after {kills} kills")
