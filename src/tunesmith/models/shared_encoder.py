"""One encoder in memory that answers as several models: rows of all of them in one pass, changes on the rows of each.

Every product with a frozen weight is computed once for all rows of a batch. The rows of a model lie together, and what
it changed is computed on those: low-rank updates, factors, bottlenecks and biases beside the layers; rows of a prompt
before its windows; a prefix in its windows' attention. Windows never see each other, so a model answers in company as
it answers alone.

Shapes: N rows of a batch, all models together, M of them that are read, D width.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from tunesmith.core.batch import Batch
from tunesmith.core.model import Backbone
from tunesmith.models.additions import PrefixedCore, RowUpdate
from tunesmith.models.answering_parts import Embedder, Norm
from tunesmith.models.attention import AttentionCore
from tunesmith.models.encoder import Encoder, Layer
from tunesmith.models.inserted_rows import behind
from tunesmith.models.ragged import Plan, plan
from tunesmith.models.row_changes import ChangedLinear, Spans, change, no_form, side_by_side
from tunesmith.models.row_counts import padded, picked, rounded


@dataclass(frozen=True, slots=True)
class Asked:
    """A batch for one of the models, and the rows that are read of it; all of them where `places` is None."""

    name: str
    batch: Batch
    places: Tensor | None = None
    """[M]"""


class SharedEncoder:
    """A frozen encoder and, by name, what each model put around it."""

    def __init__(self, frozen: Encoder, models: Mapping[str, Encoder], *, dtype: torch.dtype) -> None:
        """`models` are over the tensors of `frozen` (`surgery.sharing`). Let go of all of them afterwards.

        Raises:
            ConfigError: a model changed what has no form here.
        """
        self.width, self.max_length, self.config = frozen.width, frozen.max_length, frozen.config
        self._embeddings = Embedder(frozen.embeddings, dtype)
        self._inputs = {name: _Input(frozen, model, dtype) for name, model in models.items()}
        own = [{name: model.layers[at] for name, model in models.items()} for at in range(len(frozen.layers))]
        layers = zip(frozen.layers, own, strict=True)
        self._layers = [_Layer(layer, mine, dtype) for layer, mine in layers if isinstance(layer, Layer)]

    def embed(self, asked: Asked) -> Tensor:
        """The input of the first layer, [N, D]; N counts the rows of a prompt."""
        return self._inputs[asked.name].embedded(self._embeddings, asked.batch)

    def read(self, asked: Sequence[Asked], *, embeddings: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Hidden states of the last layer in fp32 for each batch, [N, D] or [M, D] at its places."""
        pieces = [self.embed(one) for one in asked] if embeddings is None else list(embeddings)
        inner = [self._inputs[one.name].inner(one) for one in asked]
        spans = _spans(asked, [len(piece) for piece in pieces])
        layouts = _layouts(asked, [lengths for lengths, _ in inner], spans, self._prefixed, pieces[0].device)
        x = torch.cat(pieces)
        rows = len(x)
        x = padded(x, rounded(rows))
        places = [places for _, places in inner if places is not None]
        read = None
        if len(places) == len(asked):
            read = torch.cat([own + span.start for own, (_, span) in zip(places, spans, strict=True)])
            ends = _spans(asked, [len(own) for own in places])
        for layer in self._layers[:-1]:
            x = layer(x, layouts, spans)
        x = self._layers[-1](x, layouts, spans, read, ends if read is not None else spans)
        if read is not None:
            return [x[span].float() for _, span in ends]
        found = [x[span].float() for _, span in spans]
        return [one if own is None else one[own] for one, (_, own) in zip(found, inner, strict=True)]

    @property
    def _prefixed(self) -> frozenset[str]:
        return self._layers[0].prefixed


class SharedBackbone(Backbone):
    """One of the models over a shared encoder, for whoever reads with one at a time."""

    def __init__(self, shared: SharedEncoder, name: str) -> None:
        super().__init__()
        self.shared, self.name = shared, name
        self.width, self.max_length, self.config = shared.width, shared.max_length, shared.config
        self.gradient_checkpointing = False

    def embed(self, batch: Batch) -> Tensor:
        """The input of the first layer, [N, D], in the format of the weights; N counts the rows of a prompt."""
        return self.shared.embed(Asked(self.name, batch))

    def forward(self, batch: Batch, *, embeddings: Tensor | None = None, places: Tensor | None = None) -> Tensor:
        """Hidden states of the last layer, [N, D] fp32, or [M, D] at `places` [M]."""
        given = None if embeddings is None else [embeddings]
        return self.shared.read([Asked(self.name, batch, places)], embeddings=given)[0]

    def attention_on(self, device: torch.device, dtype: torch.dtype) -> str:
        """As on any processor."""
        return "padded in chunks"


class _Input:
    """What one model puts before the first layer, and where its own rows then lie."""

    def __init__(self, frozen: Encoder, model: Encoder, dtype: torch.dtype) -> None:
        prompt: Tensor | None = model.prompt()
        self._prompt = None if prompt is None else prompt.detach().to(dtype)
        self._begin = int(model.prompt.begin)
        self._words = _changed_words(model, dtype)
        self._shift = _difference(frozen.embeddings.norm, model.embeddings.norm, dtype)
        project, own = frozen.embeddings.project, model.embeddings.project
        self._behind = None if project is None or own is None else _difference(project, own, dtype)

    def embedded(self, embedder: Embedder, batch: Batch) -> Tensor:
        """[N, D]; N counts the rows of the prompt."""
        x = embedder(batch, self._prompt, begin=self._begin, words=self._words, shift=self._shift)
        return x if self._behind is None else x + self._behind

    def inner(self, asked: Asked) -> tuple[tuple[int, ...], Tensor | None]:
        """The lengths of the windows, and the places [M] that are read; what were all rows may be some of them."""
        if self._prompt is None:
            return asked.batch.lengths, asked.places
        longer, kept = behind(asked.batch, len(self._prompt))
        return longer.lengths, kept if asked.places is None else kept[asked.places]


@dataclass(frozen=True, slots=True)
class _Attending:
    """Windows that attend together: their rows, how those lie, and whose prefix they see."""

    rows: slice
    layout: Plan
    prefix: str | None


class _Layer:
    """Four products for all rows, as `answering.py` has them."""

    def __init__(self, frozen: Layer, models: Mapping[str, nn.Module], dtype: torch.dtype) -> None:
        own = {name: layer for name, layer in models.items() if isinstance(layer, Layer)}
        attention, forward = frozen.attention, frozen.feed_forward
        make = partial(_linear, own=own, dtype=dtype)
        self._heads = attention.heads
        self._core = AttentionCore()
        self._qkv = _together(attention, own, dtype)
        self._output = make("attention.output", attention.output)
        self._attention_norm = _ShiftedNorm("attention_norm", frozen, own, dtype)
        self._activation = forward.activation
        self._up, self._down = make("feed_forward.up", forward.up), make("feed_forward.down", forward.down)
        self._feed_forward_norm = _ShiftedNorm("feed_forward_norm", frozen, own, dtype)
        cores = {name: layer.attention.get_submodule("core") for name, layer in own.items()}
        self._prefixed = {
            name: copy.deepcopy(core).to(dtype) for name, core in cores.items() if isinstance(core, PrefixedCore)
        }

    @property
    def prefixed(self) -> frozenset[str]:
        """The models whose windows see a prefix."""
        return frozenset(self._prefixed)

    def __call__(
        self,
        x: Tensor,
        layouts: Sequence[_Attending],
        spans: Spans,
        places: Tensor | None = None,
        ends: Spans | None = None,
    ) -> Tensor:
        """[rounded N, D] to the same, or to [rounded M, D] at `places` [M], whose rows lie in `ends`."""
        qkv = self._qkv(x, spans)
        mixed = padded(torch.cat([self._attended(qkv, one) for one in layouts]), len(x))
        if places is not None and ends is not None:
            x, mixed, spans = picked(x, places), picked(mixed, places), ends
        x = self._attention_norm(self._output.added(mixed, x, spans), spans)
        return self._feed_forward_norm(
            self._down.added(self._up.activated(x, self._activation, spans), x, spans), spans
        )

    def _attended(self, qkv: Tensor, one: _Attending) -> Tensor:
        core = self._core if one.prefix is None else self._prefixed[one.prefix]
        mixed: Tensor = core(qkv[one.rows], one.layout, heads=self._heads, dropout=0.0)
        return mixed


class _ShiftedNorm:
    """Layer normalisation with what models add to its bias."""

    def __init__(self, name: str, frozen: Layer, own: Mapping[str, Layer], dtype: torch.dtype) -> None:
        norm = frozen.get_submodule(name)
        assert isinstance(norm, nn.LayerNorm)
        self._norm = Norm(norm, dtype)
        shifts = {model: _difference(norm, layer.get_submodule(name), dtype) for model, layer in own.items()}
        self._shifts = {model: shift for model, shift in shifts.items() if shift is not None}

    def __call__(self, x: Tensor, spans: Spans) -> Tensor:
        y = self._norm(x)
        for name, rows in spans:
            if name in self._shifts:
                y[rows].add_(self._shifts[name])
        return y


def _changed_words(model: Encoder, dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
    """The update of a model's words; None where they are those of the frozen encoder."""
    own = model.embeddings
    for table in (own.positions, own.segments):
        if isinstance(table, RowUpdate):
            raise no_form(table)
    words: nn.Module = own.words
    return (words.rows.to(dtype), words.up.to(dtype)) if isinstance(words, RowUpdate) else None


def _linear(name: str, frozen: nn.Linear, *, own: Mapping[str, Layer], dtype: torch.dtype) -> ChangedLinear:
    changes = {model: change(frozen, layer.get_submodule(name), dtype) for model, layer in own.items()}
    return ChangedLinear(frozen.weight, frozen.bias, changes, dtype=dtype)


def _together(attention: nn.Module, own: Mapping[str, Layer], dtype: torch.dtype) -> ChangedLinear:
    """Query, key and value as one product."""
    names = ("query", "key", "value")
    parts = [part for name in names if isinstance(part := attention.get_submodule(name), nn.Linear)]
    changes = {}
    for model, layer in own.items():
        each = [
            change(part, layer.attention.get_submodule(name), dtype) for name, part in zip(names, parts, strict=True)
        ]
        changes[model] = side_by_side(each, [part.out_features for part in parts])
    weight, bias = torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])
    return ChangedLinear(weight, bias, changes, dtype=dtype)


def _difference(frozen: nn.Module, own: nn.Module, dtype: torch.dtype) -> Tensor | None:
    """What was added to a bias; None where it is the same."""
    before, after = frozen.get_parameter("bias"), own.get_parameter("bias")
    return None if before is after else (after - before).detach().to(dtype)


def _spans(asked: Sequence[Asked], sizes: Sequence[int]) -> list[tuple[str, slice]]:
    spans, start = [], 0
    for one, size in zip(asked, sizes, strict=True):
        spans.append((one.name, slice(start, start + size)))
        start += size
    return spans


def _layouts(
    asked: Sequence[Asked],
    lengths: Sequence[tuple[int, ...]],
    spans: Spans,
    prefixed: frozenset[str],
    device: torch.device,
) -> list[_Attending]:
    """Batches that lie side by side attend together, but for those whose windows see a prefix of their own."""
    found: list[_Attending] = []
    waiting: list[int] = []

    def together() -> None:
        if waiting:
            rows = slice(spans[waiting[0]][1].start, spans[waiting[-1]][1].stop)
            own = tuple(length for at in waiting for length in lengths[at])
            found.append(_Attending(rows, plan(own, device), None))
            waiting.clear()

    for at, one in enumerate(asked):
        if one.name in prefixed:
            together()
            found.append(_Attending(spans[at][1], plan(lengths[at], device), one.name))
        else:
            waiting.append(at)
    together()
    return found
