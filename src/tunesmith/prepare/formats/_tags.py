"""Word tags to entity spans, under the scheme they were written in.

    IOB1    I-X inside; B-X where an entity of the same type ends right before          conll2003 as published
    IOB2    B-X begins, I-X continues                                                   also called BIO
    BIOES   B-X begins, I-X continues, E-X ends, S-X alone                              also BILOU (L ends, U alone)
    BMES    the same with M-X for I-X                                                   usual for Chinese
    plain   X                                                                           neighbours belong together

A tag that its scheme does not allow at its place is a fault of the row, unless `repair` is chosen: then it begins an
entity where none of its type is open, and an entity that is never closed ends before the next tag. That is how
conlleval counts (Tjong Kim Sang and De Meulder 2003).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

from tunesmith.prepare.formats._faults import SKIP, RowFault
from tunesmith.prepare.formats._options import Scheme

UNTYPED = "entity"
"""The label of tags without a type (`B I O`)."""
_TAG = re.compile(r"([BIMESLU])[-_](.+)", re.DOTALL)
_LETTERS = {"IOB1": "IB", "IOB2": "IB", "BIOES": "BIESLU", "BMES": "BMES"}
_ROLE = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S"}


class TagFault(RowFault):
    """A tag that cannot stand where it stands. `index` is the word it belongs to."""

    def __init__(self, message: str, *, index: int, code: str, fix: str) -> None:
        super().__init__(message, code=code, fix=fix)
        self.index = index


@lru_cache(maxsize=4096)
def split_tag(tag: str) -> tuple[str, str]:
    """The letter of a tag and its type: `B-PER` is ("B", "PER"), `O` ("O", ""), `PER` ("", "PER")."""
    if tag == "O":
        return "O", ""
    if found := _TAG.fullmatch(tag):
        return found[1], found[2]
    return (tag, UNTYPED) if tag in _ROLE else ("", tag)


def entities_of(tags: Sequence[str], scheme: Scheme, *, repair: bool = False) -> list[tuple[int, int, str]]:
    """Entities as (first word, last word exclusive, label).

    Raises:
        TagFault: a tag of another scheme, or (without `repair`) one that its scheme does not allow there.
    """
    if scheme == "plain":
        return _runs(tags)
    found: list[tuple[int, int, str]] = []
    start, label = -1, ""
    for index, tag in enumerate(tags):
        letter, kind = split_tag(tag)
        role = _role(tag, letter, scheme=scheme, index=index, repair=repair)
        going_on = role in ("I", "E") and label == kind and start >= 0
        if not repair:
            _check(tag, role, index=index, scheme=scheme, open_label=label if start >= 0 else "", kind=kind)
        if start >= 0 and not going_on:
            found.append((start, index, label))
            start = -1
        if role != "O" and not going_on:
            start, label = index, kind
        if role in ("E", "S"):
            found.append((start, index + 1, label))
            start = -1
    if start >= 0:
        found.append((start, len(tags), label))
        if scheme in ("BIOES", "BMES") and not repair:
            raise _illegal(len(tags) - 1, f"the entity {label!r} is never closed by E-{label}", scheme)
    return found


def _role(tag: str, letter: str, *, scheme: Scheme, index: int, repair: bool) -> str:
    if letter == "O":
        return "O"
    if letter and (repair or letter in _LETTERS[scheme]):
        return _ROLE[letter]
    raise TagFault(
        f"the tag {tag!r} does not belong to the scheme {scheme}",
        index=index,
        code="TS-DATA-028",
        fix=f"write every tag in one scheme; `scheme` sets which (IOB1, IOB2, BIOES, BMES, plain), {SKIP}.",
    )


def _check(tag: str, role: str, *, index: int, scheme: Scheme, open_label: str, kind: str) -> None:
    """Refuse an illegal step. Under IOB1 every step has a meaning (a B that touches nothing begins an entity too)."""
    same = open_label == kind
    if scheme == "IOB1":
        return
    if role in ("I", "E") and not same:
        before = f"inside {open_label!r}" if open_label else "where no entity is open"
        raise _illegal(index, f"{tag!r} {before}", scheme)
    elif scheme != "IOB2" and role in ("O", "B", "S") and open_label:
        raise _illegal(index, f"{tag!r} while the entity {open_label!r} is still open", scheme)


def _illegal(index: int, what: str, scheme: Scheme) -> TagFault:
    return TagFault(
        f"illegal transition in {scheme}: {what}",
        index=index,
        code="TS-DATA-029",
        fix=f'correct the tag, set transitions = "repair" to read it as conlleval does, {SKIP}.',
    )


def _runs(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    for index, tag in enumerate(tags):
        if tag == "O":
            continue
        if found and found[-1][1] == index and found[-1][2] == tag:
            found[-1] = (found[-1][0], index + 1, tag)
        else:
            found.append((index, index + 1, tag))
    return found


def guess_scheme(sentences: Iterable[Sequence[str]]) -> tuple[Scheme, tuple[str, ...]]:
    """The scheme of tagged sentences, and a note that says why and what does not fit.

    IOB1 and IOB2 share their letters: an entity that begins with I and never with B (unless it touches one of its
    own type) is IOB1.
    """
    letters: Counter[str] = Counter()
    begun_by: Counter[str] = Counter()
    for tags in sentences:
        before = ("O", "")
        for tag in tags:
            letter, kind = split_tag(tag)
            letters[letter] += 1
            if letter in ("B", "I") and before[1] != kind:
                begun_by[letter] += 1
            before = (letter, kind)
    if letters[""]:
        return "plain", _plain_note(letters)
    if letters["M"]:
        scheme: Scheme = "BMES"
    elif any(letters[letter] for letter in "ESLU"):
        scheme = "BIOES"
    else:
        return _iob(begun_by)
    seen = ", ".join(sorted(letter for letter in letters if letter != "O"))
    return scheme, (f"tag scheme {scheme} (letters {seen})",)


def _plain_note(letters: Counter[str]) -> tuple[str, ...]:
    typed = sum(count for letter, count in letters.items() if letter not in ("", "O"))
    if typed:
        return (f"tag scheme plain: {letters['']} tag(s) have no B- or I-; set `scheme` if the others are right",)
    return ("tag scheme plain (no B- or I-): neighbours with the same label are read as one entity",)


def _iob(begun_by: Counter[str]) -> tuple[Scheme, tuple[str, ...]]:
    with_b, with_i = begun_by["B"], begun_by["I"]
    scheme: Scheme = "IOB1" if with_i > with_b else "IOB2"
    why = f"{with_b} entities begin with B-, {with_i} with I-"
    if with_b and with_i:
        why += f': {min(with_b, with_i)} do not fit and will be refused (transitions = "repair" reads them all)'
    if not with_b and not with_i:
        why = "no entity in the sample"
    return scheme, (f"tag scheme {scheme} ({why})",)
