"""Label words: what a label is called in a template, as tokens, and the states of the blank they are asked for in.

causal    the words of all labels form a tree of tokens. Each inner node asks for the next token after the prompt and
          the tokens so far; a window holds one sequence for each longest way to an inner node, since shorter ones are
          its beginnings. Words of one token need the prompt alone.
masked    a word of n tokens is asked for in a blank of n masks, from left to right: its first token with all masked,
          the next with the first filled in, and so on. A window holds one sequence for each such state.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.cloze_head import Candidates
from tunesmith.tasks._template import Ids, read

KEY = "task.verbalizer"
Words = dict[str, str | list[str]]
Blank = tuple[int | None, ...]
"""What stands in the blank: tokens, and None for a mask."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One sequence of a window: what its blank holds, and the rows that are read, counted from the blank's first."""

    blank: Blank
    reads: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """The sequences of a window, their reads in the order of the nodes of `candidates`."""

    sequences: tuple[Sighting, ...]
    candidates: Candidates

    @property
    def longest(self) -> int:
        """Tokens of the longest blank."""
        return max(len(sequence.blank) for sequence in self.sequences)


def readable(label: str) -> str:
    """The name of a label as words: `card_lost` is "card lost"."""
    return " ".join(label.replace("_", " ").split()) or label


def label_words(given: Words, labels: Sequence[str]) -> dict[str, list[str]]:
    """The words of each label in the order of `labels`: those given, else its name made readable.

    Raises:
        ConfigError: words for a label that is not there, a blank word, or one word for two labels.
    """
    for label in given:
        if label not in labels:
            near = difflib.get_close_matches(label, labels, n=1)
            raise ConfigError(
                f"there is no label {label!r} to give words to",
                code="TS-TASK-060",
                place=Place(key=f"{KEY}.{label}"),
                fix=f"did you mean {near[0]!r}?" if near else f"the labels are: {', '.join(labels)}.",
            )
    words: dict[str, list[str]] = {}
    for label in labels:
        own = given.get(label, readable(label))
        words[label] = [own] if isinstance(own, str) else list(own)
        if not words[label] or not all(word.strip() for word in words[label]):
            raise _no_word(label, "has no word, or a blank one")
    _require_apart({label: [word.strip() for word in own] for label, own in words.items()})
    return words


def word_ids(words: Mapping[str, Sequence[str]], tokenizer: Tokenizer, *, spaced: bool) -> list[list[Ids]]:
    """Token ids of each word of each label, as they stand in the blank.

    Raises:
        ConfigError: a word that the tokenizer has no tokens for, or two labels whose words are the same tokens.
    """
    found = {label: read(list(own), tokenizer, spaced=spaced) for label, own in words.items()}
    for label, own in found.items():
        for word, ids in zip(words[label], own, strict=True):
            if not ids or tokenizer.unknown_id in ids:
                raise _no_word(label, f"is called {word!r}, which this backbone has no tokens for")
    _require_apart({label: [tuple(ids) for ids in own] for label, own in found.items()})
    return list(found.values())


def asked_causal(words: Sequence[Sequence[Sequence[int]]]) -> Asked:
    """For a causal model: `words` hold what stands in the blank and what follows it, to be scored as a whole."""
    flat = [tuple(word) for own in words for word in own]
    inner = sorted({word[:length] for word in flat for length in range(len(word))}, key=lambda ids: (len(ids), ids))
    longest = [ids for ids in inner if not any(len(other) > len(ids) and other[: len(ids)] == ids for other in inner)]
    sequences, node = [], dict[tuple[int, ...], int]()
    for ids in longest:
        fresh = [ids[:length] for length in range(len(ids) + 1) if ids[:length] not in node]
        node |= {prefix: len(node) + number for number, prefix in enumerate(fresh)}
        sequences.append(Sighting(ids, tuple(len(prefix) - 1 for prefix in fresh)))
    return Asked(tuple(sequences), _candidates(words, lambda word, step: node[word[:step]], len(node)))


def asked_masked(words: Sequence[Sequence[Sequence[int]]]) -> Asked:
    """For a masked model."""
    states = sorted({(len(word), tuple(word[:step])) for own in words for word in own for step in range(len(word))})
    node = {state: number for number, state in enumerate(states)}
    sequences = [Sighting((*done, *[None] * (length - len(done))), (len(done),)) for length, done in states]
    return Asked(tuple(sequences), _candidates(words, lambda word, step: node[len(word), word[:step]], len(node)))


def _candidates(
    words: Sequence[Sequence[Sequence[int]]], node: Callable[[tuple[int, ...], int], int], nodes: int
) -> Candidates:
    tokens = sorted({token for own in words for word in own for token in word})
    number = {token: index for index, token in enumerate(tokens)}
    flat = [(label, tuple(word)) for label, own in enumerate(words) for word in own]
    return Candidates(
        tokens=tokens,
        nodes=nodes,
        steps=[[(node(word, step), number[token]) for step, token in enumerate(word)] for _, word in flat],
        owners=[label for label, _ in flat],
    )


def _require_apart(words: Mapping[str, Sequence[object]]) -> None:
    owner: dict[object, str] = {}
    for label, own in words.items():
        for word in own:
            if owner.setdefault(word, label) != label:
                raise ConfigError(
                    f"the labels {owner[word]!r} and {label!r} have the same word, so nothing tells them apart",
                    code="TS-TASK-061",
                    place=Place(key=f"{KEY}.{label}"),
                    fix=f'give one of them another word: verbalizer = {{ "{label}" = "..." }}.',
                )


def _no_word(label: str, what: str) -> ConfigError:
    return ConfigError(
        f"the label {label!r} {what}",
        code="TS-TASK-062",
        place=Place(key=f"{KEY}.{label}"),
        fix=f'give it a word that the backbone knows: verbalizer = {{ "{label}" = "..." }}.',
    )
