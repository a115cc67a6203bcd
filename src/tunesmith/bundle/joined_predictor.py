"""Answers from several models over one backbone: each request says which model answers, or several of them.

Questions to models that label go through the backbone together, whichever model each of them is for. A model answers
in company as it answers alone. Models that rank documents, and those over a backbone that Tunesmith does not run as an
encoder, answer one after the other over the same weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from torch import Tensor

from tunesmith.bundle.answered import Answered
from tunesmith.bundle.display import Predictions
from tunesmith.bundle.golden import prove
from tunesmith.bundle.integrity import not_named
from tunesmith.bundle.joined import JoinedBundle, open_joined, ready_joined
from tunesmith.bundle.precision import Wanted
from tunesmith.bundle.predictor import CHUNK, Input, Predictor, as_example
from tunesmith.core.batch import Encoding
from tunesmith.core.errors import UsageError
from tunesmith.core.example import Example
from tunesmith.core.prediction import Prediction
from tunesmith.core.task import LabellingTask
from tunesmith.models.shared_encoder import SharedBackbone
from tunesmith.models.shared_inference import logits_side_by_side

Names = list[str] | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Questions:
    """What one of the models is asked."""

    adapter: str
    """Its name"""
    examples: Sequence[Example]


class JoinedPredictor:
    """A bundle of several models that answers. Not for two threads at once."""

    def __init__(self, joined: JoinedBundle, *, batch_tokens: int = 4096) -> None:
        self.joined = joined
        self._batch_tokens = batch_tokens
        self._parts = {name: Predictor(part, batch_tokens=batch_tokens) for name, part in joined.parts.items()}

    @classmethod
    def load(cls, folder: Path | str, *, precision: Wanted = "fp32") -> "JoinedPredictor":
        """Verify and open the bundle in `folder`; raises what `open_joined`, `ready_joined` and `prove` raise.

        `precision` is that of `load`: the golden rows of every model are proved in fp32 before anything is cast.
        """
        joined = open_joined(folder)
        prepared = ready_joined(joined, precision)
        if prepared.precision != "fp32":
            for part in joined.parts.values():
                prove(part)
        return cls(prepared)

    @property
    def adapters(self) -> tuple[str, ...]:
        """The names of the models."""
        return tuple(self._parts)

    def __getitem__(self, adapter: str) -> Predictor:
        """One of the models, with everything that a bundle of its own can do.

        Raises:
            UsageError: there is none of this name.
        """
        if adapter not in self._parts:
            raise UsageError(
                f"there is no adapter {adapter!r} in this bundle",
                code="TS-BUNDLE-052",
                fix=f"name one of: {', '.join(self._parts)}.",
            )
        return self._parts[adapter]

    def unnamed(self) -> UsageError:
        """The error for a question to none of the models; it names them."""
        return not_named(self.joined.folder, self.adapters)

    @overload
    def predict(self, inputs: Input, *, adapter: str | None = None) -> Prediction:
        """The answer of one model to one input."""

    @overload
    def predict(self, inputs: list[Input] | list[str], *, adapter: str | None = None) -> Predictions:
        """The answers of one model to many inputs, in their order."""

    @overload
    def predict(self, inputs: Input, *, adapter: Names) -> dict[str, Prediction]:
        """The answers of several models to one input, by their names."""

    @overload
    def predict(self, inputs: list[Input] | list[str], *, adapter: Names) -> dict[str, Predictions]:
        """The answers of several models to many inputs, by their names."""

    def predict(self, inputs: Any, *, adapter: str | Names | None = None) -> Any:
        """What the model `adapter` says to one input or a list of them; for a list of names, what each of them says.

        Raises:
            UsageError: no model is named, or one that is not there.
            DataError: an input is blank, or not what a task reads.
        """
        if adapter is None:
            raise self.unnamed()
        if isinstance(adapter, str):
            return self[adapter].predict(inputs)
        names = list(dict.fromkeys(adapter))
        single = isinstance(inputs, str | tuple | Example)
        given = [inputs] if single else inputs
        examples = [as_example(item, line) for line, item in enumerate(given, start=1)]
        said: dict[str, list[Prediction]] = {name: [] for name in names}
        for start in range(0, len(examples), CHUNK):
            part = examples[start : start + CHUNK]
            for name, answered in zip(names, self.answer([Questions(name, part) for name in names]), strict=True):
                said[name] += answered.predictions
        return {name: found[0] if single else Predictions(found) for name, found in said.items()}

    def answer(self, asked: Sequence[Questions]) -> list[Answered]:
        """What each of `asked` is answered, with the windows and logits behind it, in their order.

        Raises:
            UsageError: there is no model of a name.
            DataError: an example is blank, or not what its model's task reads.
        """
        parts = [self[one.adapter] for one in asked]
        together = [at for at, part in enumerate(parts) if _shares_passes(part)]
        windows = {}
        for at in together:
            parts[at].require_readable(asked[at].examples)
            windows[at] = parts[at].bundle.task.encode(asked[at].examples, parts[at].bundle.tokenizer)
        models = [(parts[at].bundle.model, windows[at]) for at in together]
        logits = dict(zip(together, logits_side_by_side(models, batch_tokens=self._batch_tokens), strict=True))
        return [
            _decoded(part, asked[at].examples, windows[at], logits[at])
            if at in logits
            else part.answer(asked[at].examples)
            for at, part in enumerate(parts)
        ]


def _shares_passes(part: Predictor) -> bool:
    """Whether a model's windows can go through the backbone beside those of others."""
    return isinstance(part.bundle.task, LabellingTask) and isinstance(part.bundle.model.backbone, SharedBackbone)


def _decoded(part: Predictor, examples: Sequence[Example], windows: list[Encoding], logits: list[Tensor]) -> Answered:
    task = part.bundle.task
    assert isinstance(task, LabellingTask), "only its windows went through the backbone"
    return Answered(task.decode(examples, windows, logits, head=part.bundle.model.head), windows, logits)
