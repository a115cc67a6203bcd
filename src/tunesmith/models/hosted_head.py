"""The language head of a decoder that transformers runs: logits as the model's own class computes them.

Between hidden states and logits a class may add a bias (Phi), scale (Cohere, Granite) or cap them (Gemma 2), and a new
one may do what nobody has thought of. So nothing is rebuilt here: the class itself runs, without weights of its own,
and its decoder computes nothing but hands over the hidden states which it was given. The head's weights are put in for
each call.

Where that turns out to be one product with a matrix, `language_head.py` has a faster form, and `plain` says so.
Shapes: M places, D width, V tokens, K tokens that are asked for.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from tunesmith.models.hosted import HostedBackbone
from tunesmith.models.hosted_class import skeleton, tied_name
from tunesmith.models.vocabulary_head import CHUNK_BYTES, WritingHead, no_head

_LARGE = 100.0
"""Logits at which a cap shows"""


class ClassHead(WritingHead):
    """[M, D] to [M, V], with weights undefined until they are filled where no checkpoint was read."""

    def __init__(self, backbone: HostedBackbone) -> None:
        """The head of a causal backbone, with the weights that its checkpoint held.

        Raises:
            ConfigError: the checkpoint lacks the head, or a part of it.
        """
        super().__init__()
        model = skeleton(backbone.encoder.config)
        self._tied = tied_name(model)
        self._words = (backbone.encoder.get_input_embeddings(),)  # in a tuple: the table stays the backbone's alone
        self.matrix = self._tied or _name_of(model.get_output_embeddings(), model)
        """Name of the output matrix in the class"""
        self._shape: torch.Size = model.get_output_embeddings().weight.shape
        below = f"{model.base_model_prefix}."
        given = _Given(model.base_model)
        own = {name: part for name, part in model.named_parameters() if not name.startswith(below)}
        own.pop(self._tied or "", None)
        self._class = (model.eval(), given)  # likewise: it has no weights that anybody should see
        for name, part in own.items():
            _put(self, name, nn.Parameter(_filled(name, part, backbone.carried)))

    @property
    def tied(self) -> bool:
        """Whether the words' table is the output matrix too."""
        return self._tied is not None

    @property
    def vocabulary(self) -> int:
        """V"""
        return self._shape[0]

    @property
    def plain(self) -> bool:
        """Whether logits are the product with the output matrix and nothing else, tried on some numbers."""
        if any(name != self.matrix for name, _ in self.named_parameters()):
            return False
        source = torch.Generator().manual_seed(0)
        weight, hidden = (torch.randn(rows, self._shape[1], generator=source) for rows in (8, 4))
        expected = F.linear(hidden, weight)
        hidden, expected = (part * (_LARGE / expected.abs().max()) for part in (hidden, expected))
        return torch.allclose(self._computed(hidden, {self.matrix: weight}), expected, rtol=1e-4, atol=1e-3)

    def hub_name(self, name: str) -> str:
        """transformers' name of the head's own parameter `name`: the same."""
        return name

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] to [M, V]."""
        weights: dict[str, Tensor] = dict(self.named_parameters())
        if self._tied is not None:
            weights[self._tied] = self._words[0].weight
        kind = weights[self.matrix].dtype
        return self._computed(hidden.to(kind), {name: weight.to(kind) for name, weight in weights.items()})

    def log_likelihoods(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """log p of `targets` [M] int64, [M] fp32, from hidden states [M, D].

        Logits are computed again for gradients, some rows at a time.
        """
        rows = max(1, CHUNK_BYTES // (4 * self.vocabulary))
        pairs = zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True)
        return torch.cat([checkpoint(self._likelihoods, some, wanted, use_reentrant=False) for some, wanted in pairs])

    def logits_at(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """The logits of `tokens` [K] int64 alone, [M, K] in fp32 at least; all are computed."""
        exact = torch.promote_types(hidden.dtype, torch.float32)
        rows = max(1, CHUNK_BYTES // (4 * self.vocabulary))
        return torch.cat([self(some).index_select(1, tokens).to(exact) for some in torch.split(hidden, rows)])

    def writing(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """The head itself: it stays in the format of its weights."""
        return self.forward

    def _likelihoods(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return -F.cross_entropy(self(hidden).float(), targets, reduction="none")

    def _computed(self, hidden: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        model, given = self._class
        given.hidden = hidden[None]
        try:
            said = functional_call(model, dict(weights), kwargs={"inputs_embeds": hidden[None]})
        finally:
            given.hidden = None
        logits: Tensor = said.logits[0]
        return logits


class _Given:
    """What a decoder says instead of computing."""

    def __init__(self, decoder: nn.Module) -> None:
        self.hidden: Tensor | None = None
        inner = dict(decoder.named_children()).get("decoder")  # which some classes call past what holds it
        for module in filter(None, (decoder, inner)):
            module.register_forward_pre_hook(_unasked, with_kwargs=True)
            vars(module)["forward"] = self.said  # hides the method

    def said(self) -> "_Said":
        """Hidden states [1, M, D]."""
        return _Said(self.hidden)


def _unasked(*_: object) -> tuple[tuple[()], dict[str, object]]:
    """No arguments in the place of those that a module is called with."""
    return (), {}


class _Said:
    """The answer of a decoder of transformers, which has hidden states and nothing else."""

    def __init__(self, hidden: Tensor | None) -> None:
        self.last_hidden_state = hidden

    def __getitem__(self, index: int | slice) -> object:
        return (self.last_hidden_state,)[index]

    def __getattr__(self, name: str) -> None:
        return None


def _name_of(module: nn.Module, model: nn.Module) -> str:
    return next(f"{name}.weight" for name, other in model.named_modules() if other is module)


def _filled(name: str, part: Tensor, carried: Mapping[str, Tensor] | None) -> Tensor:
    """The weight of the checkpoint; an undefined one where there is none and a bundle is to fill it."""
    if carried is None:
        return torch.empty_like(part, device="cpu")
    if name not in carried:
        raise no_head(f"its checkpoint does not hold {name}, a part of the language head")
    return carried[name]


def _put(root: nn.Module, name: str, parameter: nn.Parameter) -> None:
    """Make `parameter` one of `root`, under a name with dots."""
    *path, leaf = name.split(".")
    for part in path:
        if part not in dict(root.named_children()):
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.register_parameter(leaf, parameter)
