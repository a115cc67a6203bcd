"""What transformers opens a bundle as: the `config.json` beside its weights, and the class that computes the same."""

from collections.abc import Sequence
from typing import Any, Literal

from tunesmith.core.model import Model
from tunesmith.models.decoder_shape import DecoderFamily
from tunesmith.models.families import DECODERS, FAMILIES
from tunesmith.models.hosted import HostedBackbone
from tunesmith.models.shape import Family

Problem = Literal[
    "token", "answer", "single_label", "multi_label", "regression", "matching", "joint", "language", "vectors"
]
_PURPOSES = {"token": "TokenClassification", "answer": "QuestionAnswering"}
_OF_OUR_OWN = frozenset(("matching", "joint"))
"""Problems that transformers has no class for."""
_ELSEWHERE = frozenset(("llama", "qwen2", "qwen3"))
"""Kinds whose class for questions in transformers keeps the backbone under another name than their other classes."""
_PROBLEM_TYPES = {"single_label": "single_label_classification", "multi_label": "multi_label_classification"}


def hub_config(model: Model, *, labels: Sequence[str], problem: Problem) -> dict[str, Any]:
    """The `config.json` with which transformers opens `hub_state(model)`: allow-listed keys, label names, right class.

    `architectures` names a class with a head where transformers has one that computes the same as ours (all families
    of our own, two for answers aside; hosted ones: what reads tokens, where its head is one linear layer), else the
    bare encoder, which is all there is where vectors answer. It has none for matching, nor for two heads.
    """
    config = _kept(model) | {"architectures": [_architecture(model, problem)], "dtype": "float32"}
    if problem in ("language", "vectors"):
        return config
    names = list(labels) or ["LABEL_0"]
    config |= {
        "id2label": {str(index): label for index, label in enumerate(names)},
        "label2id": {label: index for index, label in enumerate(names)},
    }
    return (
        config
        if problem in (*_PURPOSES, *_OF_OUR_OWN)
        else config | {"problem_type": _PROBLEM_TYPES.get(problem, problem)}
    )


def has_class(model: Model, problem: Problem) -> bool:
    """Whether the backbone's tensors have, in transformers' class for the problem, the names that `hub_name` gives."""
    return problem not in _OF_OUR_OWN and (problem != "answer" or model.backbone.config["model_type"] not in _ELSEWHERE)


def _kept(model: Model) -> dict[str, Any]:
    config = dict(model.backbone.config)
    family = family_of(model)
    if family is None:
        return config
    kept = {key: value for key, value in config.items() if key in family.keys}
    if model.backbone.causal and kept.get("pad_token_id") is None:
        ends = kept.get("eos_token_id")  # transformers reads a window at the last token that is no padding
        kept["pad_token_id"] = ends[0] if isinstance(ends, list) and ends else ends
    return kept


def family_of(model: Model) -> Family | DecoderFamily | None:
    """None for a backbone that transformers runs."""
    kind = str(model.backbone.config["model_type"])
    return None if isinstance(model.backbone, HostedBackbone) else FAMILIES.get(kind) or DECODERS[kind]


def _architecture(model: Model, problem: Problem) -> str:
    purpose = _PURPOSES.get(problem, "SequenceClassification")
    match model.backbone:
        case HostedBackbone() as hosted:
            if problem == "language" and hosted.writing_class:
                return hosted.writing_class
            plain = problem in _PURPOSES and hosted.plain_token_heads
            return f"{hosted.base_class.removesuffix('Model')}For{purpose}" if plain else hosted.base_class
        case _:
            family = family_of(model)
            name = family.class_name if family else ""
            if problem == "language" and not model.backbone.causal:
                return f"{name}ForMaskedLM"
            if problem == "language":
                return f"{name}LMHeadModel" if name == "GPT2" else f"{name}ForCausalLM"
            if problem == "vectors":
                return f"{name}Model"
            return f"{name}For{purpose}" if has_class(model, problem) else f"{name}Model"
