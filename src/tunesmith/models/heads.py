"""Classification heads with the parameter names transformers gives them, so that it opens what we save.

    BERT        classifier(dropout(tanh(pooler.dense h)))
    RoBERTa     classifier.out_proj(dropout(tanh(classifier.dense dropout(h))))
    ELECTRA     the same with gelu
    DistilBERT  classifier(dropout(relu(pre_classifier h)))
    decoders    score(h) without a bias
    others      classifier(dropout(h))

and for questions qa_outputs(h), whatever the family: a logit of being the first and one of being the last token.

h [M, D] is the hidden state at the places of a batch: labelled tokens, or the token that a window is read at. Logits
are [M, C].
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunesmith.core.model import Backbone
from tunesmith.models.dropout import Dropout
from tunesmith.models.encoder import Encoder
from tunesmith.models.families import FAMILIES, decoder_family
from tunesmith.models.shape import number


class LinearHead(nn.Module):
    """Dropout and one linear layer."""

    def __init__(self, width: int, classes: int, *, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.classifier = nn.Linear(width, classes)

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] to [M, C]."""
        logits: Tensor = self.classifier(self.dropout(hidden))
        return logits


class Pooler(nn.Module):
    """BERT's pooler: a linear layer and tanh."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] to [M, D]."""
        return torch.tanh(self.dense(hidden))


class PoolerHead(nn.Module):
    """BERT's: the pooler that pretraining left behind, then a linear layer."""

    def __init__(self, width: int, classes: int, *, dropout: float) -> None:
        super().__init__()
        self.pooler = Pooler(width)
        self.dropout = Dropout(dropout)
        self.classifier = nn.Linear(width, classes)

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] to [M, C]."""
        logits: Tensor = self.classifier(self.dropout(self.pooler(hidden)))
        return logits


class DenseClassifier(nn.Module):
    """A linear layer with an activation, then the projection to classes."""

    def __init__(self, width: int, classes: int, *, dropout: float, tanh: bool) -> None:
        super().__init__()
        self.tanh = tanh
        self.dropout = Dropout(dropout)
        self.dense = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, classes)

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] to [M, C]."""
        inner = self.dense(self.dropout(hidden))
        inner = torch.tanh(inner) if self.tanh else F.gelu(inner)
        logits: Tensor = self.out_proj(self.dropout(inner))
        return logits


class DenseHead(nn.Module):
    """RoBERTa's (tanh) and ELECTRA's (gelu)."""

    def __init__(self, width: int, classes: int, *, dropout: float, tanh: bool) -> None:
        super().__init__()
        self.classifier = DenseClassifier(width, classes, dropout=dropout, tanh=tanh)

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] to [M, C]."""
        logits: Tensor = self.classifier(hidden)
        return logits


class PreClassifierHead(nn.Module):
    """DistilBERT's: a linear layer, relu, dropout, a linear layer."""

    def __init__(self, width: int, classes: int, *, dropout: float) -> None:
        super().__init__()
        self.pre_classifier = nn.Linear(width, width)
        self.dropout = Dropout(dropout)
        self.classifier = nn.Linear(width, classes)

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] to [M, C]."""
        logits: Tensor = self.classifier(self.dropout(torch.relu(self.pre_classifier(hidden))))
        return logits


class ScoreHead(nn.Module):
    """A decoder's: one linear layer, named `score`."""

    def __init__(self, width: int, classes: int, *, dropout: float, bias: bool) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.score = nn.Linear(width, classes, bias=bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] to [M, C]."""
        logits: Tensor = self.score(self.dropout(hidden))
        return logits


class AnswerHead(nn.Module):
    """One linear layer, named `qa_outputs`: how well an answer begins, and how well it ends at a token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qa_outputs = nn.Linear(width, 2)

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] to [M, 2]."""
        logits: Tensor = self.qa_outputs(hidden)
        return logits


def answer_head(backbone: Backbone) -> nn.Module:
    """A fresh head for answers to questions, without dropout (as transformers has it)."""
    return _begun(AnswerHead(backbone.width), backbone)


def token_head(backbone: Backbone, classes: int) -> nn.Module:
    """A fresh linear head for every token."""
    decoder = decoder_family(backbone.config)
    if decoder and decoder.token_head == "score":
        dropout = _dropout(backbone, tokens=True)
        return _begun(ScoreHead(backbone.width, classes, dropout=dropout, bias=True), backbone)
    return _begun(LinearHead(backbone.width, classes, dropout=_dropout(backbone, tokens=True)), backbone)


def sequence_head(backbone: Backbone, classes: int, *, biases: Sequence[float] | None = None) -> nn.Module:
    """A head on the token that a window is read at, as the backbone's family builds it.

    Its layers are fresh, N(0, initializer_range), with output `biases` of 0 unless given (a decoder's head has none);
    BERT's pooler is the checkpoint's where the checkpoint has one.
    """
    head = _family_head(backbone, classes)
    if biases is not None:
        output = [module for module in head.modules() if isinstance(module, nn.Linear)][-1]
        if output.bias is not None:
            with torch.no_grad():
                output.bias.copy_(output.bias.new_tensor(biases))
    return head


def _family_head(backbone: Backbone, classes: int) -> nn.Module:
    if decoder_family(backbone.config):
        return _begun(ScoreHead(backbone.width, classes, dropout=0.0, bias=False), backbone)
    family = FAMILIES.get(str(backbone.config.get("model_type")))
    width, dropout = backbone.width, _dropout(backbone, tokens=False)
    match family.head if family else None:
        case "pooler":
            head = _begun(PoolerHead(width, classes, dropout=dropout), backbone)
            _adopt(head, backbone)
            return head
        case "dense_tanh" | "dense_gelu" as kind:
            head = DenseHead(width, classes, dropout=dropout, tanh=kind == "dense_tanh")
        case "pre_classifier":
            head = PreClassifierHead(width, classes, dropout=dropout)
        case None:
            head = LinearHead(width, classes, dropout=dropout)
    return _begun(head, backbone)


def _adopt(head: nn.Module, backbone: Backbone) -> None:
    """Copy what the checkpoint holds for this head."""
    if isinstance(backbone, Encoder) and backbone.carried is not None:
        for name, parameter in head.state_dict().items():
            if name in backbone.carried:
                parameter.copy_(backbone.carried[name])


def _begun(head: nn.Module, backbone: Backbone) -> nn.Module:
    deviation = number(backbone.config, "initializer_range", 0.02)
    parameter = next(backbone.parameters())
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=deviation)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return head.to(dtype=parameter.dtype, device=parameter.device)


def _dropout(backbone: Backbone, *, tokens: bool) -> float:
    family = FAMILIES.get(str(backbone.config.get("model_type")))
    if family is None:  # a decoder, or one that transformers runs
        general = number(backbone.config, "hidden_dropout_prob", number(backbone.config, "dropout", 0.1))
        return number(backbone.config, "classifier_dropout", general)
    shape = family.shape(backbone.config)
    return shape.dropout if tokens and family.head == "pre_classifier" else shape.head_dropout
