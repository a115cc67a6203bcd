"""Our names of a backbone's tensors and those of transformers, as one reversible table per family.

A row holds for a module and for every parameter below it; `{}` stands for the layer's number. Tables are data: adding
a family that shares our forward pass means adding its rows.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn

from tunesmith.core.errors import ModelFileError, Place
from tunesmith.core.method import Mergeable
from tunesmith.core.model import Model
from tunesmith.models.additions import Addition
from tunesmith.models.families import decoder_family
from tunesmith.models.hosted import HostedBackbone
from tunesmith.models.hub_config import family_of
from tunesmith.models.vocabulary_head import PretrainedHead

Rows = tuple[tuple[str, str], ...]

_BERT_LAYER: Rows = (
    ("embeddings.words", "embeddings.word_embeddings"),
    ("embeddings.positions", "embeddings.position_embeddings"),
    ("embeddings.segments", "embeddings.token_type_embeddings"),
    ("embeddings.norm", "embeddings.LayerNorm"),
    ("embeddings.project", "embeddings_project"),
    ("layers.{}.attention.query", "encoder.layer.{}.attention.self.query"),
    ("layers.{}.attention.key", "encoder.layer.{}.attention.self.key"),
    ("layers.{}.attention.value", "encoder.layer.{}.attention.self.value"),
    ("layers.{}.attention.output", "encoder.layer.{}.attention.output.dense"),
    ("layers.{}.attention_norm", "encoder.layer.{}.attention.output.LayerNorm"),
    ("layers.{}.feed_forward.up", "encoder.layer.{}.intermediate.dense"),
    ("layers.{}.feed_forward.down", "encoder.layer.{}.output.dense"),
    ("layers.{}.feed_forward_norm", "encoder.layer.{}.output.LayerNorm"),
)
_DISTILBERT_LAYER: Rows = (
    ("embeddings.words", "embeddings.word_embeddings"),
    ("embeddings.positions", "embeddings.position_embeddings"),
    ("embeddings.norm", "embeddings.LayerNorm"),
    ("layers.{}.attention.query", "transformer.layer.{}.attention.q_lin"),
    ("layers.{}.attention.key", "transformer.layer.{}.attention.k_lin"),
    ("layers.{}.attention.value", "transformer.layer.{}.attention.v_lin"),
    ("layers.{}.attention.output", "transformer.layer.{}.attention.out_lin"),
    ("layers.{}.attention_norm", "transformer.layer.{}.sa_layer_norm"),
    ("layers.{}.feed_forward.up", "transformer.layer.{}.ffn.lin1"),
    ("layers.{}.feed_forward.down", "transformer.layer.{}.ffn.lin2"),
    ("layers.{}.feed_forward_norm", "transformer.layer.{}.output_layer_norm"),
)
_GPT2_LAYER: Rows = (
    ("words", "wte"),
    ("positions", "wpe"),
    ("layers.{}.attention_norm", "h.{}.ln_1"),
    ("layers.{}.attention.query", "h.{}.attn.c_attn.query"),
    ("layers.{}.attention.key", "h.{}.attn.c_attn.key"),
    ("layers.{}.attention.value", "h.{}.attn.c_attn.value"),
    ("layers.{}.attention.output", "h.{}.attn.c_proj"),
    ("layers.{}.feed_forward_norm", "h.{}.ln_2"),
    ("layers.{}.feed_forward.up", "h.{}.mlp.c_fc"),
    ("layers.{}.feed_forward.down", "h.{}.mlp.c_proj"),
    ("norm", "ln_f"),
)
"""Query, key and value are one tensor in a file (gpt2.py takes them apart)."""
_LLAMA_LAYER: Rows = (
    ("words", "embed_tokens"),
    ("layers.{}.attention_norm", "layers.{}.input_layernorm"),
    ("layers.{}.attention.query", "layers.{}.self_attn.q_proj"),
    ("layers.{}.attention.key", "layers.{}.self_attn.k_proj"),
    ("layers.{}.attention.value", "layers.{}.self_attn.v_proj"),
    ("layers.{}.attention.output", "layers.{}.self_attn.o_proj"),
    ("layers.{}.feed_forward_norm", "layers.{}.post_attention_layernorm"),
    ("layers.{}.feed_forward.gate", "layers.{}.mlp.gate_proj"),
    ("layers.{}.feed_forward.up", "layers.{}.mlp.up_proj"),
    ("layers.{}.feed_forward.down", "layers.{}.mlp.down_proj"),
    ("norm", "norm"),
)
_QWEN3_LAYER: Rows = (
    *_LLAMA_LAYER,
    ("layers.{}.attention.query_norm", "layers.{}.self_attn.q_norm"),
    ("layers.{}.attention.key_norm", "layers.{}.self_attn.k_norm"),
)
TABLES: Mapping[str, Rows] = {
    "bert": _BERT_LAYER,
    "roberta": _BERT_LAYER,
    "xlm-roberta": _BERT_LAYER,
    "electra": _BERT_LAYER,
    "distilbert": _DISTILBERT_LAYER,
    "gpt2": _GPT2_LAYER,
    "llama": _LLAMA_LAYER,
    "mistral": _LLAMA_LAYER,
    "qwen2": _LLAMA_LAYER,
    "qwen3": _QWEN3_LAYER,
}
"""`model_type` to rows (ours, theirs); names are relative to the encoder."""


def to_hub(name: str, model_type: str) -> str:
    """Their name of our module or parameter, relative to the encoder: `layers.0.attention.query.weight` and the like.

    Raises:
        ModelFileError: no row covers the name.
    """
    return _renamed(name, _patterns(model_type, reverse=False)) or _unknown(name, model_type)


def from_hub(name: str, model_type: str) -> str | None:
    """Our name of their module or parameter (without the family's prefix), or None where no row covers it."""
    return _renamed(name, _patterns(model_type, reverse=True))


def hub_name(model: Model, name: str) -> str:
    """transformers' name, in its class with a head, of our module or parameter `name` of `model`.

    `backbone.layers.0.attention.query` of a BERT is `bert.encoder.layer.0.attention.self.query`.

    Raises:
        ModelFileError: the name belongs to no row of the family's table.
    """
    prefix, inside = _prefix(model), name.removeprefix("backbone.")
    if inside == name:
        own = name.removeprefix("head.")
        if isinstance(model.head, PretrainedHead):
            return model.head.hub_name(own)
        return f"{prefix}.{own}" if own.startswith("pooler.") else own
    match model.backbone:
        case HostedBackbone():
            return f"{prefix}.{inside.removeprefix('encoder.')}"
        case backbone:
            return f"{prefix}.{to_hub(inside, str(backbone.config['model_type']))}"


def bare_name(model: Model, name: str) -> str:
    """transformers' name, in its class without a head, of our module or parameter `name` of the backbone."""
    return hub_name(model, name).removeprefix(f"{_prefix(model)}.")


def hub_state(model: Model) -> dict[str, Tensor]:
    """Every tensor under transformers' names, on the CPU; wrappers are folded in, the model is not changed.

    Additions are left out: transformers has no place for them.
    """
    state: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in _plain_tensors(model, ""):
        plain = tensor.detach().cpu().contiguous()
        state[hub_name(model, name)] = (
            plain.clone() if plain.data_ptr() in seen else plain
        )  # safetensors refuses sharing
        seen.add(plain.data_ptr())
    family = decoder_family(model.backbone.config)
    return family.packed(state) if family else state


def plain_state(model: Model) -> dict[str, Tensor]:
    """Every tensor under our names, with wrappers folded in and additions left out; the model is not changed."""
    return {name: tensor.detach() for name, tensor in _plain_tensors(model, "")}


def load_hub_state(model: Model, state: Mapping[str, Tensor]) -> None:
    """Fill a plain model with exactly the tensors that `hub_state` names.

    Raises:
        ModelFileError: a tensor is missing, unknown, or of another shape or type; the message names it.
    """
    if family := decoder_family(model.backbone.config):
        state = family.unpacked(state)
    own = {hub_name(model, name): tensor for name, tensor in model.state_dict().items()}
    for name in sorted(own.keys() | state.keys()):
        if name not in state or name not in own:
            raise _unfit(name, "missing" if name in own else "not one of this model's")
        wanted, given = own[name], state[name]
        if wanted.shape != given.shape or wanted.dtype != given.dtype:
            raise _unfit(name, f"{given.dtype} {tuple(given.shape)} instead of {wanted.dtype} {tuple(wanted.shape)}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])


def _prefix(model: Model) -> str:
    match model.backbone:
        case HostedBackbone() as hosted:
            return hosted.prefix
        case _:
            family = family_of(model)
            return family.prefix if family else ""


def _plain_tensors(module: nn.Module, name: str) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of the state of a module, with mergeable wrappers replaced by what they fold to."""
    while isinstance(module, Addition | Mergeable):
        module = module.base if isinstance(module, Addition) else module.merged()
    deeper = {child for child, _ in module.named_children()}
    for key, tensor in module.state_dict().items():
        if key.partition(".")[0] not in deeper:
            yield f"{name}{key}", tensor
    for child, inner in module.named_children():
        yield from _plain_tensors(inner, f"{name}{child}.")


def _unfit(tensor: str, what: str) -> ModelFileError:
    return ModelFileError(
        f"the tensor is {what}",
        code="TS-MODEL-025",
        place=Place(file="model.safetensors", key=tensor),
        fix="weights and configuration must come from the same model: write the bundle again.",
    )


def _renamed(name: str, patterns: tuple[tuple[re.Pattern[str], str], ...]) -> str | None:
    for pattern, target in patterns:
        if match := pattern.fullmatch(name):
            return target.format(*match.groups()[:-1]) + match.group("rest")
    return None


@lru_cache(maxsize=16)
def _patterns(model_type: str, *, reverse: bool) -> tuple[tuple[re.Pattern[str], str], ...]:
    rows = TABLES[model_type]
    pairs = [(theirs, ours) if reverse else (ours, theirs) for ours, theirs in rows]
    return tuple(
        (re.compile(re.escape(source).replace(r"\{\}", r"(\d+)") + r"(?P<rest>(?:\..+)?)"), target)
        for source, target in pairs
    )


def _unknown(name: str, model_type: str) -> str:
    raise ModelFileError(
        f"the table of {model_type} has no row for {name}",
        code="TS-MODEL-021",
        fix="merge wrapped modules before saving, or add a row to models/hub_names.py.",
    )
