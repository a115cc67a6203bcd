"""The loop: what it yields, and that what it learns depends on nothing but the run."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from tunesmith.core.errors import ConfigError, NumericsError
from tunesmith.models.inference import logits_of
from tunesmith.tune.events import Evaluated, Started, Stepped, Stopped


def of(kind: type, events: list[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_it_yields_what_happened_in_order(bench: Any) -> None:
    events = bench.trained(bench.model())
    steps, evaluations = of(Stepped, events), of(Evaluated, events)
    assert isinstance(events[0], Started) and isinstance(events[-1], Stopped)
    assert events[0].steps == 20 and events[0].steps_per_epoch == 10
    assert events[0].attention == "padded in chunks"
    assert [step.step for step in steps] == list(range(1, 21))
    assert steps[9].epoch == 1.0 and steps[-1].epoch == 2.0 and steps[-1].done == 1.0
    assert [evaluation.step for evaluation in evaluations] == [10, 20]
    assert sum(step.tokens for step in steps) == 2 * sum(len(window) for window in bench.data.encodings)
    assert events[-1].reason == "finished" and events[-1].tokens == sum(step.tokens for step in steps)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", ["full", "lora", "head_only"])
def test_it_learns_and_gives_back_a_plain_model(bench: Any, method: str, precision: str) -> None:
    model = bench.model(method=method)
    frozen = {n: p.detach().clone() for n, p in model.named_parameters() if not p.requires_grad}
    events = bench.trained(model, precision=precision, length="8 epochs")
    losses = [step.loss for step in of(Stepped, events)]
    assert sum(losses[-10:]) < sum(losses[:10])
    if method == "full":
        assert bench.accuracy(model) > 0.8
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(torch.equal(frozen[n], p) for n, p in model.named_parameters() if n in frozen)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_run_twice_is_bitwise_equal(bench: Any, equal_weights: Any, precision: str) -> None:
    one, other = bench.model(), bench.model()
    first = bench.trained(one, precision=precision)
    torch.manual_seed(99)
    second = bench.trained(other, precision=precision)
    assert equal_weights(one, other)
    assert [s.loss for s in of(Stepped, first)] == [s.loss for s in of(Stepped, second)]


def test_recomputing_layers_changes_nothing(bench: Any, equal_weights: Any) -> None:
    plain, recomputing = bench.model(), bench.model()
    bench.trained(plain)
    bench.trained(recomputing, gradient_checkpointing=True)
    assert equal_weights(plain, recomputing)
    assert recomputing.backbone.gradient_checkpointing is False


@pytest.mark.parametrize("cut", [{"batch_size": 4, "accumulate": 9}, {"batch_size": 18, "accumulate": 2}])
def test_the_update_does_not_depend_on_how_a_group_is_cut(bench: Any, cut: dict[str, int]) -> None:
    whole, cut_model = bench.model(dropout=0.0), bench.model(dropout=0.0)
    same_order = {"length": "1 steps", "warmup": 0.0, "scored": False}
    bench.data = type(bench.data)(encodings=bench.data.encodings[:36], ids=bench.data.ids, seed=3)
    one = of(Stepped, bench.trained(whole, batch_size=36, **same_order))[0]
    other = of(Stepped, bench.trained(cut_model, **cut, **same_order))[0]
    assert one.loss == pytest.approx(other.loss, rel=1e-6)
    assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-5)


def test_the_best_weights_come_back(bench: Any) -> None:
    model = bench.model()
    scores = iter([0.3, 0.9, 0.5, 0.4])
    seen = {}

    def score(current: Any) -> float:
        value = next(scores)
        seen[value] = [logits for _, logits in logits_of(current, bench.dev)]
        return value

    bench.accuracy = score
    stopped = bench.trained(model, length="4 epochs")[-1]
    assert (stopped.best_score, stopped.best_step) == (0.9, 20)
    assert all(torch.equal(then, now) for then, (_, now) in zip(seen[0.9], logits_of(model, bench.dev), strict=True))


def test_lowest_can_be_best_and_patience_ends_the_run(bench: Any) -> None:
    scores = iter([0.3, 0.2, 0.5, 0.4])
    bench.accuracy = lambda _: next(scores)
    events = bench.trained(bench.model(), length="9 epochs", best="lowest", patience=2)
    assert events[-1].reason == "patience"
    assert (events[-1].best_score, events[-1].best_step, events[-1].step) == (0.2, 20, 40)


def test_a_score_of_nan_is_never_the_best(bench: Any) -> None:
    scores = iter([float("nan"), 0.1, float("nan")])
    bench.accuracy = lambda _: next(scores)
    events = bench.trained(bench.model(), length="3 epochs")
    assert events[-1].best_score == 0.1


def test_the_examples_behind_a_loss_that_is_not_finite_are_named_alone(bench: Any) -> None:
    poisoned = list(bench.data.encodings)
    for index in (5, 20):
        poisoned[index] = replace(poisoned[index], weight=float("inf"))
    bench.data = replace(bench.data, encodings=poisoned)
    with pytest.raises(NumericsError) as caught:
        bench.trained(bench.model(), batch_size=37)
    assert "examples row:20, row:5" in caught.value.message or "examples row:5, row:20" in caught.value.message


def test_an_update_that_fails_later_keeps_the_earlier_ones(bench: Any) -> None:
    model, reference = bench.model(), bench.model()
    events = bench.events(model)
    reached = []
    with pytest.raises(NumericsError):
        for event in events:
            if isinstance(event, Stepped):
                reached.append(event.step)
            if reached and reached[-1] == 7:
                model.head.classifier.weight.register_hook(lambda gradient: gradient * float("nan"))
    half = bench.events(reference)
    while not (isinstance(event := next(half), Stepped) and event.step == 7):
        pass
    half.close()
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), reference.parameters(), strict=True))


def test_a_run_without_a_rate_or_data_is_refused(bench: Any) -> None:
    with pytest.raises(ConfigError, match=r"train\.learning_rate"):
        bench.trained(bench.model(), learning_rate=None)
    bench.data = type(bench.data)(encodings=[], ids=[], seed=0)
    with pytest.raises(ConfigError, match="nothing to learn"):
        bench.trained(bench.model())


def test_a_time_ends_a_run(bench: Any) -> None:
    events = bench.trained(bench.model(), length="0.02 seconds", scored=False)
    assert events[0].steps is None and events[-1].seconds >= 0.02


@pytest.mark.parametrize("unit", ["steps", "epochs"])
def test_evaluations_fall_where_they_are_asked_for(bench: Any, unit: str) -> None:
    every = {"steps": "3 steps", "epochs": "0.3 epochs"}[unit]
    events = bench.trained(bench.model(), length="1 epochs", evaluate_every=every)
    assert [evaluation.step for evaluation in of(Evaluated, events)] == [3, 6, 9, 10]


def test_training_leaves_threads_alone_unless_told(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    bench.trained(bench.model(), length="1 steps")
    bench.trained(bench.model(), length="1 steps", threads=1)
    assert asked == [1]
