"""Adapters go both ways between peft and us, with equal logits; what cannot be folded is refused by name."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from tunesmith.core.errors import MissingInputError, ModelFileError
from tunesmith.core.method import Method
from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS, TASKS
from tunesmith.core.task import Task
from tunesmith.methods._low_rank import LowRank
from tunesmith.methods._peft_files import CONFIG, WEIGHTS, fold_adapter, in_peft_files, read_adapter, write_adapter
from tunesmith.methods.full import Full
from tunesmith.methods.lora import Lora
from tunesmith.models.hub_config import Problem
from tunesmith.models.surgery import apply_method, merge

LENGTHS = (7, 12, 3)


@pytest.fixture
def sequence_task() -> Task:
    return TASKS.make({"kind": "text_classification", "labels": ["a", "b", "c"], "multi_label": False}, key="task")


@pytest.fixture
def wrapped(tiny_model: Callable[..., Model], sequence_task: Task) -> Model:
    """A model under LoRA whose update is not zero."""
    return stirred(tiny_model(sequence_task), Lora(rank=4, targets=["query", "value", "down"]))


def stirred(model: Model, method: Method) -> Model:
    apply_method(model, method)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.2)
    return model.eval()


def padded(batch: Any) -> dict[str, torch.Tensor]:
    """What transformers reads."""
    longest = max(batch.lengths)
    ids, mask = torch.zeros(len(batch.lengths), longest, dtype=torch.long), torch.zeros(len(batch.lengths), longest)
    for row, part in enumerate(batch.input_ids.split(batch.lengths)):
        ids[row, : len(part)] = part
        mask[row, : len(part)] = 1
    return {"input_ids": ids, "attention_mask": mask.long()}


@pytest.fixture(scope="session")
def peft() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import peft
    return peft


def hub_model(folder: Path, *, tokens: bool = False) -> Any:
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    auto = AutoModelForTokenClassification if tokens else AutoModelForSequenceClassification
    return auto.from_pretrained(folder, num_labels=3, dtype=torch.float32).eval()


@pytest.mark.filterwarnings("ignore")
def test_peft_opens_our_adapter_with_equal_logits(
    peft: Any, wrapped: Model, tiny_bert_folder: Path, tmp_path: Path, random_batch: Callable[..., Any]
) -> None:
    batch = random_batch(LENGTHS)
    write_adapter(wrapped, tmp_path, base=str(tiny_bert_folder), problem="single_label")
    theirs = peft.PeftModel.from_pretrained(hub_model(tiny_bert_folder), tmp_path).eval()
    assert_close(theirs(**padded(batch)).logits, wrapped(batch).logits, rtol=1e-5, atol=1e-5)
    updated = [name for name, module in theirs.named_modules() if name.endswith("lora_A.default")]
    assert len(updated) == 6


@pytest.mark.filterwarnings("ignore")
def test_peft_opens_our_adapter_for_tokens(
    peft: Any,
    tiny_model: Callable[..., Model],
    tiny_bert_folder: Path,
    tmp_path: Path,
    random_batch: Callable[..., Any],
) -> None:
    task = TASKS.make({"kind": "token_classification", "labels": ["X"]}, key="task")
    model = stirred(tiny_model(task), Lora())
    batch = random_batch(LENGTHS)
    write_adapter(model, tmp_path, base=str(tiny_bert_folder), problem="token")
    theirs = peft.PeftModel.from_pretrained(hub_model(tiny_bert_folder, tokens=True), tmp_path).eval()
    logits = theirs(**padded(batch)).logits[:, 0]
    assert_close(logits, model(batch).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["lora", "prefix"])
def test_peft_opens_our_adapter_for_questions(
    kind: str,
    peft: Any,
    tiny_model: Callable[..., Model],
    tiny_bert_folder: Path,
    tmp_path: Path,
    random_batch: Callable[..., Any],
) -> None:
    from transformers import AutoModelForQuestionAnswering

    hub_model(tiny_bert_folder)  # it silences transformers
    model = stirred(tiny_model(TASKS.make("extractive_qa", key="task")), METHODS.make(kind, key="method"))
    batch = random_batch(LENGTHS)
    write_adapter(model, tmp_path, base=str(tiny_bert_folder), problem="answer")
    base = AutoModelForQuestionAnswering.from_pretrained(tiny_bert_folder, dtype=torch.float32).eval()
    theirs = peft.PeftModel.from_pretrained(base, tmp_path).eval()(**padded(batch))
    logits = torch.stack((theirs.start_logits[:, 0], theirs.end_logits[:, 0]), -1)
    assert_close(logits, model(batch).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", [{}, {"use_rslora": True, "target_modules": r".*layer.*\.dense"}], ids=str)
def test_we_open_an_adapter_of_peft_with_equal_logits(
    peft: Any,
    options: dict[str, Any],
    sequence_task: Task,
    tiny_model: Callable[..., Model],
    tiny_bert_folder: Path,
    tmp_path: Path,
    random_batch: Callable[..., Any],
) -> None:
    batch = random_batch(LENGTHS)
    config = peft.LoraConfig(
        **({"task_type": "SEQ_CLS", "r": 3, "lora_alpha": 7, "init_lora_weights": False, "lora_dropout": 0.1} | options)
    )
    torch.manual_seed(0)
    theirs = peft.get_peft_model(hub_model(tiny_bert_folder), config).eval()
    theirs.save_pretrained(tmp_path)
    model = tiny_model(sequence_task, seed=3).eval()
    read_adapter(model, tmp_path)
    assert_close(model(batch).logits, theirs(**padded(batch)).logits, rtol=1e-5, atol=1e-5)


OWN: dict[str, dict[str, object]] = {
    "rank stabilised": {"kind": "lora", "rank": 4, "rank_stabilized": True, "targets": ["query", "down"]},
    "words": {"kind": "lora", "rank": 4, "targets": ["words", "up"]},
    "decomposed": {"kind": "lora", "rank": 4, "decomposed": True},
    "principal": {"kind": "lora", "rank": 4, "alpha": 8.0, "start": "principal"},
    "adalora": {"kind": "adalora", "rank": 4, "target_rank": 2},
    "ia3": {"kind": "ia3"},
    "prefix": {"kind": "prefix", "length": 3},
    "projected prefix": {"kind": "prefix", "length": 3, "projected": True, "hidden": 8},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", OWN)
def test_what_other_methods_learnt_goes_to_peft_and_comes_back(
    kind: str,
    peft: Any,
    sequence_task: Task,
    tiny_model: Callable[..., Model],
    tiny_bert_folder: Path,
    tmp_path: Path,
    random_batch: Callable[..., Any],
) -> None:
    batch = random_batch(LENGTHS)
    model = stirred(tiny_model(sequence_task), METHODS.make(OWN[kind], key="method"))
    write_adapter(model, tmp_path, base=str(tiny_bert_folder), problem="single_label")
    theirs = peft.PeftModel.from_pretrained(hub_model(tiny_bert_folder), tmp_path).eval()
    assert_close(theirs(**padded(batch)).logits, model(batch).logits, rtol=1e-5, atol=1e-5)
    again = tiny_model(sequence_task, seed=3).eval()
    read_adapter(again, tmp_path)
    assert_close(again(batch).logits, model(batch).logits, rtol=1e-5, atol=1e-5)
    theirs.save_pretrained(tmp_path / "theirs")
    back = tiny_model(sequence_task, seed=4).eval()
    read_adapter(back, tmp_path / "theirs")
    assert_close(back(batch).logits, model(batch).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("problem", ["vectors", "matching", "joint", "language"])
@pytest.mark.parametrize("kind", ["words", "adalora", "ia3", "prefix"])
def test_where_no_class_has_such_a_head_it_is_an_adapter_of_the_backbone(
    kind: str,
    problem: Problem,
    peft: Any,
    sequence_task: Task,
    tiny_model: Callable[..., Model],
    tiny_bert_folder: Path,
    tmp_path: Path,
    random_batch: Callable[..., Any],
) -> None:
    batch = random_batch(LENGTHS)
    model = stirred(tiny_model(sequence_task), METHODS.make(OWN[kind], key="method"))
    assert in_peft_files(model, problem)
    write_adapter(model, tmp_path, base=str(tiny_bert_folder), problem=problem)
    base = transformers.AutoModel.from_pretrained(tiny_bert_folder, dtype=torch.float32)
    states = peft.PeftModel.from_pretrained(base, tmp_path).eval()(**padded(batch)).last_hidden_state
    hidden = torch.cat([row[:length] for row, length in zip(states, LENGTHS, strict=True)])
    assert_close(hidden, model.backbone(batch), rtol=1e-5, atol=1e-5)
    again = tiny_model(sequence_task, seed=3).eval()
    head = {name: tensor.clone() for name, tensor in again.head.state_dict().items()}
    read_adapter(again, tmp_path)
    assert_close(again.backbone(batch), hidden, rtol=1e-5, atol=1e-5)
    assert all(torch.equal(tensor, head[name]) for name, tensor in again.head.state_dict().items())
    if kind != "prefix":
        folded = tiny_model(sequence_task, seed=3).eval().backbone
        fold_adapter(folded, tmp_path, fingerprint="none is in the files")
        assert_close(folded(batch), hidden, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("network", ["none", "mlp", "lstm"])
def test_prompts_for_tokens_go_to_peft_and_come_back(
    network: str,
    peft: Any,
    tiny_model: Callable[..., Model],
    tiny_bert_folder: Path,
    tmp_path: Path,
    random_batch: Callable[..., Any],
) -> None:
    task = TASKS.make({"kind": "token_classification", "labels": ["X"]}, key="task")
    method = METHODS.make({"kind": "soft_prompt", "length": 3, "network": network, "hidden": 8}, key="method")
    model = stirred(tiny_model(task), method)
    batch = random_batch(LENGTHS)
    write_adapter(model, tmp_path, base=str(tiny_bert_folder), problem="token")
    theirs = peft.PeftModel.from_pretrained(hub_model(tiny_bert_folder, tokens=True), tmp_path).eval()
    assert_close(theirs(**padded(batch)).logits[:, 3], model(batch).logits, rtol=1e-5, atol=1e-5)
    again = tiny_model(task, seed=3).eval()
    read_adapter(again, tmp_path)
    assert_close(again(batch).logits, model(batch).logits, rtol=1e-5, atol=1e-5)


def test_a_prompt_for_sequences_does_not_travel(
    sequence_task: Task, tiny_model: Callable[..., Model], tmp_path: Path
) -> None:
    model = stirred(tiny_model(sequence_task), METHODS.make("soft_prompt", key="method"))
    assert not in_peft_files(model, "single_label") and in_peft_files(model, "token")
    with pytest.raises(ModelFileError, match="nothing that peft has a name for"):
        write_adapter(model, tmp_path, base="base", problem="single_label")


def test_what_was_written_is_read_again(
    wrapped: Model,
    sequence_task: Task,
    tiny_model: Callable[..., Model],
    tmp_path: Path,
    random_batch: Callable[..., Any],
) -> None:
    write_adapter(wrapped, tmp_path, base="base", problem="single_label")
    batch = random_batch(LENGTHS)
    plain = tiny_model(sequence_task, seed=3).eval()
    read_adapter(plain, tmp_path)
    assert torch.equal(plain(batch).logits, wrapped(batch).logits)
    prepared = tiny_model(sequence_task, seed=4).eval()
    apply_method(prepared, Lora(rank=2))
    read_adapter(prepared, tmp_path)
    assert torch.equal(prepared(batch).logits, wrapped(batch).logits)
    merge(prepared)
    assert not any(isinstance(module, LowRank) for module in prepared.modules())


def test_a_model_without_updates_has_no_adapter(
    sequence_task: Task, tiny_model: Callable[..., Model], tmp_path: Path
) -> None:
    model = tiny_model(sequence_task)
    apply_method(model, Full())
    with pytest.raises(ModelFileError, match="nothing that peft has a name for"):
        write_adapter(model, tmp_path, base="base", problem="single_label")


@pytest.fixture
def adapter(wrapped: Model, tmp_path: Path) -> Path:
    write_adapter(wrapped, tmp_path / "adapter", base="base", problem="single_label")
    return tmp_path / "adapter"


def test_a_missing_file_is_named(adapter: Path, wrapped: Model) -> None:
    (adapter / WEIGHTS).unlink()
    with pytest.raises(MissingInputError, match=WEIGHTS):
        read_adapter(wrapped, adapter)


@pytest.mark.parametrize(
    "key, value",
    [
        ("peft_type", "VERA"),
        ("bias", "all"),
        ("init_lora_weights", "pissa"),
        ("alpha_pattern", {"que.*": 3}),
        ("r", "8"),
        ("lora_alpha", 0),
    ],
)
def test_what_cannot_be_folded_is_refused_at_its_key(adapter: Path, wrapped: Model, key: str, value: object) -> None:
    config = json.loads((adapter / CONFIG).read_text("utf-8")) | {key: value}
    (adapter / CONFIG).write_text(json.dumps(config), "utf-8")
    with pytest.raises(ModelFileError) as caught:
        read_adapter(wrapped, adapter)
    assert caught.value.place is not None
    assert caught.value.place.key == key


def renamed(name: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda tensors: {key.replace("layer.1", name): tensor for key, tensor in tensors.items()}


@pytest.mark.parametrize(
    "change, message",
    [
        (renamed("layer.7"), "not of a layer that this model has"),
        (lambda t: {k: v for k, v in t.items() if "layer.0.attention.self.query.lora_B" not in k}, "half an update"),
        (lambda t: {k: v for k, v in t.items() if "classifier" not in k}, "without its head"),
        (lambda t: {k: v[:2] if "classifier" in k else v for k, v in t.items()}, "instead of"),
        (lambda t: {k: v[:, :8] if "lora_A" in k else v for k, v in t.items()}, "instead of"),
        (lambda t: {k: v[:0] if "lora_A" in k else v for k, v in t.items()}, "empty"),
        (lambda t: {k: v.sum() if "lora_B" in k else v for k, v in t.items()}, "empty"),
        (lambda t: {k: v * float("nan") if "lora_B" in k else v for k, v in t.items()}, "not finite"),
    ],
)
def test_tensors_of_another_model_are_refused_by_name(
    adapter: Path, wrapped: Model, change: Callable[..., Any], message: str
) -> None:
    tensors = change(load_file(adapter / WEIGHTS))
    shutil.rmtree(adapter / WEIGHTS, ignore_errors=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, adapter / WEIGHTS)
    before = {name: tensor.clone() for name, tensor in wrapped.state_dict().items()}
    with pytest.raises(ModelFileError, match=message):
        read_adapter(wrapped, adapter)
    assert all(torch.equal(tensor, before[name]) for name, tensor in wrapped.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"r": NaN}', b"\xff"])
def test_a_damaged_configuration_is_refused(adapter: Path, wrapped: Model, content: bytes) -> None:
    (adapter / CONFIG).write_bytes(content)
    with pytest.raises(ModelFileError):
        read_adapter(wrapped, adapter)
