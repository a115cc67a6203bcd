"""A run that was stopped goes on to the same bits; a state of another run, or a damaged one, is refused."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from reliability.corrupted_states import damages
from tunesmith.core.errors import ConfigError, DataError, ModelFileError, NumericsError
from tunesmith.core.rooms import REGULARIZERS
from tunesmith.tune.checkpoint import Keeping, newest
from tunesmith.tune.data import TrainingData
from tunesmith.tune.events import Evaluated, Saved, Started, Stepped, Stopped
from tunesmith.tune.fit import CutShort

SETTINGS = {"length": "3 epochs", "evaluate_every": "7 steps", "accumulate": 2}
"""15 steps: 5 in each epoch, the last group of an epoch is smaller"""


def facts(events: list[Any]) -> list[Any]:
    """What must not depend on an interruption."""
    steps = [(e.step, e.epoch, e.loss, e.learning_rate, e.gradient_norm) for e in events if isinstance(e, Stepped)]
    scores = [(e.step, e.score, e.best, e.best_step) for e in events if isinstance(e, Evaluated)]
    return [*steps, *scores, *((e.reason, e.best_step, e.tokens) for e in events if isinstance(e, Stopped))]


def bits(model: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for _, p in model.named_parameters()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("method", "precision", "stop"),
    [
        ("full", "fp32", 5),
        ("full", "bf16", 7),
        ("full", "bf16", 12),
        ("lora", "fp32", 12),
        ("lora", "bf16", 1),
        ("head_only", "fp32", 7),
    ],
)
def test_a_resumed_run_is_bitwise_the_uninterrupted_one(
    bench: Any, checkpoints: Path, method: str, precision: str, stop: int
) -> None:
    regularizers = [REGULARIZERS.make("r_drop", key="regularizers.0")]
    settings = {**SETTINGS, "precision": precision, "regularizers": regularizers}
    straight = bench.model(method=method)
    expected = bench.trained(straight, **settings)

    done = []
    first = Keeping(folder=checkpoints, should_stop=lambda: "SIGTERM" if len(done) >= stop else None)
    for event in bench.events(bench.model(method=method), keeping=first, **settings):
        done += [event] if isinstance(event, Stepped) else []
        last = event
    assert isinstance(last, Stopped) and last.reason == "SIGTERM" and last.step == stop

    state = newest(checkpoints)
    assert state is not None and state.step == stop
    resumed = bench.model(method=method)
    rest = bench.trained(resumed, keeping=Keeping(folder=checkpoints, resume=state), **settings)
    assert isinstance(rest[0], Started) and rest[0].step == stop and not rest[0].notes
    assert same(bits(straight), bits(resumed))
    assert set(facts(rest)) <= set(facts(expected))
    assert [e.step for e in rest if isinstance(e, Stepped)] == list(range(stop + 1, 16))


def test_closing_the_generator_saves(bench: Any, checkpoints: Path) -> None:
    events = bench.events(bench.model(), keeping=Keeping(folder=checkpoints))
    for event in events:
        if isinstance(event, Stepped) and event.step == 3:
            break
    events.close()
    state = newest(checkpoints)
    assert state is not None and state.step == 3


def test_stopping_when_complete_still_completes_after_resume(bench: Any, checkpoints: Path) -> None:
    straight = bench.model()
    bench.trained(straight, **SETTINGS)
    done: list[int] = []
    keeping = Keeping(folder=checkpoints, should_stop=lambda: "SIGINT" if len(done) == 15 else None)
    for event in bench.events(bench.model(), keeping=keeping, **SETTINGS):
        done += [event.step] if isinstance(event, Stepped) else []
    resumed = bench.model()
    rest = bench.trained(resumed, keeping=Keeping(folder=checkpoints, resume=newest(checkpoints)), **SETTINGS)
    assert [type(event) for event in rest] == [Started, Evaluated, Stopped]
    assert same(bits(straight), bits(resumed))


def test_a_wish_to_stop_waited_for_the_end_of_an_evaluation(bench: Any, checkpoints: Path) -> None:
    straight = bench.model()
    bench.trained(straight, **SETTINGS)
    wishes: list[str] = []
    score = bench.accuracy

    def cut(_: object) -> float:
        wishes.append("SIGTERM")
        raise CutShort

    bench.accuracy = cut
    keeping = Keeping(folder=checkpoints, should_stop=lambda: wishes[0] if wishes else None)
    *_, saved, stopped = bench.trained(bench.model(), keeping=keeping, **SETTINGS)
    assert isinstance(saved, Saved) and (stopped.step, stopped.reason, len(wishes)) == (7, "SIGTERM", 1)
    bench.accuracy = score
    resumed = bench.model()
    rest = bench.trained(resumed, keeping=Keeping(folder=checkpoints, resume=newest(checkpoints)), **SETTINGS)
    assert [type(event) for event in rest[:2]] == [Started, Evaluated], "the evaluation is made anew"
    assert same(bits(straight), bits(resumed))


def test_a_complete_run_resumes_to_the_same_end_without_a_step(bench: Any, checkpoints: Path) -> None:
    straight = bench.model()
    bench.trained(straight, keeping=Keeping(folder=checkpoints), **SETTINGS)
    resumed = bench.model()
    rest = bench.trained(resumed, keeping=Keeping(folder=checkpoints, resume=newest(checkpoints)), **SETTINGS)
    assert [type(event) for event in rest] == [Started, Stopped]
    assert same(bits(straight), bits(resumed))


def test_a_run_out_of_patience_resumes_to_the_same_end_without_a_step(bench: Any, checkpoints: Path) -> None:
    settings = {"evaluate_every": "2 steps", "patience": 2, "length": "50 epochs"}
    straight = bench.model()
    events = bench.trained(straight, keeping=Keeping(folder=checkpoints), **settings)
    assert events[-1].reason == "patience" and events[-1].best_step < events[-1].step
    assert sum(isinstance(event, Saved) for event in events) == 1, "the cost is one state"
    resumed = bench.model()
    rest = bench.trained(resumed, keeping=Keeping(folder=checkpoints, resume=newest(checkpoints)), **settings)
    assert [type(event) for event in rest] == [Started, Stopped] and rest[-1].reason == "patience"
    assert same(bits(straight), bits(resumed))


def test_a_stop_at_a_saved_step_writes_nothing_again(bench: Any, checkpoints: Path) -> None:
    keeping = Keeping(folder=checkpoints, should_stop=lambda: "SIGINT")
    assert [type(event) for event in bench.trained(bench.model(), keeping=keeping)] == [Started, Saved, Stopped]
    again = Keeping(folder=checkpoints, should_stop=lambda: "SIGINT", resume=newest(checkpoints))
    assert [type(event) for event in bench.trained(bench.model(), keeping=again)] == [Started, Stopped]


def test_states_are_saved_as_asked_and_old_ones_go(bench: Any, checkpoints: Path) -> None:
    saved = []
    for event in bench.events(bench.model(), keeping=Keeping(folder=checkpoints), save_every="3 steps", keep=2):
        if isinstance(event, Saved):
            saved.append(event.step)
            assert len(list(checkpoints.glob("step-*"))) <= 3
    assert saved == [3, 6, 9, 12, 15, 18, 20], "and the last step, since judging may be stopped too"
    assert {path.name for path in checkpoints.iterdir()} == {"step-00000018", "step-00000020", "best"}


def interrupted(bench: Any, checkpoints: Path, **settings: Any) -> None:
    """States at steps 3, 6 and 9 of 20."""
    for event in bench.events(bench.model(), keeping=Keeping(folder=checkpoints), save_every="3 steps", **settings):
        if isinstance(event, Saved) and event.step == 9:
            break


def corrupt(folder: Path, how: str) -> None:
    EVERY_DAMAGE[how](folder, folder.parent / "step-00000006")


EVERY_DAMAGE = damages(3)


@pytest.mark.parametrize("how", EVERY_DAMAGE)
def test_a_damaged_state_is_passed_over_with_one_notice(bench: Any, checkpoints: Path, how: str) -> None:
    interrupted(bench, checkpoints)
    corrupt(checkpoints / "step-00000009", how)
    state = newest(checkpoints)
    assert state is not None and state.step == 6
    assert len(state.skipped) == 1 and state.skipped[0].startswith("step-00000009: ")


def test_a_run_goes_on_from_before_the_damage_and_replaces_it(bench: Any, checkpoints: Path) -> None:
    straight = bench.model()
    bench.trained(straight)
    interrupted(bench, checkpoints)
    corrupt(checkpoints / "step-00000009", "weights cut short")
    resumed = bench.model()
    keeping = Keeping(folder=checkpoints, resume=newest(checkpoints))
    rest = bench.trained(resumed, keeping=keeping, save_every="2 steps")
    assert len(rest[0].notes) == 1 and "step-00000009" in rest[0].notes[0]
    assert same(bits(straight), bits(resumed))
    assert [path.name for path in sorted(checkpoints.glob("step-*"))] == ["step-00000018", "step-00000020"]


def test_best_weights_damaged_on_disk_are_refused_and_a_resume_brings_them_back(bench: Any, checkpoints: Path) -> None:
    scores = [0.3, 0.9, 0.5, 0.4, 0.2, 0.1]
    settings = {"save_every": "7 steps", "evaluate_every": "4 steps"}
    straight, damaged, resumed = bench.model(), bench.model(), bench.model()
    left = iter(scores)
    bench.accuracy = lambda _: next(left)
    bench.trained(straight, **settings)
    left = iter(scores)
    with pytest.raises(ModelFileError, match="best weights cannot be used"):
        for event in bench.events(damaged, keeping=Keeping(folder=checkpoints), **settings):
            if isinstance(event, Stepped) and event.step == 18:
                corrupt(checkpoints / "best", "weights short of one byte")
    left = iter(scores[3:])
    state = newest(checkpoints)
    assert state is not None and state.step == 14
    bench.trained(resumed, keeping=Keeping(folder=checkpoints, resume=state), **settings)
    assert same(bits(straight), bits(resumed))


def test_nothing_starts_where_every_state_is_damaged(bench: Any, checkpoints: Path) -> None:
    interrupted(bench, checkpoints)
    for folder in checkpoints.glob("step-*"):
        corrupt(folder, "empty weights")
    with pytest.raises(ModelFileError, match="no saved state can be used"):
        newest(checkpoints)


def test_no_state_is_said_so(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    assert newest(tmp_path / "nowhere") is None


def test_other_data_are_refused_showing_both_fingerprints(bench: Any, checkpoints: Path) -> None:
    interrupted(bench, checkpoints)
    state = newest(checkpoints)
    assert state is not None
    before = state.record["data"]["fingerprint"][:16]
    bench.data = TrainingData(encodings=bench.data.encodings[:-1], ids=bench.data.ids, seed=3)
    with pytest.raises(DataError) as caught:
        bench.trained(bench.model(), keeping=Keeping(folder=checkpoints, resume=state), save_every="3 steps")
    assert before in caught.value.message and bench.data.fingerprint()[:16] in caught.value.message
    assert "37 windows" in caught.value.message and "36 windows" in caught.value.message


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("train.learning_rate", {"learning_rate": 1e-3}),
        ("train.length", {"length": "9 epochs"}),
        ("train.precision", {"precision": "bf16"}),
        ("regularizers", {"regularizers": [REGULARIZERS.make("r_drop", key="x")]}),
    ],
)
def test_another_configuration_is_refused_at_its_key(
    bench: Any, checkpoints: Path, key: str, changes: dict[str, Any]
) -> None:
    interrupted(bench, checkpoints)
    model = bench.model()
    before = bits(model)
    with pytest.raises(ConfigError) as caught:
        bench.trained(model, keeping=Keeping(folder=checkpoints, resume=newest(checkpoints)), **changes)
    assert caught.value.place is not None and caught.value.place.key == key
    assert same(before, bits(model))


def test_another_base_model_is_refused_where_it_is_frozen(bench: Any, checkpoints: Path) -> None:
    for event in bench.events(bench.model(method="lora"), keeping=Keeping(folder=checkpoints), save_every="3 steps"):
        if isinstance(event, Saved):
            break
    other = bench.model(method="lora")
    other.backbone.layers[0].feed_forward.up.weight.data[0, 0] += 1e-3
    with pytest.raises(DataError, match="weights that do not learn"):
        bench.trained(other, keeping=Keeping(folder=checkpoints, resume=newest(checkpoints)), save_every="3 steps")


def test_weights_that_overflowed_were_saved(bench: Any, checkpoints: Path) -> None:
    keeping = Keeping(folder=checkpoints)
    with pytest.raises(NumericsError, match="step 1 left a number that is not finite in master"):
        bench.trained(bench.model(), keeping=keeping, learning_rate=1e39, warmup=0.0, length="1 steps", scored=False)
    assert newest(checkpoints) is None


def test_another_machine_is_noted(bench: Any, checkpoints: Path) -> None:
    interrupted(bench, checkpoints)
    state = newest(checkpoints)
    assert state is not None
    record = json.loads(json.dumps(state.record))
    record["environment"]["threads"] = 64
    events = bench.events(
        bench.model(), keeping=Keeping(folder=checkpoints, resume=type(state)(state.folder, record)), keep=3
    )
    (started,) = itertools.islice(events, 1)
    events.close()
    assert any("threads 64 is now" in note and "bitwise" in note for note in started.notes)


def test_a_saved_choice_of_precision_is_kept(bench: Any, checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.models import precision

    monkeypatch.setattr(precision, "gemm_rates", lambda *_: (1.0, 2.0))
    interrupted(bench, checkpoints, precision="auto")
    monkeypatch.setattr(precision, "gemm_rates", lambda *_: (2.0, 1.0))
    keeping = Keeping(folder=checkpoints, resume=newest(checkpoints))
    (started,) = itertools.islice(bench.events(bench.model(), keeping=keeping, precision="auto"), 1)
    assert started.precision.precision == "bf16"
