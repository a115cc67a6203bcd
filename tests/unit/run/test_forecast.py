"""The arithmetic of a forecast on measures that are known."""

import math

import pytest

from tunesmith.run.lesson_forecast import fitted
from tunesmith.run.probe_lesson import Lesson, Step


def lesson(steps: list[tuple[int, float]], *, groups: int = 100, tokens: int = 40_000) -> Lesson:
    measured = tuple(Step(tokens=tokens, seconds=seconds, busy=seconds) for tokens, seconds in steps)
    return Lesson(
        name="training",
        before=0.0,
        length="1 epochs",
        groups=groups,
        tokens=tokens,
        recalling=0.0,
        recalled_bytes=0,
        warming=(),
        steps=measured,
        evaluation=1.0,
        best=0.1,
        best_bytes=100,
        save=0.2,
        state_bytes=300,
        pieces=1,
        device="cpu",
        precision="fp32",
    )


def test_a_line_through_steps_gives_back_what_made_them() -> None:
    group, token, spread = fitted(lesson([(tokens, 0.05 + 0.001 * tokens) for tokens in (100, 250, 300, 420, 800)]))
    assert (group, token) == (pytest.approx(0.05), pytest.approx(0.001)) and spread == pytest.approx(0, abs=1e-9)


def test_steps_that_scatter_more_leave_more_doubt() -> None:
    calm, wild = (
        fitted(lesson([(300 + 10 * n, 0.3 * (1 + amount * math.sin(7 * n))) for n in range(20)]))[2]
        for amount in (0.02, 0.4)
    )
    assert 0 < calm < 0.02 < wild < 0.3


def test_no_coefficient_is_below_zero() -> None:
    group, token, _ = fitted(lesson([(100, 0.9), (200, 0.8), (300, 0.7)]))
    assert (group, token) == (pytest.approx(0.8), 0.0)
    group, token, _ = fitted(lesson([(100, 0.01), (200, 0.2), (300, 0.5)]))
    assert group == pytest.approx(0.0) and token > 0
    assert fitted(lesson([(100, 0.5)]))[:2] == (pytest.approx(0.5), 0.0)
