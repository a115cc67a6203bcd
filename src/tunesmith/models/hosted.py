"""Every other Hugging Face encoder or decoder, run by transformers behind our contract: ragged in, ragged out.

Padding happens inside, chunk by chunk of similar lengths. No remote code, no kernel from the Hub: the class must be
one that transformers itself ships. transformers is imported here only, when such a model is asked for.
"""

import inspect
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.core.batch import Batch
from tunesmith.core.errors import ConfigError, ModelFileError, Place
from tunesmith.core.model import Backbone
from tunesmith.models.config_file import cleaned
from tunesmith.models.hosted_class import writing_class
from tunesmith.models.ragged import plan, to_rows

PLAIN_TOKEN_HEADS = frozenset(("albert", "camembert", "deberta", "deberta-v2", "mpnet"))
"""Kinds whose heads for tokens in transformers are one linear layer, `classifier` or `qa_outputs`, as ours are."""
_OFFSET_POSITIONS = frozenset(
    ("camembert", "data2vec-text", "ibert", "longformer", "mpnet", "roberta-prelayernorm", "xmod")
)
_UNKNOWN_LENGTH = 512
_OURS_TO_SAY = frozenset(
    (
        "architectures",
        "attn_implementation",
        "dtype",
        "id2label",
        "label2id",
        "model_type",
        "problem_type",
        "torch_dtype",
    )
)


class HostedBackbone(Backbone):
    """An encoder of transformers, or a decoder without an encoder, with fresh weights, in fp32.

    Raises:
        ModelFileError: the kind is unknown to transformers, takes no text, or has both.
    """

    def __init__(self, config: Mapping[str, Any], *, dropout: float | None = None) -> None:
        super().__init__()
        kind = str(config.get("model_type"))
        encoder: Any = _hosted(kind, config, dropout)
        own = encoder.config
        accepted = inspect.signature(encoder.forward).parameters
        if "input_ids" not in accepted or own.is_encoder_decoder:
            raise _unsupported(kind, "is not an encoder of texts")
        if own.get_text_config() is not own:
            raise _unsupported(kind, "is made of several models, for pictures or sounds beside texts")
        width = getattr(own, "hidden_size", None)  # often an alias, which dir() does not tell
        if width is None:
            raise _unsupported(kind, "does not say how wide its hidden states are")
        self.encoder = encoder
        self.writing_class = writing_class(kind)
        """Its class with a language head in transformers, for a causal model"""
        self.causal = self.writing_class is not None
        self.carried: dict[str, Tensor] | None = None
        """The tensors of its language head that a checkpoint held; None without a checkpoint"""
        self.config = _plain(own) | {"model_type": kind}
        self.width = int(self.config.get("word_embed_proj_dim") or width)  # OPT may narrow what it gives
        self.pad_id = max(0, int(self.config.get("pad_token_id") or 0))
        self.max_length = _longest(kind, own, self.pad_id)
        self.gradient_checkpointing = False
        self._checkpointing = False
        self.prefix = str(encoder.base_model_prefix)
        self.base_class = type(encoder).__name__
        self.plain_token_heads = kind in PLAIN_TOKEN_HEADS
        self.takes_positions = "position_ids" in accepted
        self._segments = "token_type_ids" in accepted and int(self.config.get("type_vocab_size") or 0) > 1
        self._keeps = self.causal and "use_cache" in accepted

    def embed(self, batch: Batch) -> Tensor:
        """Word embeddings [N, E], to which the encoder still adds positions; E is D in most models."""
        words: Tensor = self.encoder.get_input_embeddings()(batch.input_ids)
        return words

    def forward(self, batch: Batch, *, embeddings: Tensor | None = None, places: Tensor | None = None) -> Tensor:
        """Hidden states of the last layer, [N, D], or [M, D] at `places`: transformers computes them all.

        Raises:
            ConfigError: `gradient_checkpointing` is set and the encoder cannot recompute its layers.
        """
        self._switch_checkpointing()
        layout = plan(batch.lengths, batch.input_ids.device)
        blocks, start = [], 0
        for chunk in layout.chunks:
            rows = layout.gather[start : start + chunk.rows].view(chunk.blocks, chunk.longest)
            blocks.append(self._run(batch, rows, chunk.seen, embeddings).reshape(chunk.rows, -1))
            start += chunk.rows
        hidden = to_rows(blocks, layout)
        return hidden if places is None else hidden.index_select(0, places)

    def attention_on(self, device: torch.device, dtype: torch.dtype) -> str:
        """What transformers chose when it built the encoder, the same on every device."""
        return f"{self.encoder.config._attn_implementation} of transformers, padded in chunks"

    def _run(self, batch: Batch, rows: Tensor, seen: Tensor | None, embeddings: Tensor | None) -> Tensor:
        """[b, L, D] of the windows whose tokens are `rows` [b, L], `seen` [b, 1, L] on no padding."""
        mask = torch.ones_like(rows, dtype=torch.bool) if seen is None else seen[:, 0]
        given: dict[str, Tensor] = {"attention_mask": mask.long()}
        if embeddings is None:
            given["input_ids"] = batch.input_ids[rows].masked_fill(~mask, self.pad_id)
        else:
            given["inputs_embeds"] = embeddings[rows]
        if self._segments and batch.segment_ids is not None:
            given["token_type_ids"] = batch.segment_ids[rows].masked_fill(~mask, 0)
        keeps: dict[str, bool] = {"use_cache": False} if self._keeps else {}
        hidden: Tensor = self.encoder(**given, **keeps).last_hidden_state
        return hidden

    def _switch_checkpointing(self) -> None:
        if self.gradient_checkpointing == self._checkpointing:
            return
        if not self.encoder.supports_gradient_checkpointing:
            raise ConfigError(
                f"{self.base_class} cannot recompute its layers",
                code="TS-MODEL-026",
                place=Place(key="train.gradient_checkpointing"),
                fix="set it to false, or choose another backbone.",
            )
        encoder = self.encoder
        if "activation_checkpointing_enable" in dir(encoder):  # transformers renamed the pair, and its old names warn
            on, off = encoder.activation_checkpointing_enable, encoder.activation_checkpointing_disable
        else:
            on, off = encoder.gradient_checkpointing_enable, encoder.gradient_checkpointing_disable
        (on if self.gradient_checkpointing else off)()
        self._checkpointing = self.gradient_checkpointing


def _hosted(kind: str, config: Mapping[str, Any], dropout: float | None) -> nn.Module:
    from transformers import AutoConfig  # seconds of import that our own families need not pay

    fields = {key: value for key, value in cleaned(dict(config)).items() if key not in _OURS_TO_SAY}
    try:
        if dropout is not None:
            full = AutoConfig.for_model(kind, **fields).to_dict()
            fields |= {key: dropout for key, value in full.items() if "drop" in key and isinstance(value, float | int)}
        return _built(AutoConfig.for_model(kind, **fields))
    except (AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise _unsupported(kind, f"cannot be built by transformers ({reason[:200]})") from None


def _built(settings: Any) -> nn.Module:  # noqa: ANN401  # a transformers configuration, which has no common type
    from transformers import AutoModel

    try:  # a pooler would be a parameter that no gradient reaches
        model: nn.Module = AutoModel.from_config(
            settings, trust_remote_code=False, dtype=torch.float32, add_pooling_layer=False
        )
    except TypeError:
        model = AutoModel.from_config(settings, trust_remote_code=False, dtype=torch.float32)
    return model


def _plain(settings: Any) -> dict[str, Any]:  # noqa: ANN401  # a transformers configuration, which has no common type
    """Every field, those equal to transformers' defaults too, since defaults may change."""
    said = json.loads(settings.to_json_string(use_diff=False))
    return cleaned({key: value for key, value in said.items() if key not in _OURS_TO_SAY})


def _longest(kind: str, settings: Any, pad_id: int) -> int:  # noqa: ANN401  # a transformers configuration
    named = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")  # the first two are often aliases
    found = (getattr(settings, name, None) for name in named)
    positions = next((count for count in found if isinstance(count, int) and count > 0), _UNKNOWN_LENGTH)
    return positions - pad_id - 1 if kind in _OFFSET_POSITIONS else positions


def _unsupported(kind: str, what: str) -> ModelFileError:
    return ModelFileError(
        f"a model of kind {kind!r} {what}",
        code="TS-MODEL-024",
        place=Place(file="config.json", key="model_type"),
        fix="choose an encoder (BERT, RoBERTa, XLM-R, DistilBERT, ELECTRA, DeBERTa, MPNet, ALBERT and the like) or a "
        "decoder (GPT-2, Llama, Mistral, Qwen, OPT, GPT-NeoX, BLOOM, Phi, Gemma and the like) of texts.",
    )
