"""Docstrings of fields, found when asked."""

from pydantic import BaseModel, Field

from tunesmith.core.meaning import meaning_of


class Plain(BaseModel):
    """A model."""

    rate: float = 0.1
    """How fast,
    in steps."""
    silent: int = 0
    said: int = Field(default=0, description="By the field itself.")
    """Not this."""


class Wider(Plain):
    """Another."""

    other: str = ""
    """Its own."""


def test_a_field_means_what_stands_below_it():
    assert meaning_of(Plain, "rate") == "How fast,\nin steps."
    assert meaning_of(Plain, "silent") == ""
    assert meaning_of(Plain, "said") == "By the field itself."


def test_fields_of_a_base_keep_their_meaning():
    assert meaning_of(Wider, "rate") == meaning_of(Plain, "rate")
    assert meaning_of(Wider, "other") == "Its own."


def test_a_class_without_source_says_nothing():
    made = type("Made", (BaseModel,), {"__annotations__": {"rate": float}, "rate": 0.1})
    assert meaning_of(made, "rate") == ""
