"""What `/v1/predict` reads and writes. The same models parse a request and describe it in `/openapi.json`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tunesmith.bundle.answers import answer_of
from tunesmith.core.example import Example, Source
from tunesmith.core.prediction import Prediction
from tunesmith.core.strict_json import JsonFault, parse
from tunesmith.serve.batcher import Ask
from tunesmith.serve.problem import Problem
from tunesmith.serve.settings import ServeSettings

MAX_DEPTH: Final = 16
_SHOWN_PATH: Final = 80
_SHOWN_ERRORS: Final = 10


class Item(BaseModel):
    """One text, with its pair where the task reads two."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: str = Field(description="The text to read.")
    pair: str | None = Field(default=None, description="The second text, or the question, for tasks that read two.")


class PredictRequest(BaseModel):
    """One item inline (`text`, perhaps `pair`), or many under `items`; never both."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: str | None = Field(default=None, description="The text to read.")
    pair: str | None = Field(default=None, description="The second text, or the question, for tasks that read two.")
    items: list[Item] | None = Field(default=None, description="Many texts, answered in this order.")
    adapter: str | list[str] | None = Field(
        default=None, description="Which model answers, or which ones do, where several share the bundle."
    )

    @model_validator(mode="after")
    def _one_or_many(self) -> "PredictRequest":
        if (self.text is None) == (self.items is None) or (self.items is not None and self.pair is not None):
            raise ValueError("give either text (and pair) or items")
        return self


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for: every text of every model that it names, one model after the other."""

    asks: tuple[Ask, ...]
    adapters: tuple[str, ...]
    """The models it names; none where the bundle is one model"""
    single: bool
    """Whether it gave one text, and no list"""
    several: bool
    """Whether it gave a list of models"""


def read_request(body: bytes, settings: ServeSettings, *, adapters: Sequence[str] = ()) -> Wanted:
    """What a request body asks of a service whose models are `adapters`, none for a bundle of one model.

    Raises:
        Problem: 400 not JSON, 422 not the schema or no such model, 413 more items or characters than allowed.
    """
    try:
        value = parse(body, max_depth=MAX_DEPTH)
    except JsonFault as fault:
        raise Problem(400 if fault.syntax else 422, f"The body is refused: {fault.message}.") from None
    try:
        request = PredictRequest.model_validate(value)
    except ValidationError as error:
        raise Problem(422, "The body does not have the fields that it should.", errors=_faults(error)) from None
    single = request.items is None
    items = [Item(text=request.text or "", pair=request.pair)] if request.items is None else request.items
    named = _named(request.adapter, adapters)
    _check_sizes(items, single, settings, times=max(1, len(named)))
    examples = [
        Example(id=str(place), text=item.text, pair=item.pair, source=Source("request", place))
        for place, item in enumerate(items, start=1)
    ]
    asks = tuple(Ask(example, name) for name in named or ("",) for example in examples)
    return Wanted(asks, named, single, isinstance(request.adapter, list))


def _named(given: str | list[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """The models that a request names, each once."""
    names = () if given is None else (given,) if isinstance(given, str) else tuple(dict.fromkeys(given))
    if not known and given is not None:
        raise _no_adapter("This bundle is one model: leave the adapter out.", "is not asked for here")
    if known and not names:
        raise _no_adapter(f"Say which adapter answers: {', '.join(known)}.", "is missing")
    if any(name not in known for name in names):
        raise _no_adapter(f"There is no such adapter. There are: {', '.join(known)}.", "is none of this bundle")
    return names


def _no_adapter(detail: str, message: str) -> Problem:
    return Problem(422, detail, errors=[{"path": "adapter", "message": message}], reason="adapter")


def _check_sizes(items: list[Item], single: bool, settings: ServeSettings, *, times: int) -> None:
    """Refuse what is too much; each text counts as often as it is read, `times`."""
    if not items:
        raise Problem(422, "There is no item to answer.", errors=[{"path": "items", "message": "is empty"}])
    if len(items) * times > settings.max_items:
        raise Problem(413, f"{len(items) * times} items where at most {settings.max_items} are read at once.")
    total = 0
    for place, item in enumerate(items):
        where = "" if single else f"items.{place}."
        size = len(item.text) + len(item.pair or "")
        total += size * times
        if size > settings.max_characters:
            raise Problem(
                413,
                f"A text is longer than {settings.max_characters} characters.",
                errors=[{"path": f"{where}text", "message": f"has {size} characters with its pair"}],
            )
        for name, text in (("text", item.text), ("pair", item.pair)):
            if text is not None and not text.strip():
                raise Problem(422, "A text is blank.", errors=[{"path": f"{where}{name}", "message": "is blank"}])
    if total > settings.max_request_characters:
        raise Problem(413, f"{total} characters where at most {settings.max_request_characters} are read at once.")


def write_answer(
    predictions: Sequence[Prediction],
    wanted: Wanted,
    *,
    model: str,
    version: str,
    request_id: str,
    reranker: str | None = None,
) -> bytes:
    """The body of a 200: `result` for one text, `results` for many, with the model (and re-ranker) that answered.

    A request that names several models gets their answers by name, under `adapters`.
    """
    answers = [answer_of(prediction) for prediction in predictions]
    record: dict[str, Any] = {"model": model, "version": version, "request_id": request_id}
    record |= {} if reranker is None else {"reranker_version": reranker}
    count = len(answers) // max(1, len(wanted.adapters))
    said = [answers[start : start + count] for start in range(0, len(answers), count)]
    results = [{"result": own[0]} if wanted.single else {"results": own} for own in said]
    if wanted.several:
        record["adapters"] = dict(zip(wanted.adapters, results, strict=True))
    else:
        record |= {"adapter": wanted.adapters[0]} | results[0] if wanted.adapters else results[0]
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8")


def _faults(error: ValidationError) -> list[dict[str, str]]:
    """Paths and messages; the value that was sent is never repeated."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[:_SHOWN_ERRORS]
    return [
        {"path": ".".join(str(part) for part in fault["loc"])[:_SHOWN_PATH], "message": str(fault["msg"])}
        for fault in found
    ]
