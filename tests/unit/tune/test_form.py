"""The form a model has while it learns, and that it comes back whole."""

from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.tune.events import Started
from tunesmith.tune.form import TrainingForm, put_under_autocast, take_from_autocast
from tunesmith.tune.optimizers import AdamW, clip_factor, groups_of

CPU = torch.device("cpu")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_there_and_back_changes_nothing(bench: Any, method: str, precision: Any) -> None:
    model = bench.model(method=method)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    form = TrainingForm(model, precision=precision, device=CPU, vocabulary=[2, 5, 9])
    form.undo()
    form.undo()
    after = dict(model.named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {name for name, p in after.items() if p.requires_grad} == set(form.masters)


def test_bf16_computes_in_bf16_but_answers_in_fp32(bench: Any) -> None:
    model = bench.model()
    form = TrainingForm(model, precision="bf16", device=CPU, vocabulary=bench.data.vocabulary())
    output = model(bench.data.batch([0, 1, 2]))
    assert output.hidden.dtype == torch.bfloat16 and output.logits.dtype == torch.float32
    assert {master.dtype for master in form.masters.values()} == {torch.float32}
    form.undo()
    assert model(bench.data.batch([0, 1, 2])).hidden.dtype == torch.float32


@pytest.mark.parametrize("method", ["full", "lora"])
def test_under_autocast_products_are_bf16_and_weights_stay_fp32(bench: Any, method: str) -> None:
    model = bench.model(method=method, dropout=0.0).eval()
    batch, kinds = bench.data.batch([0, 1, 2]), []
    before = model(batch)
    attention = model.backbone.layers[0].attention
    attention.register_forward_hook(lambda _, given, out: kinds.append(out.dtype))
    put_under_autocast(model.backbone, "cpu")
    under = model(batch)
    under.logits.sum().backward()
    take_from_autocast(model.backbone)
    after = model(batch)
    assert kinds == [torch.bfloat16, torch.float32]
    assert under.logits.dtype == torch.float32 and {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}
    assert torch.equal(before.hidden, after.hidden) and not torch.equal(before.hidden, under.hidden)
    torch.testing.assert_close(under.hidden.float(), before.hidden, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
def test_training_only_the_words_that_occur_equals_training_the_whole_table(bench: Any, layer_decay: float) -> None:
    compact, whole = bench.model(dropout=0.0), bench.model(dropout=0.0)
    settings = {"weight_decay": 0.1, "layer_decay": layer_decay, "scored": False, "schedule": "constant", "warmup": 0.0}
    events = bench.trained(compact, **settings)
    started = events[0]
    assert isinstance(started, Started)
    assert started.vocabulary == (len(bench.data.vocabulary()) + 1, len(whole.backbone.embeddings.words.weight))
    by_hand(bench, whole, layer_decay)
    for (name, one), (_, other) in zip(compact.named_parameters(), whole.named_parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=name)
    unseen = compact.backbone.embeddings.words.weight[100]
    assert not torch.equal(unseen, bench.model().backbone.embeddings.words.weight[100])


def by_hand(bench: Any, model: Any, layer_decay: float) -> None:
    """The loop in ten lines over the whole table."""
    from tunesmith.tune.data import epoch_groups
    from tunesmith.tune.settings import TrainSettings

    settings = TrainSettings(batch_size=4)
    own = dict(model.named_parameters())
    optimizer = AdamW(
        own, {n: p.detach() for n, p in own.items()}, groups=groups_of(own, decay=0.1, layer_decay=layer_decay)
    )
    model.train()
    for epoch in range(2):
        for group in epoch_groups(bench.data, settings, epoch):
            batch = bench.data.batch(group[0])
            (bench.task.loss(model(batch), batch, head=model.head) / bench.task.count(batch)).backward()
            optimizer.collect()
            optimizer.step(5e-3, shrink=clip_factor(optimizer.gradient_norm(), 1.0))


def test_an_evaluation_sees_decayed_rows_of_words_that_never_occurred(bench: Any) -> None:
    seen: list[torch.Tensor] = []
    unseen = np.array([2, 90, 95], np.int32)
    assert not set(unseen[1:].tolist()) & set(bench.data.vocabulary())

    def score(model: Any) -> float:
        seen.append(model.backbone.embeddings.words(torch.from_numpy(unseen[1:].astype(np.int64))).detach().clone())
        return 0.5

    bench.accuracy = score
    model = bench.model()
    bench.trained(model, length="1 epochs", weight_decay=0.5)
    torch.testing.assert_close(seen[-1], model.backbone.embeddings.words.weight[[90, 95]].detach())


def test_a_table_that_does_not_learn_does_not_fade(bench: Any) -> None:
    model = bench.model(method="lora")
    before = model.backbone.embeddings.words.weight.detach().clone()
    bench.trained(model, weight_decay=0.5)
    assert torch.equal(model.backbone.embeddings.words.weight, before)


def test_the_window_that_rounds_a_batch_up_changes_nothing(bench: Any) -> None:
    model = bench.model(dropout=0.0)
    found = []
    for multiple in (1, 4):
        batch = bench.data.batch([0, 3, 5], multiple=multiple)
        assert batch.tokens % multiple == 0 and bench.task.count(batch) == 3
        loss = bench.task.loss(model(batch), batch, head=model.head)
        found.append((loss, torch.autograd.grad(loss, list(model.parameters()))))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_a_table_that_is_no_plain_one_stands_as_it_is(bench: Any) -> None:
    class Scaled(torch.nn.Embedding):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return super().forward(ids) * 4

    model = bench.model()
    scaled = Scaled(*model.backbone.embeddings.words.weight.shape)
    model.backbone.embeddings.words = scaled
    started = bench.trained(model, length="1 epochs")[0]
    assert started.vocabulary is None and model.backbone.embeddings.words is scaled
