"""One component a file, found by its file name; every kind and every field says what it is."""

import inspect
import json
import re

import pytest

from tunesmith.core import rooms
from tunesmith.core.component import Component, Room
from tunesmith.core.errors import ConfigError
from tunesmith.core.meaning import meaning_of

ROOMS = [value for value in vars(rooms).values() if isinstance(value, Room)]
EVERY = [
    pytest.param(room, kind, id=f"{room.package.rpartition('.')[2]}.{kind}") for room in ROOMS for kind in room.kinds
]


@pytest.mark.parametrize("room, kind", EVERY)
def test_a_kind_is_the_name_of_its_file(room: Room[Component], kind: str) -> None:
    component = room.component(kind)
    assert component.kind() == kind
    assert re.fullmatch(r"[a-z][a-z0-9_]*", kind)


@pytest.mark.parametrize("room, kind", EVERY)
def test_a_kind_and_its_fields_are_documented(room: Room[Component], kind: str) -> None:
    component = room.component(kind)
    assert inspect.getdoc(inspect.getmodule(component))
    assert component.__doc__
    silent = [name for name in component.model_fields if not meaning_of(component, name)]
    assert not silent, f"no docstring under: {silent}"
    assert len(component.model_fields) <= 12


@pytest.mark.parametrize("room, kind", EVERY)
def test_a_component_survives_being_saved(room: Room[Component], kind: str) -> None:
    required = [name for name, field in room.component(kind).model_fields.items() if field.is_required()]
    assert not required, "defaults work: a component needs no key"
    made = room.make(kind, key="x")
    assert room.make(json.loads(json.dumps(made.as_table())), key="x") == made


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.package)
def test_an_unknown_kind_names_the_nearest(room: Room[Component]) -> None:
    with pytest.raises(ConfigError, match="did you mean") as caught:
        room.make({"kind": f"{room.kinds[0]}x"}, key="section")
    assert str(caught.value.place) == "section.kind"
    with pytest.raises(ConfigError):
        room.component("os.system")
