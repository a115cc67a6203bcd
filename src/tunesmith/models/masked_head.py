"""The head that fills blanks: hidden states at masks to logits over the vocabulary, with transformers' names.

    logits = norm(act(dense h)) W^T + b,   W the words' own table

BERT and DistilBERT use the activation of their layers, RoBERTa and XLM-R always gelu.
Source: Devlin et al. 2019, BERT, section 3.1 (task 1: masked language model).
Shapes: M places, D width, V tokens, K tokens that are asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunesmith.core.errors import ConfigError, ModelFileError, Place
from tunesmith.core.model import Backbone
from tunesmith.models.activations import ACTIVATIONS
from tunesmith.models.encoder import Encoder
from tunesmith.models.language_head import language_head
from tunesmith.models.shape import Activation
from tunesmith.models.vocabulary_head import CHUNK_BYTES, VocabularyHead


@dataclass(frozen=True, slots=True)
class MaskedNames:
    """What a family calls the parts of its head in a checkpoint."""

    dense: str
    norm: str
    bias: str
    tied_bias: str
    """The same tensor, as it is called beside the output matrix"""
    gelu: bool = False
    """Whether its activation is gelu whatever that of the layers is"""

    @property
    def stored(self) -> frozenset[str]:
        """The tensors that a checkpoint may hold."""
        pairs = {f"{module}.{kind}" for module in (self.dense, self.norm) for kind in ("weight", "bias")}
        return frozenset((*pairs, self.bias, self.tied_bias))


_ROBERTA = MaskedNames("lm_head.dense", "lm_head.layer_norm", "lm_head.bias", "lm_head.decoder.bias", gelu=True)
MASKED_NAMES: Mapping[str, MaskedNames] = {
    "bert": MaskedNames(
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.bias",
        "cls.predictions.decoder.bias",
    ),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "distilbert": MaskedNames("vocab_transform", "vocab_layer_norm", "vocab_projector.bias", "vocab_projector.bias"),
}
"""By `model_type`"""


class MaskedHead(VocabularyHead):
    """[M, D] to [M, V], with weights undefined until they are filled."""

    def __init__(self, words: nn.Embedding, names: MaskedNames, *, activation: Activation, epsilon: float) -> None:
        super().__init__()
        self._words = (words,)  # in a tuple, so that the table stays the backbone's alone
        self._names = names
        self._activation: Activation = "gelu" if names.gelu else activation
        vocabulary, width = words.weight.shape
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=epsilon)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    @property
    def tied(self) -> bool:
        """The words' table is the output matrix too."""
        return True

    @property
    def weight(self) -> Tensor:
        """W [V, D]."""
        return self._words[0].weight

    def hub_name(self, name: str) -> str:
        """transformers' name of the head's own parameter `name`."""
        module, _, kind = name.rpartition(".")
        own = {"dense": self._names.dense, "norm": self._names.norm}
        return f"{own[module]}.{kind}" if module else self._names.bias

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] to [M, V]."""
        turned = self._turned(hidden).to(self.weight.dtype)
        return F.linear(turned, self.weight).to(self.bias.dtype) + self.bias

    def log_likelihoods(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """log p of `targets` [M] int64, [M] fp32, from hidden states [M, D]."""
        rows = max(1, CHUNK_BYTES // (4 * len(self.bias)))
        pairs = zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True)
        return torch.cat([-F.cross_entropy(self(some), wanted, reduction="none") for some, wanted in pairs])

    def logits_at(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """The logits of `tokens` [K] int64 alone, [M, K] in fp32 at least, whatever the words' table is in."""
        return F.linear(self._turned(hidden), self.weight[tokens].to(self.bias.dtype), self.bias[tokens])

    def _turned(self, hidden: Tensor) -> Tensor:
        inner = ACTIVATIONS[self._activation](self.dense(hidden.to(self.dense.weight.dtype)))
        turned: Tensor = self.norm(inner)
        return turned


def blank_head(backbone: Backbone) -> VocabularyHead:
    """The pretrained head that says what may stand in a blank: of a causal backbone the one that writes.

    Raises:
        ConfigError: the backbone has none, or its checkpoint was saved without it.
        ModelFileError: the checkpoint's tensors of it are incomplete or of another shape.
    """
    if backbone.causal:
        return language_head(backbone)
    names = MASKED_NAMES.get(str(backbone.config.get("model_type")))
    if names is None or not isinstance(backbone, Encoder):
        raise _no_head(f"a {backbone.config.get('model_type')} backbone is not read with such a head here")
    if backbone.config.get("tie_word_embeddings", True) is not True:
        raise _no_head("its output matrix is not the table of its words, which no published model of its family has")
    shape, words = backbone.shape, backbone.embeddings.words
    head = MaskedHead(words, names, activation=shape.activation, epsilon=shape.norm_epsilon)
    if backbone.carried is not None:  # None: built from a configuration, to be filled from a bundle
        _fill(head, names, backbone.carried)
    return head.to(dtype=words.weight.dtype, device=words.weight.device)


def _fill(head: MaskedHead, names: MaskedNames, carried: Mapping[str, Tensor]) -> None:
    if f"{names.dense}.weight" not in carried:
        raise _no_head("its checkpoint holds no masked language head")
    with torch.no_grad():
        for name, parameter in head.state_dict().items():
            theirs = head.hub_name(name)
            tensor = carried.get(theirs, carried.get(names.tied_bias) if theirs == names.bias else None)
            if tensor is None or tensor.shape != parameter.shape:
                raise ModelFileError(
                    f"the tensor {theirs} is {'missing' if tensor is None else f'of shape {tuple(tensor.shape)}'}",
                    code="TS-MODEL-043",
                    place=Place(key="backbone"),
                    fix="download or save the checkpoint again, with its masked language head (...ForMaskedLM).",
                )
            parameter.copy_(tensor)


def _no_head(what: str) -> ConfigError:
    return ConfigError(
        f"this backbone cannot fill a blank: {what}",
        code="TS-MODEL-042",
        place=Place(key="backbone"),
        fix="choose a causal model (starter:chat, or any other), or a BERT, RoBERTa, XLM-R or "
        "DistilBERT that was saved with its masked language head (...ForMaskedLM), such as bert-base-uncased; the "
        "sentence encoders starter:english and starter:multilingual have none.",
    )
