import pytest

from tunesmith.tune.schedules import rate_factor


def curve(schedule: str, warmup: float, total: int = 10) -> list[float]:
    return [
        rate_factor(schedule, step / total, warmup=warmup, step=1 / total)  # type: ignore[arg-type]
        for step in range(total)
    ]


def test_linear_is_the_one_everybody_uses() -> None:
    assert curve("linear", 0.0) == pytest.approx([1 - step / 10 for step in range(10)])


def test_the_first_step_of_a_warm_up_learns_and_the_last_reaches_the_peak() -> None:
    assert curve("linear", 0.4) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


def test_cosine_falls_slowly_fast_slowly() -> None:
    values = curve("cosine", 0.0, 1000)
    assert values[0] == 1 and values[500] == pytest.approx(0.5) and values[-1] < 1e-4
    assert values[100] - values[150] < values[475] - values[525]


def test_constant_stays_after_its_warm_up() -> None:
    assert curve("constant", 0.2) == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1])


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_a_factor_never_leaves_its_range(schedule: str) -> None:
    for done in (0.0, 0.05, 0.1, 0.5, 0.999, 1.0, 1.2):
        for warmup in (0.0, 0.1, 0.99):
            assert 0 <= rate_factor(schedule, done, warmup=warmup, step=0.01) <= 1  # type: ignore[arg-type]
