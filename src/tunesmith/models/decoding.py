"""How an answer is written: the table `decoding`, and what comes of it."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Reason = Literal["stop", "length", "constraint"]
"""Why a text ends: a token or a string that ends it; no room; nothing that its constraint allows to follow"""

_OF: dict[str, str] = dict.fromkeys(("temperature", "top_k", "top_p", "min_p", "seed"), "sample") | dict.fromkeys(
    ("beams", "length_penalty"), "beam"
)
"""Keys that mean something to one strategy only."""


class Decoding(BaseModel):
    """How the next token is chosen, and when to stop. The order of what changes scores is that of transformers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    strategy: Literal["greedy", "sample", "beam"] = "greedy"
    """Take the likeliest token, draw one, or keep several texts and take the likeliest whole."""
    max_new_tokens: int = Field(default=128, ge=1)
    """Tokens of an answer at most, the one that ends it included."""
    stop: list[str] = Field(default=[])
    """Strings that end an answer and are no part of it."""
    repetition_penalty: float = Field(default=1.0, gt=0.0)
    """Above 1, tokens of the prompt and the answer so far get less likely (Keskar et al. 2019, CTRL)."""
    temperature: float = Field(default=1.0, gt=0.0)
    """Below 1 the likely gets likelier; for "sample"."""
    top_k: int = Field(default=0, ge=0)
    """Draw among so many tokens, 0 for all; for "sample" (Fan et al. 2018)."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    """Draw among the likeliest tokens that together have this probability; for "sample" (Holtzman et al. 2020)."""
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    """Draw among tokens at least this share as likely as the likeliest; for "sample" (Nguyen et al. 2024)."""
    seed: int = Field(default=0, ge=0)
    """What is drawn follows from it and from the prompt, whatever else is answered beside; for "sample"."""
    beams: int = Field(default=4, ge=2)
    """Texts that are kept; for "beam"."""
    length_penalty: float = 1.0
    """The log-probability of a text is divided by its length to this power: above 0 favours long ones; for "beam"."""

    @field_validator("stop")
    @classmethod
    def _no_empty_stop(cls, stop: list[str]) -> list[str]:
        if "" in stop:
            raise ValueError("an empty string would end every answer at once")
        return stop

    @model_validator(mode="after")
    def _keys_have_an_effect(self) -> "Decoding":
        idle = [key for key in self._changed() if _OF.get(key, self.strategy) != self.strategy]
        if idle:
            key = idle[0]
            raise ValueError(f'{key} means nothing to the strategy "{self.strategy}", only to "{_OF[key]}"')
        if self.stop and self.strategy == "beam":
            raise ValueError('stop strings end a text as it is written; the strategy "beam" compares whole texts')
        return self

    def _changed(self) -> list[str]:
        """Keys that do not have their default."""
        values: dict[str, Any] = dict(self)
        return [key for key, field in type(self).model_fields.items() if values[key] != field.default]


@dataclass(frozen=True, slots=True)
class Written:
    """One answer."""

    ids: tuple[int, ...]
    """Its tokens, without the one that ends it; with those of a stop string"""
    text: str | None
    """What they say, up to a stop string; None where nobody told how tokens are read"""
    reason: Reason
    log_probability: float
    """Sum of what the model itself gave to each token, the ending one included: before penalties, filters and
    constraints"""


@dataclass(frozen=True, slots=True)
class Piece:
    """A bit of one answer, as it comes."""

    index: int
    """Of the prompt"""
    ids: tuple[int, ...]
    text: str
    """Whole characters that are surely no part of a stop string; empty while that is open, or without a reader"""
    reason: Reason | None
    """None while the answer goes on"""
    log_probability: float
    """Of `ids`, as in `Written`"""
