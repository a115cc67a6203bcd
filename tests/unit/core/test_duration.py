import pytest

from tunesmith.core.duration import Duration
from tunesmith.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 epochs", Duration(3, "epochs")),
        ("1 epoch", Duration(1, "epochs")),
        ("0.5 epochs", Duration(0.5, "epochs")),
        ("500 steps", Duration(500, "steps")),
        ("20 minutes", Duration(1200, "seconds")),
        ("1.5 hours", Duration(5400, "seconds")),
        (" 90 Seconds ", Duration(90, "seconds")),
    ],
)
def test_a_duration_is_what_a_person_writes(text: str, expected: Duration) -> None:
    assert Duration.parse(text) == expected
    assert Duration.parse(str(expected)) == expected


NONSENSE = ("", "3", "epochs", "-1 epochs", "0 steps", "1.5 steps", "3 weeks", "1e3 steps", "nan epochs")
ENDLESS = ("9" * 400 + " steps", "9" * 400 + " epochs", "1" + "0" * 13 + " steps", "9" * 12 + " hours")


@pytest.mark.parametrize("text", NONSENSE + ENDLESS)
def test_anything_else_is_refused_at_its_key(text: str) -> None:
    with pytest.raises(ConfigError, match=r"train\.length") as caught:
        Duration.parse(text, key="train.length")
    assert "3 epochs" in caught.value.fix


def test_a_long_duration_is_written_so_that_it_parses() -> None:
    assert Duration.parse(str(Duration(10_000_000, "steps"))) == Duration(10_000_000, "steps")


def test_no_time_at_all_is_a_duration_where_it_may_be() -> None:
    for text in ("0 epochs", "0 steps", "0.0 minutes"):
        assert Duration.parse(text, zero=True).amount == 0
    with pytest.raises(ConfigError):
        Duration.parse("-1 epochs", zero=True)
