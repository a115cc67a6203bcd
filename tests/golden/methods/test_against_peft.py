"""Every method that peft has too: from the same weights the same logits and the same gradients, to 1e-5."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS, TASKS
from tunesmith.models.hub_names import hub_name, hub_state
from tunesmith.models.surgery import apply_method

pytestmark = pytest.mark.filterwarnings("ignore")
LENGTHS = (7, 12, 3, 9)
TASK = {"kind": "text_classification", "labels": ["a", "b", "c"], "multi_label": False}
Names = Callable[[Model, str], str]


@pytest.fixture(scope="session")
def peft() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import peft
    return peft


def padded(batch: Any) -> dict[str, Tensor]:
    """What transformers reads."""
    longest = max(batch.lengths)
    ids, mask = torch.zeros(len(batch.lengths), longest, dtype=torch.long), torch.zeros(len(batch.lengths), longest)
    for row, part in enumerate(batch.input_ids.split(batch.lengths)):
        ids[row, : len(part)] = part
        mask[row, : len(part)] = 1
    return {"input_ids": ids, "attention_mask": mask.long()}


def same_start(model: Model, folder: Path, *, headed: bool) -> Any:
    """transformers' model with the weights of ours."""
    from transformers import AutoModel, AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    state = hub_state(model)
    if headed:
        theirs = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3, dtype=torch.float32)
    else:
        theirs = AutoModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32)
        state = {name.removeprefix("bert."): tensor for name, tensor in state.items()}
    missing = theirs.load_state_dict(state, strict=False).missing_keys
    assert not missing
    return theirs.eval()


def stirred(model: Model, scale: float = 0.3) -> None:
    """Parameters that learn become what training might have made of them."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and not name.startswith("head."):
                parameter.add_(torch.randn(parameter.shape, generator=draw) * scale)


def layer(model: Model, name: str) -> str:
    """peft's name of the layer that our parameter updates."""
    return f"base_model.model.{hub_name(model, name.rpartition('.')[0])}"


def low_rank(model: Model, name: str) -> str:
    own = name.rpartition(".")[2]
    return f"{layer(model, name)}.{own}.default.weight"


def decomposed(model: Model, name: str) -> str:
    own = name.rpartition(".")[2]
    return f"{layer(model, name)}.lora_magnitude_vector.default.weight" if own == "magnitude" else low_rank(model, name)


def directions(model: Model, name: str) -> str:
    return f"{layer(model, name)}.{name.rpartition('.')[2]}.default"


def factors(model: Model, name: str) -> str:
    return f"{layer(model, name)}.ia3_l.default"


TARGETS = {"target_modules": ["query", "value"]}
WRAPPED: dict[str, tuple[dict[str, object], str, dict[str, object], Names]] = {
    "lora": ({"kind": "lora", "rank": 4}, "LoraConfig", {"r": 4, "lora_alpha": 16, **TARGETS}, low_rank),
    "rsLoRA": (
        {"kind": "lora", "rank": 4, "rank_stabilized": True},
        "LoraConfig",
        {"r": 4, "lora_alpha": 16, "use_rslora": True, **TARGETS},
        low_rank,
    ),
    "DoRA": (
        {"kind": "lora", "rank": 4, "decomposed": True},
        "LoraConfig",
        {"r": 4, "lora_alpha": 16, "use_dora": True, **TARGETS},
        decomposed,
    ),
    "AdaLoRA": (
        {"kind": "adalora", "rank": 6, "target_rank": 3, "alpha": 9.0, "targets": ["query", "value"]},
        "AdaLoraConfig",
        {"init_r": 6, "target_r": 3, "lora_alpha": 9, "total_step": 100, "orth_reg_weight": 0.5, **TARGETS},
        directions,
    ),
    "IA3": (
        {"kind": "ia3"},
        "IA3Config",
        {
            "target_modules": r".*(key|value|layer\.\d+\.output\.dense)",
            "feedforward_modules": r".*layer\.\d+\.output\.dense",
        },
        factors,
    ),
}


@pytest.mark.parametrize("case", WRAPPED)
def test_layers_with_an_update(
    case: str,
    peft: Any,
    tiny_model: Callable[..., Model],
    tiny_bert_folder: Path,
    random_batch: Callable[..., Any],
) -> None:
    table, kind, options, named = WRAPPED[case]
    model = tiny_model(TASKS.make(TASK, key="task")).eval()
    theirs = peft.get_peft_model(
        same_start(model, tiny_bert_folder, headed=True), getattr(peft, kind)(task_type="SEQ_CLS", **options)
    ).eval()
    apply_method(model, METHODS.make(table, key="method"))
    stirred(model)
    own = {name: p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("head.")}
    other = dict(theirs.named_parameters())
    names = {name: named(model, name) for name in own}
    assert {n for n, p in other.items() if p.requires_grad and "modules_to_save" not in n} == set(names.values())
    with torch.no_grad():
        for name, parameter in own.items():
            other[names[name]].copy_(parameter.view_as(other[names[name]]))
    batch = random_batch(LENGTHS)
    logits, expected = model(batch).logits, theirs(**padded(batch)).logits
    assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    logits.square().sum().backward()
    expected.square().sum().backward()
    for name, parameter in own.items():
        assert_close(parameter.grad, other[names[name]].grad.view_as(parameter), rtol=1e-5, atol=1e-5)


def test_principal_directions_at_the_start(
    peft: Any, tiny_model: Callable[..., Model], tiny_bert_folder: Path, random_batch: Callable[..., Any]
) -> None:
    model = tiny_model(TASKS.make(TASK, key="task")).eval()
    config = peft.LoraConfig(task_type="SEQ_CLS", r=4, lora_alpha=8, init_lora_weights="pissa", **TARGETS)
    theirs = peft.get_peft_model(same_start(model, tiny_bert_folder, headed=True), config).eval()
    batch = random_batch(LENGTHS)
    before = model(batch).logits
    apply_method(model, METHODS.make({"kind": "lora", "rank": 4, "alpha": 8.0, "start": "principal"}, key="method"))
    assert_close(model(batch).logits, before, rtol=1e-5, atol=1e-5)
    for number in (0, 1):
        own: Any = model.get_submodule(f"backbone.layers.{number}.attention.query")
        other = theirs.get_submodule(f"base_model.model.bert.encoder.layer.{number}.attention.self.query")
        assert_close(own.lora_B @ own.lora_A, other.lora_B.default.weight @ other.lora_A.default.weight)
        assert_close(own.base.weight, other.base_layer.weight, rtol=1e-5, atol=1e-6)
        assert_close(own.lora_A.norm(dim=1), other.lora_A.default.weight.norm(dim=1))


@pytest.mark.parametrize("projected", [False, True])
def test_prefixes(
    projected: bool,
    peft: Any,
    tiny_model: Callable[..., Model],
    tiny_bert_folder: Path,
    random_batch: Callable[..., Any],
) -> None:
    model = tiny_model(TASKS.make(TASK, key="task")).eval()
    config = peft.PrefixTuningConfig(
        task_type="SEQ_CLS", num_virtual_tokens=5, prefix_projection=projected, encoder_hidden_size=8
    )
    theirs = peft.get_peft_model(same_start(model, tiny_bert_folder, headed=True), config).eval()
    apply_method(
        model, METHODS.make({"kind": "prefix", "length": 5, "projected": projected, "hidden": 8}, key="method")
    )
    stirred(model, 1.0)
    own = {name: p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("head.")}
    encoder = theirs.prompt_encoder["default"]
    cores = [f"backbone.layers.{number}.attention.core." for number in (0, 1)]

    def of_peft(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Ours in peft's places: keys and values of the layers side by side."""
        if not projected:
            parts = [values[f"{core}{part}"] for core in cores for part in ("keys", "values")]
            return {"embedding.weight": torch.cat(parts, 1)}
        trunk = f"{cores[0]}trunk."
        return {
            "embedding.weight": values[f"{trunk}embedding"],
            "transform.0.weight": values[f"{trunk}weight"],
            "transform.0.bias": values[f"{trunk}bias"],
            "transform.2.weight": torch.cat([values[f"{core}own_weight"] for core in cores]),
            "transform.2.bias": torch.cat([values[f"{core}own_bias"] for core in cores]),
        }

    encoder.load_state_dict(of_peft({name: p.detach() for name, p in own.items()}))
    batch = random_batch(LENGTHS)
    logits, expected = model(batch).logits, theirs(**padded(batch)).logits
    assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    logits.square().sum().backward()
    expected.square().sum().backward()
    gradients = of_peft({name: p.grad for name, p in own.items() if p.grad is not None})
    for name, parameter in encoder.named_parameters():
        assert_close(gradients[name], parameter.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("network", ["none", "mlp", "lstm"])
def test_prompts(
    network: str,
    peft: Any,
    tiny_model: Callable[..., Model],
    tiny_bert_folder: Path,
    random_batch: Callable[..., Any],
) -> None:
    """Hidden states of all tokens: peft's class for sequences reads the first row of the prompt, not of the text."""
    model = tiny_model(TASKS.make(TASK, key="task")).eval()
    made = {"encoder_hidden_size": 8, "encoder_reparameterization_type": network.upper()}
    kind, more = ("PromptTuningConfig", {}) if network == "none" else ("PromptEncoderConfig", made)
    config = getattr(peft, kind)(task_type="FEATURE_EXTRACTION", num_virtual_tokens=5, **more)
    theirs = peft.get_peft_model(same_start(model, tiny_bert_folder, headed=False), config).eval()
    apply_method(
        model, METHODS.make({"kind": "soft_prompt", "length": 5, "network": network, "hidden": 8}, key="method")
    )
    stirred(model)
    names = {"backbone.prompt.rows": "embedding.weight"}
    parameters, others = dict(model.named_parameters()), dict(theirs.prompt_encoder["default"].named_parameters())
    linear = {"none": (), "mlp": ("first", "second", "third"), "lstm": ("second", "third")}[network]
    for number, own in enumerate(linear):
        parts = ("weight", "bias")
        names |= {f"backbone.prompt.network.{own}.{part}": f"mlp_head.{2 * number}.{part}" for part in parts}
    names |= {f"backbone.prompt.network.lstm.{place[10:]}": place for place in others if place.startswith("lstm_head.")}
    assert names.keys() == {n for n, p in parameters.items() if p.requires_grad and not n.startswith("head.")}
    assert set(names.values()) == others.keys()
    with torch.no_grad():
        for own, place in names.items():
            others[place].copy_(parameters[own])
    batch = random_batch(LENGTHS)
    hidden = model.backbone(batch)
    states = theirs(**padded(batch)).last_hidden_state[:, 5:]
    expected = torch.cat([row[:length] for row, length in zip(states, LENGTHS, strict=True)])
    assert_close(hidden, expected, rtol=1e-5, atol=1e-5)
    weight = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(2))
    (hidden * weight).sum().backward()
    (expected * weight).sum().backward()
    for own, place in names.items():
        assert_close(parameters[own].grad, others[place].grad, rtol=1e-4, atol=1e-5)


def test_directions_that_are_cut(peft: Any, tiny_model: Callable[..., Model], tiny_bert_folder: Path) -> None:
    """The same gradients for 15 updates: the same directions of all layers are left after each of them."""
    total, rank = 20, 6
    model = tiny_model(TASKS.make(TASK, key="task")).eval()
    config = peft.AdaLoraConfig(
        task_type="SEQ_CLS", init_r=rank, target_r=2, total_step=total, tinit=2, tfinal=4, deltaT=1, **TARGETS
    )
    theirs = peft.get_peft_model(same_start(model, tiny_bert_folder, headed=True), config)
    table = {"kind": "adalora", "rank": rank, "target_rank": 2, "targets": ["query", "value"], "every": 1}
    method = METHODS.make(table | {"begin": 2 / total, "end": (total - 4) / total}, key="method")
    apply_method(model, method)
    stirred(model)
    guide: Any = method.guide(model)
    own = {name: p.detach() for name, p in model.named_parameters() if "lora_" in name}
    other = dict(theirs.named_parameters())
    draw = torch.Generator().manual_seed(3)
    for step in range(1, total - 4):
        gradients = {name: torch.randn(value.shape, generator=draw) for name, value in own.items()}
        for name, value in own.items():
            value.add_(gradients[name], alpha=-0.01)
            there = other[directions(model, name)]
            there.data.copy_(value.view_as(there))
            there.grad = gradients[name].view_as(there).clone()
        theirs.base_model.rankallocator.update_and_allocate(theirs.base_model.model, step)
        guide.after_update(own, gradients, done=step / total)
        for name, value in own.items():
            assert torch.equal(value, other[directions(model, name)].data.view_as(value)), (step, name)
    cut = sum(int((value == 0).sum()) for name, value in own.items() if name.endswith("lora_E"))
    assert 4 * (rank - 2) - 2 <= cut <= 4 * (rank - 2)


def test_what_holds_directions_orthogonal(peft: Any, tiny_model: Callable[..., Model], tiny_bert_folder: Path) -> None:
    model = tiny_model(TASKS.make(TASK, key="task")).eval()
    config = peft.AdaLoraConfig(
        task_type="SEQ_CLS", init_r=6, target_r=3, total_step=20, orth_reg_weight=0.7, **TARGETS
    )
    theirs = peft.get_peft_model(same_start(model, tiny_bert_folder, headed=True), config).eval()
    table = {"kind": "adalora", "rank": 6, "target_rank": 3, "targets": ["query", "value"], "orthogonality": 0.7}
    method = METHODS.make(table, key="method")
    apply_method(model, method)
    stirred(model)
    own = {name: p.detach() for name, p in model.named_parameters() if "lora_" in name}
    other = dict(theirs.named_parameters())
    with torch.no_grad():
        for name, value in own.items():
            other[directions(model, name)].copy_(value.view_as(other[directions(model, name)]))
    asked = {"input_ids": torch.tensor([[2, 7, 8, 3]]), "labels": torch.tensor([1])}
    theirs(**asked).loss.backward()
    with_term = {name: other[directions(model, name)].grad.clone() for name in own}
    theirs.zero_grad()
    config.orth_reg_weight = 0.0
    theirs(**asked).loss.backward()
    guide: Any = method.guide(model)
    pulled = guide.pull(own)
    assert {name for name in own if not name.endswith("lora_E")} == pulled.keys()
    for name, gradient in pulled.items():
        there = other[directions(model, name)]
        assert_close(gradient.view_as(there), with_term[name] - there.grad, rtol=1e-4, atol=1e-5)
