"""A template: the text, maybe its pair, words of one's own, and a blank, as token ids of one running text.

A space between two parts belongs to the part that follows it, as byte-level tokenizers have it: in "It was [blank]" the
prompt ends with "was", and the label word is read as after a space.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tunesmith.core.tokenizer import Tokenizer

Kind = Literal["words", "text", "pair", "blank"]
Ids = tuple[int, ...]

_SLOTS: dict[str, Kind] = {"{text}": "text", "{pair}": "pair", "[blank]": "blank"}
_SLOT = re.compile(r"(\{text\}|\{pair\}|\[blank\])")
_BRACES = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the template. `spaced`: a space precedes it; `words` alone have a text of their own."""

    kind: Kind
    text: str
    spaced: bool


@dataclass(frozen=True, slots=True)
class Template:
    """The parts before and after the blank, and whether a space precedes the blank."""

    before: tuple[Part, ...]
    after: tuple[Part, ...]
    spaced: bool

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of them but the blank."""
        return self.before + self.after

    @property
    def pairs(self) -> bool:
        """Whether it shows a second text."""
        return any(part.kind == "pair" for part in self.parts)


def parsed(template: str) -> Template:
    """The parts of a template.

    Raises:
        ValueError: it lacks its blank or its text, has one twice, or has a brace that nothing is put into.
    """
    for slot, fewest, hint in (
        ("[blank]", 1, "write [blank] where the label word goes"),
        ("{text}", 1, "write {text} where the text goes"),
        ("{pair}", 0, "write {pair} where the second text goes, or leave it out"),
    ):
        if not fewest <= template.count(slot) <= 1:
            raise ValueError(f'a template holds {slot} once: {hint}, as in "{{text}} All in all, it was [blank]."')
    if unknown := [brace for brace in _BRACES.findall(template) if brace not in _SLOTS]:
        raise ValueError(f"a template puts nothing into {unknown[0]}: it knows {{text}}, {{pair}} and [blank]")
    parts, spaced = [], False
    for stretch in filter(None, _SLOT.split(template)):
        if stretch in _SLOTS:
            parts.append(Part(_SLOTS[stretch], "", spaced))
            spaced = False
            continue
        words = stretch.removeprefix(" ") if stretch.strip(" ") else ""
        inner = words.removesuffix(" ")
        if inner:
            parts.append(Part("words", inner, spaced or words != stretch))
        spaced = inner != words if inner else True
    place = next(index for index, part in enumerate(parts) if part.kind == "blank")
    return Template(tuple(parts[:place]), tuple(parts[place + 1 :]), parts[place].spaced)


def default_template(*, causal: bool) -> str:
    """For labels that name topics. A causal model is not shown what follows a blank that it has to fill."""
    return "{text}\nCategory: [blank]" if causal else "{text} Category: [blank]."


def read(stretches: Sequence[str], tokenizer: Tokenizer, *, spaced: bool, begins: bool = False) -> list[Ids]:
    """Token ids of texts without blanks around them that stand in one place; `begins`: nothing precedes them."""
    bare = [stretch.strip() for stretch in stretches]
    if begins:
        return [tuple(ids) for ids in tokenizer.texts(bare)]
    return tokenizer.stretches([(stretch, spaced) for stretch in bare])


def words_of(part: Part, tokenizer: Tokenizer, *, begins: bool) -> Ids:
    """Token ids of the template's own words, line breaks included."""
    if begins:
        return tuple(tokenizer.texts([part.text])[0])
    return tokenizer.stretches([(part.text, part.spaced)])[0]
