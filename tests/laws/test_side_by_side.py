"""Several models over one backbone: what a method leaves beside it answers in company as its own model does alone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS, TASKS
from tunesmith.methods._beside import WeightsMoved, learnt_beside
from tunesmith.methods._folded import Folded
from tunesmith.methods._low_rank_table import LowRankTable
from tunesmith.methods._peft_files import write_adapter
from tunesmith.models.checkpoint import locate
from tunesmith.models.encoder import Encoder
from tunesmith.models.learnt import fill_learnt
from tunesmith.models.loading import load_backbone
from tunesmith.models.shared_encoder import Asked, SharedBackbone, SharedEncoder
from tunesmith.models.surgery import apply_method, merge, sharing

FORMS: dict[str, list[dict[str, object]]] = {
    "lora": [
        {},
        {"decomposed": True, "targets": ["query", "output", "up", "down"]},
        {"start": "principal", "rank": 3},
        {"rank": 3, "targets": ["query", "words"]},
        {"decomposed": True, "start": "principal", "rank": 2},
    ],
    "ia3": [{}, {"inner": False, "targets": ["query", "up", "output"]}],
    "adapter": [{}, {"placement": "houlsby", "size": 3}],
    "prefix": [{"length": 4}, {"length": 3, "projected": True, "hidden": 5}],
    "soft_prompt": [{"length": 3}, {"length": 2, "network": "mlp"}, {"length": 2, "network": "lstm"}],
}
"""The other kinds in their plain form"""
LARGE = ("full", "layer_freeze")
TABLES = [{"kind": kind, **form} for kind in METHODS.kinds if kind not in LARGE for form in FORMS.get(kind, [{}])]
CASES = {" ".join(map(str, table.values())): table for table in TABLES}


@dataclass(frozen=True)
class Desk:
    """A backbone, and over it every case as a model of its own and as what it holds beside the backbone."""

    base: Model
    alone: dict[str, Model]
    states: dict[str, dict[str, Tensor]]

    def shared(self, dtype: torch.dtype = torch.float32) -> SharedEncoder:
        views = {}
        for name, state in self.states.items():
            view = Model(sharing(self.base.backbone), self.base.head)
            fill_learnt(view, state)
            views[name] = view.backbone
        assert isinstance(self.base.backbone, Encoder)
        own = {name: view for name, view in views.items() if isinstance(view, Encoder)}
        return SharedEncoder(self.base.backbone, own, dtype=dtype)


def moved(base: Model, table: dict[str, Any]) -> Model:
    """A model over the tensors of `base`, every number of whose method is another one."""
    model = Model(sharing(base.backbone), base.head)
    apply_method(model, METHODS.make(table, key="method"))
    for name, parameter in list(model.named_parameters()):
        if parameter.requires_grad and not name.startswith("head."):
            place, _, kind = name.rpartition(".")
            other = nn.Parameter(parameter.detach() + 0.3 * torch.randn(parameter.shape))
            model.get_submodule(place).register_parameter(kind, other)
    return model.eval()


def beside(base: Model, model: Model, folder: Path) -> dict[str, Tensor]:
    """What a model holds beside `base`, by way of the files that a run leaves; it is merged."""
    folded = any(isinstance(module, Folded | LowRankTable) for module in model.modules())
    if folded:
        write_adapter(model, folder, base="tiny", problem="token")
    merge(model)
    return learnt_beside(base.backbone, model, adapter=folder if folded else None)


@pytest.fixture(scope="module")
def desk(tiny_bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    task = TASKS.make({"kind": "token_classification", "labels": ["LOC", "PER"], "units": "words"}, key="task")
    backbone = load_backbone(locate(str(tiny_bert_folder)), dropout=0.0)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        for parameter in backbone.parameters():
            parameter.data.add_(torch.randn(parameter.shape), alpha=0.3)
        base = Model(backbone, task.head(backbone)).eval()
        alone = {name: moved(base, table) for name, table in CASES.items()}
    folder = tmp_path_factory.mktemp("adapters")
    states = {name: beside(base, model, folder / str(at)) for at, (name, model) in enumerate(alone.items())}
    return Desk(base, alone, states)


@torch.inference_mode()
@pytest.mark.parametrize("name", CASES)
def test_a_model_answers_in_company_as_it_does_alone(name: str, desk: Desk, random_batch: Callable[..., Any]) -> None:
    shared = desk.shared()
    batch = random_batch((7, 12, 3, 9), segments=True, seed=1)
    expected = desk.alone[name].backbone(batch)
    assert (expected - desk.base.backbone(batch)).abs().max() > 0.01 or name == "head_only", "the method does something"
    company = [Asked(other, random_batch((5, 8), seed=at)) for at, other in enumerate(CASES)]
    for before in (0, 4, len(company)):
        found = shared.read([*company[:before], Asked(name, batch), *company[before:]])[before]
        assert_close(found, expected, rtol=1e-5, atol=1e-5)
    alone = SharedBackbone(shared, name)
    assert_close(alone(batch), expected, rtol=1e-5, atol=1e-5)
    assert_close(alone(batch, embeddings=alone.embed(batch)), expected, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_rows_that_nobody_reads_are_left_out_and_the_others_are_what_they_were(
    desk: Desk, random_batch: Callable[..., Any]
) -> None:
    batches = {name: random_batch((5, 8, 2), seed=at) for at, name in enumerate(CASES)}
    found = desk.shared().read([Asked(name, batch, batch.places) for name, batch in batches.items()])
    for (name, batch), rows in zip(batches.items(), found, strict=True):
        assert_close(rows, desk.alone[name].backbone(batch)[batch.places], rtol=1e-5, atol=1e-5, msg=name)


@torch.inference_mode()
def test_bf16_is_close(desk: Desk, random_batch: Callable[..., Any]) -> None:
    batches = [Asked(name, random_batch((5, 8, 2), seed=at)) for at, name in enumerate(CASES)]
    exact, found = desk.shared().read(batches), desk.shared(torch.bfloat16).read(batches)
    for one, other in zip(exact, found, strict=True):
        assert other.dtype == torch.float32
        assert (one - other).abs().mean() < 0.05 * one.std()


@pytest.mark.parametrize("kind", LARGE)
def test_a_method_that_moves_weights_themselves_leaves_nothing_small(kind: str, desk: Desk, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        model = moved(desk.base, {"kind": kind})
    with pytest.raises(WeightsMoved) as caught:
        beside(desk.base, model, tmp_path)
    assert caught.value.name.startswith("backbone.")
