"""A backbone that does not learn is asked once for each window, and what is remembered is what it says."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.core.rooms import REGULARIZERS
from tunesmith.tune import recall, training
from tunesmith.tune.checkpoint import Keeping, newest
from tunesmith.tune.events import Halved, Stepped


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """How many windows each forward pass of the backbone held."""

    def watched(bench: Any) -> tuple[Any, list[int]]:
        model, seen = bench.model(method="head_only"), []
        model.backbone.register_forward_pre_hook(lambda _, arguments: seen.append(len(arguments[0].lengths)))
        return model, seen

    return watched


def losses(events: list[Any]) -> list[float]:
    return [event.loss for event in events if isinstance(event, Stepped)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("most", [recall.MOST_BYTES, 6000, 0])
def test_what_is_remembered_is_what_the_backbone_says(
    bench: Any, monkeypatch: pytest.MonkeyPatch, precision: str, most: int
) -> None:
    settings = {"length": "3 epochs", "precision": precision, "accumulate": 2}
    monkeypatch.setattr(training, "recall_of", lambda *_: None)
    expected = losses(bench.trained(bench.model(method="head_only"), **settings))
    monkeypatch.undo()
    monkeypatch.setattr(recall, "BLOCK_TOKENS", 40)
    monkeypatch.setattr(recall, "MOST_BYTES", most)
    found = losses(bench.trained(bench.model(method="head_only"), **settings))
    assert found == pytest.approx(expected, abs=1e-5 if precision == "fp32" else 2e-2)


def test_every_window_is_computed_once(bench: Any, passes: Any) -> None:
    model, seen = passes(bench)
    bench.trained(model, length="4 epochs", scored=False)
    assert sum(seen) == len(bench.data.encodings)


def test_windows_beyond_the_room_are_computed_anew(bench: Any, passes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = passes(bench)
    monkeypatch.setattr(recall, "MOST_BYTES", 0)
    bench.trained(model, length="4 epochs", scored=False)
    assert sum(seen) == 4 * len(bench.data.encodings)


def test_a_backbone_that_learns_is_asked_each_time(bench: Any) -> None:
    for method in ("full", "lora"):
        assert recall.recall_of(bench.model(method=method), bench.data, torch.device("cpu")) is None


def test_a_frozen_backbone_drops_nothing_and_its_head_does(bench: Any) -> None:
    model = bench.model(method="head_only", dropout=0.5).train()
    assert not any(module.training for module in model.backbone.modules())
    assert model.head.training
    assert all(module.training for module in bench.model(dropout=0.5).train().backbone.modules())


def test_regularizers_see_the_remembered_states(bench: Any) -> None:
    r_drop = [REGULARIZERS.make("r_drop", key="regularizers.0")]
    events = bench.trained(bench.model(method="head_only"), regularizers=r_drop, length="1 epochs")
    terms = [event.terms["r_drop"] for event in events if isinstance(event, Stepped)]
    assert all(term > 0 for term in terms)  # the head alone drops, and that is enough to disagree


def test_what_all_windows_cost_is_told_by_those_that_were_asked(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "BLOCK_TOKENS", 40)
    model = bench.model(method="head_only").eval()
    known = recall.Recall(model, bench.data, torch.device("cpu"))
    assert known.seconds_for_all() == 0.0
    known.hidden([0])
    assert 0 < known.seconds < known.seconds_for_all()
    known.hidden(range(len(bench.data.encodings)))
    assert known.seconds_for_all() == pytest.approx(known.seconds)


def test_what_is_still_to_be_kept_is_told_in_bytes(bench: Any) -> None:
    model = bench.model(method="head_only")
    kept = recall.Recall(model, bench.data, torch.device("cpu"))
    windows = range(len(bench.data.encodings))
    assert kept.bytes_to_come == bench.data.places(windows) * model.backbone.width * 4
    before = kept.bytes_to_come
    first = kept.hidden([0])
    assert 0 <= kept.bytes_to_come <= before - first.numel() * 4
    kept.hidden(windows)
    assert kept.bytes_to_come == 0


def test_where_memory_ran_out_nothing_is_kept_now_or_on_going_on(
    bench: Any, passes: Any, checkpoints: Path, equal_weights: Any
) -> None:
    def cramped(model: Any) -> Any:
        def refuse(_: Any, arguments: tuple[Any, ...]) -> None:
            if model.training and len(arguments[0].lengths) > 3:
                raise RuntimeError("out of memory")

        model.backbone.register_forward_pre_hook(refuse)
        return model

    whole, seen = passes(bench)
    events = bench.trained(cramped(whole), scored=False)
    assert [event.pieces for event in events if isinstance(event, Halved)] == [2]
    assert sum(count for count in seen if count <= 3) == 2 * len(bench.data.encodings)
    half = bench.events(cramped(bench.model(method="head_only")), keeping=Keeping(folder=checkpoints), scored=False)
    while not (isinstance(event := next(half), Stepped) and event.step == 7):
        pass
    half.close()
    again = bench.model(method="head_only")
    bench.trained(again, keeping=Keeping(folder=checkpoints, resume=newest(checkpoints)), scored=False)
    assert equal_weights(whole, again)
