"""Which layers of a backbone a method means, by the names they have in it."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

from torch import nn

from tunesmith.core.errors import ConfigError, Place

P = TypeVar("P", bound=nn.Module)
_ATTENTION_OUTPUT = re.compile(r"(?:attention|attn)\.(?:.*\.)?(?:output|output\.dense|dense|o|o_proj|out_proj|c_proj)$")
"""The last product of attention, in our backbones and in those of transformers"""
_ATTENTION = re.compile(r"attention|attn")
_TOGETHER = ("query_key_value", "qkv_proj", "Wqkv", "qkv", "c_attn")
_ELSEWHERE: Final = {
    "query": (("query_proj", "q_proj", "q_lin", "q"), _TOGETHER),
    "key": (("key_proj", "k_proj", "k_lin", "k"), _TOGETHER),
    "value": (("value_proj", "v_proj", "v_lin", "v"), _TOGETHER),
    "words": (("word_embeddings", "embed_tokens", "wte"),),
}
"""What transformers calls the parts of attention, and the words, in backbones that it runs: the first that there is"""


EVERY: Final = "all-linear"
"""The target that means every linear layer but those of the embeddings, as in peft"""


def linear_layers(places: Mapping[str, nn.Module]) -> dict[str, nn.Linear]:
    """Every linear layer by name."""
    return {name: module for name, module in places.items() if isinstance(module, nn.Linear)}


def embedding_tables(places: Mapping[str, nn.Module]) -> dict[str, nn.Embedding]:
    """Every plain table of embeddings by name; a subclass may scale what it looks up."""
    return {name: module for name, module in places.items() if type(module) is nn.Embedding}


def targeted(layers: Mapping[str, P], targets: Sequence[str], *, key: str) -> dict[str, P]:
    """The layers whose names end with one of `targets`, a last part or the last parts of a name.

    `query`, `key`, `value` and `words` mean these layers by whatever name a backbone has for them; where it holds the
    first three as one, that. `all-linear` means every linear layer but those of the embeddings.

    Raises:
        ConfigError: at `key`, naming a target that fits no layer and what there is.
    """
    found = {name for target in targets for name in _meant(layers, target, key)}
    return {name: layer for name, layer in layers.items() if name in found}


def attention_outputs(places: Mapping[str, nn.Module]) -> dict[str, nn.Linear]:
    """The linear layers that end attention."""
    return {name: layer for name, layer in linear_layers(places).items() if _ATTENTION_OUTPUT.search(name)}


def feed_forward_outputs(places: Mapping[str, nn.Module]) -> dict[str, nn.Linear]:
    """The linear layers that end a feed-forward part: those outside attention that narrow what they are given."""
    outside = {name: layer for name, layer in linear_layers(places).items() if not _ATTENTION.search(name)}
    return {name: layer for name, layer in outside.items() if layer.in_features > layer.out_features}


def require_rank(layers: Mapping[str, nn.Linear | nn.Embedding], rank: int) -> None:
    """Refuse a rank that is no low rank.

    Raises:
        ConfigError: at `method.rank`, naming the layer.
    """
    for name, layer in layers.items():
        width = min(layer.weight.shape)
        if rank > width:
            raise ConfigError(
                f"rank {rank} is above the width {width} of {name}",
                code="TS-METHOD-002",
                place=Place(key="method.rank"),
                fix=f"take at most {width}; 4 to 32 is usual.",
            )


def own_places(places: Mapping[str, nn.Module], kind: type[P], what: str) -> dict[str, P]:
    """The modules of a kind that only backbones of our own have.

    Raises:
        ConfigError: there is none: transformers runs this backbone.
    """
    found = {name: module for name, module in places.items() if isinstance(module, kind)}
    if not found:
        raise unfit(
            f"a backbone that transformers runs has no place for a {what}",
            "method.kind",
            'choose "adapter" or "lora", or a backbone of a family that Tunesmith runs itself.',
        )
    return found


def unfit(what: str, key: str, fix: str) -> ConfigError:
    """The error of a backbone that a method does not fit."""
    return ConfigError(what, code="TS-METHOD-003", place=Place(key=key), fix=fix)


def named(names: Iterable[str]) -> str:
    """The different last parts of names, sorted."""
    return ", ".join(sorted({name.rpartition(".")[2] for name in names}))


def _meant(layers: Mapping[str, nn.Module], target: str, key: str) -> list[str]:
    """The names of the layers that a target means."""
    if target == EVERY and (inside := [name for name in linear_layers(layers) if "embed" not in name]):
        return inside
    for names in ((target,), *_ELSEWHERE.get(target, ())):
        if fitting := [name for name in layers if any(f".{name}".endswith(f".{one}") for one in names)]:
            return fitting
    raise _no_target(target, layers, key)


def _no_target(target: str, layers: Mapping[str, nn.Module], key: str) -> ConfigError:
    known = sorted({name.rpartition(".")[2] for name in layers})
    near = difflib.get_close_matches(target, [*known, EVERY], n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return ConfigError(
        f"no layer of this backbone fits the target {target!r}",
        code="TS-METHOD-001",
        place=Place(key=key),
        fix=f"{hint}It has: {named(layers)}.",
    )
