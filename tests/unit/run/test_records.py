"""Events as flat records: texts and finite numbers, whatever a run comes to."""

import math
from pathlib import Path

from tunesmith.core.tracker import Ending, charted
from tunesmith.models.precision import Choice
from tunesmith.run.events import Finished, Interrupted, Noted, Phase
from tunesmith.run.records import ending_of, record_of
from tunesmith.tune.events import Evaluated, Halved, Saved, Spiked, Started, Stepped, Stopped

STEPPED = Stepped(
    step=3, epoch=0.5, done=0.1, loss=0.25, terms={"r_drop": 0.5}, learning_rate=1e-4, gradient_norm=2.0, tokens=50,
    seconds=0.5,
)  # fmt: skip
EVALUATED = Evaluated(step=3, epoch=0.5, score=math.nan, best=False, best_score=0.5, best_step=1, seconds=1.0)
STARTED = Started(
    step=0, steps=None, steps_per_epoch=4, precision=Choice("fp32", "asked for"), device="cpu", threads=1,
    learning_rate=1e-4, trainable=5, frozen=6, vocabulary=None,
)  # fmt: skip
HALVED = Halved(step=3, pieces=2, windows=8)
SPIKED = Spiked(
    step=2, loss=math.inf, usual=0.5, examples=("a", "b"), blame="batch", outcome="rolled_back"
)  # fmt: skip
STOPPED = Stopped(
    step=3, epoch=0.5, reason="finished", best_score=None, best_step=None, tokens=5, seconds=1.0
)  # fmt: skip
EVENTS = [
    *(Phase("training", "x"), Noted("y"), STARTED, STEPPED, HALVED, SPIKED, EVALUATED),
    *(Saved(step=3, folder=Path("step-00000003"), bytes=9, seconds=0.1), STOPPED),
    *(Interrupted(3, "SIGINT", Path()), Finished(Path(), {})),
]


def test_every_event_is_a_flat_record_that_json_can_hold() -> None:
    for event in EVENTS:
        record = record_of(event, lesson="training", metric="span_f1")
        assert {"event", "time"} <= record.keys()
        for value in record.values():
            assert value is None or isinstance(value, str | int | float)
            assert not isinstance(value, float) or math.isfinite(value)


def test_a_step_makes_curves_and_silver_pairs_make_their_own() -> None:
    step = record_of(STEPPED, lesson="training", metric="span_f1")
    assert charted(step) == {
        "train/loss": 0.25,
        "train/term/r_drop": 0.5,
        "train/learning_rate": 1e-4,
        "train/gradient_norm": 2.0,
        "train/tokens_per_second": 100.0,
        "train/epoch": 0.5,
    }
    silver = record_of(STEPPED, lesson="silver", metric="span_f1")
    assert charted(silver) == {f"silver/{name}": value for name, value in charted(step).items()}
    assert charted(record_of(EVALUATED, lesson="training", metric="span_f1")) == {}, "no number, no point"
    assert charted(record_of(STOPPED, lesson="training", metric="span_f1")) == {}


def test_an_ending_holds_scores_with_their_intervals_and_the_cost() -> None:
    metrics = {"span_f1": {"value": 0.8, "low": 0.7, "high": 0.9}, "exact": {"value": 0.5}}
    report = {"headline": "better", "splits": {"test": {"metrics": metrics}}, "cost": {"seconds": 2.0, "odd": {}}}
    ending = ending_of(Finished(Path(), report))
    assert ending.numbers == {
        "final/test/span_f1": 0.8,
        "final/test/span_f1/low": 0.7,
        "final/test/span_f1/high": 0.9,
        "final/test/exact": 0.5,
    }
    assert (ending.state, ending.reason, dict(ending.cost)) == ("finished", "better", {"seconds": 2.0})
    assert ending_of(Interrupted(3, "SIGINT", Path())) == Ending(state="interrupted", reason="SIGINT at step 3")
