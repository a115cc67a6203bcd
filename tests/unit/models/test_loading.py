"""Checkpoints as the world writes them, and damaged ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tunesmith.core.batch import Batch
from tunesmith.core.errors import ModelFileError
from tunesmith.core.model import Backbone, Model
from tunesmith.models.checkpoint import locate
from tunesmith.models.encoder import Encoder
from tunesmith.models.heads import sequence_head
from tunesmith.models.loading import build_backbone, load_backbone

Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]


@pytest.fixture
def rewritten(tiny_bert_folder: Path, tmp_path: Path) -> Callable[[Change], Path]:
    """A copy of the tiny folder with other tensors."""

    def write(change: Change) -> Path:
        folder = Path(shutil.copytree(tiny_bert_folder, tmp_path / "model"))
        save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors")
        return folder

    return write


def same(first: Backbone, second: Backbone) -> bool:
    other = second.state_dict()
    return all(torch.equal(tensor, other[name]) for name, tensor in first.state_dict().items())


def renamed(old: str, new: str) -> Change:
    return lambda tensors: {name.replace(old, new): tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: {f"bert.{name}": tensor for name, tensor in tensors.items()},
        renamed("LayerNorm.weight", "LayerNorm.gamma"),
        renamed("LayerNorm.bias", "LayerNorm.beta"),
        lambda tensors: tensors | {"cls.predictions.bias": torch.zeros(3), "embeddings.position_ids": torch.arange(64)},
        lambda tensors: tensors | {"classifier.weight": torch.zeros(7, 16)},
    ],
    ids=["prefix", "gamma", "beta", "language model", "another head"],
)
def test_names_of_every_age_and_foreign_heads_load_alike(
    change: Change, rewritten: Callable[[Change], Path], tiny_backbone: Backbone
) -> None:
    assert same(load_backbone(locate(str(rewritten(change))), dropout=0.0), tiny_backbone)


def test_half_precision_on_disk_becomes_fp32(rewritten: Callable[[Change], Path]) -> None:
    folder = rewritten(lambda tensors: {name: tensor.half() for name, tensor in tensors.items()})
    assert {parameter.dtype for parameter in load_backbone(locate(str(folder))).parameters()} == {torch.float32}


def test_shards_load_like_one_file(tiny_bert_folder: Path, tmp_path: Path, tiny_backbone: Backbone) -> None:
    folder = Path(shutil.copytree(tiny_bert_folder, tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = [dict(list(tensors.items())[:9]), dict(list(tensors.items())[9:])]
    places = {}
    for index, part in enumerate(parts):
        save_file(part, folder / f"model-{index}.safetensors")
        places |= dict.fromkeys(part, f"model-{index}.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    assert same(load_backbone(locate(str(folder)), dropout=0.0), tiny_backbone)


WEIGHT = "encoder.layer.0.output.dense.weight"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda tensors: {name: tensor for name, tensor in tensors.items() if name != WEIGHT}, WEIGHT),
        (lambda tensors: tensors | {WEIGHT: torch.zeros(3, 3)}, WEIGHT),
        (lambda tensors: tensors | {WEIGHT: torch.full((16, 32), torch.nan)}, WEIGHT),
        (lambda tensors: tensors | {"encoder.layer.0.extra.weight": torch.zeros(1)}, "encoder.layer.0.extra.weight"),
        (lambda tensors: tensors | {WEIGHT.replace("0", "2"): torch.zeros(16, 32)}, WEIGHT.replace("0", "2")),
        (lambda tensors: tensors | {f"bert.{WEIGHT}": torch.zeros(16, 32)}, WEIGHT),
    ],
    ids=["missing", "wrong shape", "not finite", "unknown", "one layer too many", "twice"],
)
def test_a_wrong_tensor_is_named(change: Change, named: str, rewritten: Callable[[Change], Path]) -> None:
    with pytest.raises(ModelFileError, match="TS-MODEL-023") as caught:
        load_backbone(locate(str(rewritten(change))))
    assert named in caught.value.message


@pytest.mark.parametrize("damage", [b"", b"\xff" * 64, b"\x10" + b"\0" * 7 + b"not a header...."])
def test_damaged_weights_are_refused(damage: bytes, tiny_bert_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_bert_folder, tmp_path / "model"))
    (folder / "model.safetensors").write_bytes(damage)
    with pytest.raises(ModelFileError, match="TS-MODEL-022"):
        load_backbone(locate(str(folder)))


@pytest.mark.parametrize(
    "entry", [{"hidden_size": "16"}, {"hidden_act": "exec"}, {"layer_norm_eps": True}, {"vocab_size": -1}]
)
def test_a_fact_of_a_wrong_kind_is_refused_at_its_key(entry: dict[str, object], tiny_backbone: Backbone) -> None:
    with pytest.raises(ModelFileError, match="TS-MODEL-020") as caught:
        build_backbone(dict(tiny_backbone.config) | entry)
    assert caught.value.place is not None and caught.value.place.key == next(iter(entry))


def test_the_dropout_override_replaces_every_probability(tiny_bert_folder: Path) -> None:
    backbone = load_backbone(locate(str(tiny_bert_folder)), dropout=0.3)
    assert isinstance(backbone, Encoder)
    assert {backbone.shape.dropout, backbone.shape.attention_dropout, backbone.shape.head_dropout} == {0.3}


def test_the_pooler_of_the_checkpoint_is_used_and_a_missing_one_begins_fresh(
    tiny_bert_folder: Path, tmp_path: Path
) -> None:
    backbone = load_backbone(locate(str(tiny_bert_folder)))
    model = Model(backbone, sequence_head(backbone, 2))
    stored = load_file(tiny_bert_folder / "model.safetensors")
    assert torch.equal(model.head.get_parameter("pooler.dense.weight"), stored["pooler.dense.weight"])
    folder = Path(shutil.copytree(tiny_bert_folder, tmp_path / "model"))
    save_file({k: v for k, v in stored.items() if "pooler" not in k}, folder / "model.safetensors")
    bare = load_backbone(locate(str(folder)))
    fresh = Model(bare, sequence_head(bare, 2)).head.get_parameter("pooler.dense.weight")
    assert fresh.std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("kind", ["t5", "no-such-model"])
def test_what_is_no_text_encoder_is_refused(kind: str) -> None:
    with pytest.raises(ModelFileError, match="TS-MODEL-024"):
        build_backbone({"model_type": kind, "d_model": 8, "hidden_size": 12, "num_layers": 1, "num_hidden_layers": 1})


def test_gradients_are_the_same_with_gradient_checkpointing(
    tiny_bert_folder: Path, random_batch: Callable[..., Batch]
) -> None:
    batch, gradients = random_batch((5, 9, 2)), []
    for on in (False, True):
        backbone = load_backbone(locate(str(tiny_bert_folder))).train()
        backbone.gradient_checkpointing = on
        torch.manual_seed(0)
        backbone(batch).square().sum().backward()
        gradients.append([parameter.grad for parameter in backbone.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_windows_do_not_see_each_other_and_order_does_not_matter(
    tiny_backbone: Backbone, random_batch: Callable[..., Batch]
) -> None:
    tiny_backbone.eval()
    batch = random_batch((5, 30, 2, 11), segments=True)
    together = tiny_backbone(batch).split(batch.lengths)
    for index, ids in enumerate(batch.input_ids.split(batch.lengths)):
        one = random_batch((len(ids),), segments=True)
        one.input_ids.copy_(ids)
        torch.testing.assert_close(tiny_backbone(one), together[index], atol=1e-5, rtol=1e-5)


def test_bfloat16_weights_give_nearly_the_same_hidden_states(
    tiny_backbone: Backbone, random_batch: Callable[..., Batch]
) -> None:
    batch = random_batch((5, 30, 2))
    full = tiny_backbone(batch)
    low = tiny_backbone.to(torch.bfloat16)(batch)
    low.float().sum().backward()
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), full, atol=0.1, rtol=0.1)


@pytest.mark.parametrize(
    "change, what",
    [
        (lambda tensors: tensors | {"pooler.dense.weight": torch.zeros(8, 8)}, "shape"),
        (lambda tensors: tensors | {"pooler.dense.bias": tensors["pooler.dense.bias"] * float("nan")}, "not finite"),
    ],
)
def test_a_pooler_that_does_not_fit_is_refused_by_name(
    change: Change, what: str, rewritten: Callable[[Change], Path]
) -> None:
    with pytest.raises(ModelFileError, match=rf"pooler\.dense\.\w+ is .*{what}"):
        load_backbone(locate(str(rewritten(change))))


@pytest.mark.parametrize(
    "key, value", [("num_attention_heads", 3), ("num_attention_heads", 0), ("vocab_size", 2**31 - 1)]
)
def test_sizes_that_no_encoder_has_are_refused(key: str, value: int) -> None:
    with pytest.raises(ModelFileError, match="is not a s"):
        build_backbone({"model_type": "bert", "hidden_size": 16, key: value})


@pytest.mark.parametrize("key", ["_attn_implementation", "_attn_implementation_internal", "auto_map", "kernel_config"])
def test_a_configuration_that_names_code_is_refused_before_transformers_sees_it(key: str) -> None:
    with pytest.raises(ModelFileError, match="can make a loader run code") as caught:
        build_backbone({"model_type": "albert", key: "stranger/kernel"})
    assert caught.value.place is not None and caught.value.place.key == key
