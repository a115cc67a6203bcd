"""From a checkpoint on disk to a backbone in memory: strict in what must be there, explicit in what is left out."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tunesmith.core.errors import ModelFileError, Place
from tunesmith.core.finite import is_finite
from tunesmith.core.model import Backbone
from tunesmith.models.checkpoint import Checkpoint
from tunesmith.models.decoder import Decoder
from tunesmith.models.decoder_shape import DecoderFamily
from tunesmith.models.encoder import Encoder
from tunesmith.models.families import FAMILIES, decoder_family
from tunesmith.models.hosted import HostedBackbone
from tunesmith.models.hosted_class import ClassTensors, as_the_class_has_them
from tunesmith.models.hub_names import from_hub, to_hub
from tunesmith.models.language_head import LANGUAGE_HEAD
from tunesmith.models.masked_head import MASKED_NAMES
from tunesmith.models.shape import Family
from tunesmith.models.weights import read_tensors

_OTHER_HEADS = frozenset(
    (
        "classifier",
        "cls",
        "dense",
        "discriminator_predictions",
        "embed_out",
        "generator_lm_head",
        "generator_predictions",
        "lm_head",
        "lm_predictions",
        "mlm",
        "out_proj",
        "pooler",
        "pre_classifier",
        "predictions",
        "qa_outputs",
        "score",
        "sequence_summary",
        "sop_classifier",
        "vocab_layer_norm",
        "vocab_projector",
        "vocab_transform",
    )
)
"""First parts of the names of heads that pretraining or another task left in a file."""
_POOLER = frozenset(("pooler.dense.weight", "pooler.dense.bias"))
_BUFFERS = frozenset(("embeddings.position_ids", "embeddings.token_type_ids"))


def load_backbone(checkpoint: Checkpoint, *, dropout: float | None = None) -> Backbone:
    """The pretrained backbone in fp32. `dropout` replaces every dropout probability of the configuration.

    Raises:
        ModelFileError: a tensor is missing, unknown, of a wrong shape or not finite; the message names it.
    """
    family = FAMILIES.get(str(checkpoint.config["model_type"]))
    if decoder := decoder_family(checkpoint.config):
        return _loaded_decoder(checkpoint, decoder, dropout)
    if family is None:
        hosted = HostedBackbone(checkpoint.config, dropout=dropout)
        fill_hosted(hosted, read_tensors(checkpoint.weight_files), place=str(checkpoint.folder))
        return hosted
    config = _with_dropout(checkpoint.config, family, dropout)
    encoder = Encoder(family.shape(config), config, fresh=False)  # not on "meta": that imports for a second
    sorted_out = _sort_out(read_tensors(checkpoint.weight_files), family, place=str(checkpoint.folder))
    _fill(encoder, sorted_out[0], family, place=str(checkpoint.folder))
    encoder.carried = sorted_out[1]
    for name in _POOLER & encoder.carried.keys():
        width = encoder.width
        wanted = torch.empty((width, width) if name.endswith("weight") else width)
        _check(name, encoder.carried[name], wanted, str(checkpoint.folder))
    return encoder


def build_backbone(config: Mapping[str, Any]) -> Backbone:
    """A backbone with fresh weights, to be filled by `load_hub_state` or trained from nothing.

    Raises:
        ModelFileError: the configuration is incomplete, of an unknown kind, or hands transformers code to run.
    """
    family = FAMILIES.get(str(config.get("model_type")))
    if decoder := decoder_family(config):
        return Decoder(decoder.shape(config), config)
    if family is None:
        return HostedBackbone(config)
    return Encoder(family.shape(config), config)


def _loaded_decoder(checkpoint: Checkpoint, family: DecoderFamily, dropout: float | None) -> Decoder:
    override = {} if dropout is None else dict.fromkeys(family.dropout_keys, dropout)
    config = dict(checkpoint.config) | override
    decoder, place = Decoder(family.shape(config), config, fresh=False), str(checkpoint.folder)
    decoder.carried = {}
    expected = decoder.state_dict()
    own: dict[str, Tensor] = {}
    for full, tensor in family.unpacked(read_tensors(checkpoint.weight_files)).items():
        name = full.removeprefix(f"{family.prefix}.")
        ours = from_hub(name, family.model_type)
        if ours in expected and ours not in own:
            own[ours] = tensor
        elif name == LANGUAGE_HEAD and not decoder.shape.tied:
            _check(name, tensor, expected["words.weight"], place)
            decoder.carried[name] = tensor
        elif name.split(".")[0] not in _OTHER_HEADS and not name.endswith(".rotary_emb.inv_freq"):
            raise _bad(full, "no place in a model of this kind", place)
    for name, parameter in expected.items():
        _check(to_hub(name, family.model_type), own.get(name), parameter, place)
    decoder.load_state_dict(own, assign=True)
    return decoder.requires_grad_(True)


def _sort_out(
    tensors: Mapping[str, Tensor], family: Family, *, place: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The encoder's tensors under our names, and those of pooler and masked language head under theirs.

    Heads of other tasks are left out.
    """
    masked = MASKED_NAMES.get(family.model_type)
    kept = (_POOLER if family.head == "pooler" else frozenset()) | (masked.stored if masked else frozenset())
    own: dict[str, Tensor] = {}
    carried: dict[str, Tensor] = {}
    for full, tensor in tensors.items():
        name = _modern(full.removeprefix(f"{family.prefix}."))
        ours = from_hub(name, family.model_type)
        if ours is not None and ours not in own:
            own[ours] = tensor
        elif name in kept:
            carried[name] = tensor
        elif name not in _BUFFERS and name.split(".")[0] not in _OTHER_HEADS:
            raise _bad(full, "no place in a model of this kind" if ours is None else "stored under two names", place)
    return own, carried


def fill_hosted(backbone: HostedBackbone, tensors: Mapping[str, Tensor], *, place: str) -> None:
    """Fill a hosted backbone; heads of other tasks and poolers in the file are left out.

    Raises:
        ModelFileError: a tensor is missing, unknown, of a wrong shape or not finite; the message names it.
    """
    expected = backbone.encoder.state_dict()
    own: dict[str, Tensor] = {}
    if backbone.causal:
        found = _by_class(backbone, tensors, place)
        own, backbone.carried, tensors = found.backbone, found.head, found.unused
    for full, tensor in tensors.items():
        name = _modern(full.removeprefix(f"{backbone.prefix}."))
        if name in expected:
            own[name] = tensor
        elif name not in _BUFFERS and name.split(".")[0] not in _OTHER_HEADS:
            raise _bad(full, "no place in a model of this kind", place)
    for name, parameter in expected.items():
        _check(name, own.get(name), parameter, place)
    backbone.encoder.load_state_dict(own)


def _by_class(backbone: HostedBackbone, tensors: Mapping[str, Tensor], place: str) -> ClassTensors:
    """The tensors of a causal backbone as its class has them."""
    try:
        found = as_the_class_has_them(backbone.encoder.config, tensors)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ModelFileError(
            f"transformers cannot read these weights ({reason[:200]})",
            code="TS-MODEL-044",
            place=Place(file=place),
            fix="save the model again with save_pretrained, or choose another backbone.",
        ) from None
    for name, shape in found.misshapen.items():
        raise _bad(name, f"of shape {shape}, not what the configuration asks for", place)
    for name, tensor in found.head.items():
        if not is_finite(tensor):
            raise _bad(name, "not finite", place)
    return found


def _fill(encoder: Encoder, tensors: Mapping[str, Tensor], family: Family, *, place: str) -> None:
    expected = encoder.state_dict()
    for name, parameter in expected.items():
        _check(to_hub(name, family.model_type), tensors.get(name), parameter, place)
    if extra := tensors.keys() - expected.keys():
        raise _bad(to_hub(min(extra), family.model_type), "beyond the layers of the configuration", place)
    encoder.load_state_dict(dict(tensors), assign=True)
    encoder.requires_grad_(True)


def _check(theirs: str, tensor: Tensor | None, parameter: Tensor, place: str) -> None:
    if tensor is None:
        raise _bad(theirs, "missing", place)
    if tensor.shape != parameter.shape:
        wrong = f"of shape {tuple(tensor.shape)} where the configuration asks for {tuple(parameter.shape)}"
        raise _bad(theirs, wrong, place)
    if not is_finite(tensor):
        raise _bad(theirs, "not finite", place)


def _modern(name: str) -> str:
    """Checkpoints of the first years call a norm's weight and bias gamma and beta."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _with_dropout(config: Mapping[str, Any], family: Family, dropout: float | None) -> dict[str, Any]:
    override = {} if dropout is None else dict.fromkeys(family.dropout_keys, dropout)
    return dict(config) | override


def _bad(tensor: str, what: str, place: str) -> ModelFileError:
    return ModelFileError(
        f"the tensor {tensor} is {what}",
        code="TS-MODEL-023",
        place=Place(file=place),
        fix="download or save the checkpoint again; config.json and weights must belong together.",
    )
