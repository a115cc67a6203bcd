"""From prompts to answers: batches of similar length, one token a text and step, each text until it ends.

Shapes: B texts of a batch, D width, V words of the vocabulary.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tunesmith.core.errors import ConfigError, DataError, Place
from tunesmith.models.beams import searched
from tunesmith.models.constraints import Constraint
from tunesmith.models.decoding import Decoding, Piece, Reason, Written
from tunesmith.models.incremental import IncrementalModel
from tunesmith.models.inference import batches_by_length
from tunesmith.models.sampling import drawn, filtered, generators, likeliest, occurring, penalised
from tunesmith.models.visible_text import Reader, VisibleText

Head = Callable[[Tensor], Tensor]
"""Hidden states [B, D] to logits [B, V]"""
_LEFT = 7 / 8
"""Where fewer of a batch go on, what has ended leaves it: doing so earlier copies more than it saves."""


@dataclass(slots=True, eq=False)
class _Text:
    """One answer under way."""

    index: int
    limit: int
    """Tokens it may have"""
    constraint: Constraint | None
    visible: VisibleText | None
    ids: list[int] = field(default_factory=list)
    taken: int = 0
    reason: Reason | None = None


class Writer:
    """A model with its head, and the tokens that end a text."""

    def __init__(
        self,
        model: IncrementalModel,
        head: Head,
        *,
        ends: Collection[int],
        read: Reader | None = None,
        batch_tokens: int = 16_384,
    ) -> None:
        """`read` says what token ids mean, for texts and stop strings.

        `batch_tokens` bounds the tokens of prompts and answers that are under way together, for beams as often as
        there are; a longer prompt runs alone. A `PackedLinear` of the head's weight is the fastest head.
        """
        self._model, self._head = model, head
        self._ends, self._read = frozenset(ends), read
        self._batch_tokens = batch_tokens

    def write(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        constraint: Callable[[int], Constraint] | None = None,
    ) -> list[Written]:
        """An answer to each of `prompts` (token ids), in their order.

        `constraint` gives a new one for the prompt with a number.

        Raises:
            DataError: a prompt is empty, or leaves no room for an answer.
            ConfigError: stop strings without a reader, or a constraint with beams.
        """
        ids: list[list[int]] = [[] for _ in prompts]
        texts, totals = [""] * len(prompts), [0.0] * len(prompts)
        reasons: list[Reason] = ["length"] * len(prompts)
        for piece in self.stream(prompts, decoding, constraint=constraint):
            ids[piece.index] += piece.ids
            texts[piece.index] += piece.text
            totals[piece.index] += piece.log_probability
            reasons[piece.index] = piece.reason or "length"
        read = self._read is not None
        return [
            Written(tuple(own), text if read else None, reason, total)
            for own, text, reason, total in zip(ids, texts, reasons, totals, strict=True)
        ]

    def stream(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        constraint: Callable[[int], Constraint] | None = None,
    ) -> Iterator[Piece]:
        """The same as it comes: one piece for each token, the last of a text with its reason. Beams come whole.

        Raises:
            DataError, ConfigError: as `write`.
        """
        self._refuse(prompts, decoding, constrained=constraint is not None)
        beams = decoding.beams if decoding.strategy == "beam" else 1
        sources = generators(prompts, decoding.seed) if decoding.strategy == "sample" else []
        sizes = [beams * (len(prompt) + decoding.max_new_tokens) for prompt in prompts]
        for group in batches_by_length(sizes, self._batch_tokens):
            batch = [prompts[index] for index in group]
            limits = [min(decoding.max_new_tokens, self._model.max_length - len(prompt)) for prompt in batch]
            if decoding.strategy == "beam":
                yield from self._searched(group, batch, decoding, limits)
                continue
            texts = [
                _Text(
                    index,
                    limit,
                    None if constraint is None else constraint(index),
                    None if self._read is None else VisibleText(self._read, decoding.stop),
                )
                for index, limit in zip(group, limits, strict=True)
            ]
            yield from self._batch(batch, texts, decoding, [sources[index] for index in group] if sources else [])

    def _batch(
        self,
        prompts: Sequence[Sequence[int]],
        texts: list[_Text],
        decoding: Decoding,
        sources: Sequence[torch.Generator],
    ) -> Iterator[Piece]:
        state, hidden = self._model.prefill(prompts)
        seen: Tensor | None = None
        while True:
            with torch.inference_mode():
                logits = self._head(hidden).float()
                if decoding.repetition_penalty != 1.0 and seen is None:
                    seen = occurring(prompts, logits)
                tokens = self._chosen(logits, texts, seen, decoding=decoding, sources=sources)
                gained = logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
            for text, token, gain in zip(texts, tokens.tolist(), gained.tolist(), strict=True):
                if text.reason is None:
                    yield self._taken(text, token, gain)
            left = [row for row, text in enumerate(texts) if text.reason is None]
            if not left:
                return
            with torch.inference_mode():
                if seen is not None:
                    seen.scatter_(1, tokens[:, None], True)
                if len(left) <= _LEFT * len(texts):
                    rows = torch.tensor(left, device=tokens.device)
                    state.reorder(rows)
                    texts, tokens = [texts[row] for row in left], tokens[rows]
                    sources = [sources[row] for row in left] if sources else []
                    seen = None if seen is None else seen[rows]
                hidden = state.step(tokens)

    def _chosen(
        self,
        logits: Tensor,
        texts: Sequence[_Text],
        seen: Tensor | None,
        *,
        decoding: Decoding,
        sources: Sequence[torch.Generator],
    ) -> Tensor:
        """[B] of the next tokens."""
        scores = logits if seen is None else penalised(logits, seen, decoding.repetition_penalty)
        if any(text.constraint is not None for text in texts):
            scores = _constrained(scores, texts)
        if decoding.strategy == "greedy":
            return likeliest(scores)
        return drawn(filtered(scores, decoding), sources)

    def _taken(self, text: _Text, token: int, gain: float) -> Piece:
        """Put a token behind a text, and say what that shows."""
        text.taken += 1
        ending = token in self._ends
        shown = ""
        if not ending:
            text.ids.append(token)
            if text.constraint is not None:
                text.constraint.advance(token)
            if text.visible is not None:
                shown = text.visible.feed(token)
        if ending or (text.visible is not None and text.visible.stopped):
            text.reason = "stop"
        elif text.constraint is not None and text.constraint.finished:
            text.reason = "constraint"
        elif text.taken >= text.limit:
            text.reason = "length"
        if text.reason is not None and text.visible is not None:
            shown += text.visible.end()
        return Piece(text.index, () if ending else (token,), shown, text.reason, gain)

    def _searched(
        self, indices: Sequence[int], prompts: Sequence[Sequence[int]], decoding: Decoding, limits: Sequence[int]
    ) -> Iterator[Piece]:
        found = searched(self._model, self._head, prompts, decoding=decoding, limits=limits, ends=self._ends)
        for index, best in zip(indices, found, strict=True):
            ended = best.ids[-1] in self._ends
            ids = best.ids[:-1] if ended else best.ids
            text = "" if self._read is None else self._read(ids)
            yield Piece(index, ids, text, "stop" if ended else "length", best.log_probability)

    def _refuse(self, prompts: Sequence[Sequence[int]], decoding: Decoding, *, constrained: bool) -> None:
        if decoding.stop and self._read is None:
            raise _unfit("stop strings need a reader of tokens", "decoding.stop", "name end tokens, or give a reader.")
        if constrained and decoding.strategy == "beam":
            fix = 'choose decoding.strategy = "greedy" or "sample".'
            raise _unfit("beams cannot be constrained", "decoding.strategy", fix)
        for number, prompt in enumerate(prompts, start=1):
            if not 0 < len(prompt) < self._model.max_length:
                raise DataError(
                    f"prompt {number} has {len(prompt)} tokens; a prompt has at least 1, and with its answer at most "
                    f"{self._model.max_length}",
                    code="TS-MODEL-084",
                    fix="shorten the prompt, or choose a backbone for longer texts.",
                )


def _constrained(scores: Tensor, texts: Sequence[_Text]) -> Tensor:
    """`scores` [B, V] with minus infinity on what must not follow."""
    scores = scores.clone()
    for row, text in zip(scores, texts, strict=True):
        allowed = text.constraint.allowed() if text.constraint is not None and text.reason is None else None
        if allowed is not None:
            ids = torch.as_tensor(allowed, device=row.device)
            kept = row[ids]
            row.fill_(-torch.inf)
            row[ids] = kept
    return scores


def _unfit(what: str, key: str, fix: str) -> ConfigError:
    return ConfigError(what, code="TS-MODEL-085", place=Place(key=key), fix=fix)
