"""Operations on a whole model: putting a method's wrappers in, folding them back, narrowing the word table, sharing."""

import copy
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.method import Mergeable, Method, UpdatedTable
from tunesmith.core.model import Backbone, Model
from tunesmith.models.decoder import Decoder
from tunesmith.models.encoder import Encoder
from tunesmith.models.hosted import HostedBackbone
from tunesmith.models.vocabulary import CompactEmbedding
from tunesmith.models.vocabulary_head import PretrainedHead


def named_places(model: Model) -> Iterator[tuple[str, nn.Module]]:
    """The modules under `model.backbone` that a method may wrap, with their names in the model, outermost first."""
    for name, module in model.named_modules():
        if name.startswith("backbone."):
            yield name, module


def apply_method(model: Model, method: Method) -> None:
    """Put the method's wrappers in place and let exactly those parameters learn that `method.trained` names.

    Raises:
        ConfigError: the method does not fit this backbone; nothing has been changed.
    """
    wrappers = method.wrappers(dict(named_places(model)))
    tied = isinstance(model.head, PretrainedHead) and model.head.tied
    if tied and any(model.get_submodule(name) is _words(model) for name in wrappers):
        raise ConfigError(
            "the table of words is the language head too, which would not learn with it",
            code="TS-MODEL-045",
            place=Place(key="method.targets"),
            fix="leave it out of the targets.",
        )
    for name, wrapper in wrappers.items():
        model.set_submodule(name, wrapper)
    seen_as = {name: _seen_by_methods(name, model) for name, _ in model.named_parameters()}
    trained = method.trained(seen_as.values())
    if not trained.intersection(seen_as.values()):
        raise ConfigError(
            f"nothing learns with {method.kind()}: this model has no head of its own",
            code="TS-MODEL-041",
            place=Place(key="method.kind"),
            fix='choose method.kind = "lora", or "full".',
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(seen_as[name] in trained)


def _seen_by_methods(name: str, model: Model) -> str:
    """A pretrained head is like the backbone: to methods, which let a fresh head learn, it is a part of it."""
    return name.replace("head.", "backbone.", 1) if isinstance(model.head, PretrainedHead) else name


def merge(model: nn.Module) -> None:
    """Replace every mergeable wrapper by the plain module that computes the same."""
    wrapped = [(name, module) for name, module in model.named_modules() if isinstance(module, Mergeable)]
    for name, module in wrapped:
        model.set_submodule(name, module.merged())


def plain(module: nn.Module) -> nn.Module:
    """The module itself, or what a mergeable wrapper computes as a plain one. Nothing is changed."""
    while isinstance(module, Mergeable):
        module = module.merged()
    return module


def sharing(backbone: Backbone) -> Backbone:
    """A backbone of its own, in which something else may be put in the place of a module, over the same tensors."""
    held = {id(tensor): tensor for tensor in (*backbone.parameters(), *backbone.buffers())}
    return copy.deepcopy(backbone, held)


class VocabularyMap:
    """Where a compact embedding stands, and the way back."""

    def __init__(self, name: str, used: Tensor, *, total: int) -> None:
        self.name = name
        self.used = used
        """[U] int64, ascending"""
        self.total = total
        """V"""

    def restore(self, model: Model, decay: float = 1.0) -> None:
        """Put the full table back. Rows that never occurred are multiplied by `decay`: the product over all steps of
        (1 - learning rate * weight decay), 1 without weight decay or where the table was frozen."""
        compact = model.get_submodule(self.name)
        if isinstance(compact, CompactEmbedding):
            compact.decay = decay
            model.set_submodule(self.name, compact.merged())


def compact_vocabulary(model: Model, used_ids: Iterable[int]) -> VocabularyMap:
    """Let only the rows of `used_ids` (those of training; the padding id is added) stand in the model's table.

    The function of the model does not change: other ids are still looked up, but do not learn.
    """
    if isinstance(model.head, PretrainedHead) and model.head.tied:
        raise TypeError("the table is the language head too, which reads all of it")
    name, table = _table(model)
    ids = {int(index) for index in used_ids} | {int(model.backbone.config.get("pad_token_id") or 0)}
    used = torch.tensor(sorted(index for index in ids if index < table.num_embeddings))
    model.set_submodule(name, CompactEmbedding(table, used))
    return VocabularyMap(name, used, total=table.num_embeddings)


def _table(model: Model) -> tuple[str, nn.Embedding]:
    words = _words(model)
    if isinstance(words, UpdatedTable):
        words = words.rows
    if type(words) is not nn.Embedding:  # a subclass may scale what it looks up
        raise TypeError(f"the word embeddings are a {type(words).__name__} already")
    return next(name for name, module in model.named_modules() if module is words), words


def _words(model: Model) -> nn.Module:
    match model.backbone:
        case Encoder() as own:
            return own.embeddings.words
        case Decoder() as causal:
            return causal.words
        case HostedBackbone() as hosted:
            found: nn.Module = hosted.encoder.get_input_embeddings()
            return found
        case other:
            raise TypeError(f"no word embeddings known in {type(other).__name__}")
