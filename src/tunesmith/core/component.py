"""A component is its own configuration, and a room is a folder of components found by their file names.

`Lora(rank=4)` in Python and `method = { kind = "lora", rank = 4 }` in TOML are the same object: fields above,
methods below, one class. Saving it is `as_table()`. A kind is the name of the file it lives in, nothing else: no
decorator list, no dotted path, no import string. Third parties add kinds through entry points `tunesmith.<room>`.
"""

import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.meaning import meaning_of


class Component(BaseModel):
    """A frozen, strict, closed value with behaviour. A field's docstring is its help (`meaning.py`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def kind(cls) -> str:
        """The name of the file that defines the component."""
        return cls.__module__.rpartition(".")[2]

    def as_table(self) -> dict[str, Any]:
        """The TOML table that makes an equal component, defaults written out."""
        return {"kind": self.kind()} | self.model_dump(mode="json")


C = TypeVar("C", bound=Component)


class Room(Generic[C]):
    """The components of one folder, imported one at a time and only when asked for."""

    def __init__(self, package: str, contract: type[C]) -> None:
        self.package = package
        self.contract = contract

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Every kind the room offers, sorted."""
        spec = importlib.util.find_spec(self.package)
        folder = list(spec.submodule_search_locations or ()) if spec else []
        own = {name for _, name, _ in pkgutil.iter_modules(folder) if not name.startswith("_")}
        return tuple(sorted(own | self._foreign.keys()))

    @cached_property
    def _foreign(self) -> dict[str, str]:
        found = importlib.metadata.entry_points(group=self.package)
        return {entry.name: entry.value for entry in found}

    def component(self, kind: str, *, key: str = "kind") -> type[C]:
        """The class of a kind.

        Raises:
            ConfigError: the room has no such kind; the message names the nearest one.
        """
        if kind not in self.kinds or not re.fullmatch(r"[a-z][a-z0-9_]*", kind):
            near = difflib.get_close_matches(kind, self.kinds, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(
                f"{self.package.rpartition('.')[2]} has no kind {kind!r}",
                code="TS-CONF-001",
                place=Place(key=key),
                fix=f"{hint}It has: {', '.join(self.kinds)}.",
            )
        module = importlib.import_module(self._foreign.get(kind, f"{self.package}.{kind}"))
        own = [
            value
            for value in vars(module).values()
            if inspect.isclass(value) and issubclass(value, self.contract) and value.__module__ == module.__name__
        ]
        if len(own) != 1:
            wanted = self.contract.__name__
            raise TypeError(f"{module.__name__} must define exactly one {wanted}, it defines {len(own)}")
        return own[0]

    def make(self, table: Mapping[str, Any] | str, *, key: str) -> C:
        """The component that a TOML table with a `kind` (or the kind alone) describes.

        Raises:
            ConfigError: at the exact key, with the nearest field name.
        """
        fields = {"kind": table} if isinstance(table, str) else dict(table)
        if "kind" not in fields:
            raise ConfigError(
                "no kind given",
                code="TS-CONF-002",
                place=Place(key=f"{key}.kind"),
                fix=f"choose one of: {', '.join(self.kinds)}.",
            )
        kind = self.component(str(fields.pop("kind")), key=f"{key}.kind")
        return validated(kind, fields, key=key)


M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], fields: Mapping[str, Any], *, key: str) -> M:
    """`model(**fields)`, with the first mistake as a `ConfigError` at its dotted key.

    A key that is unknown comes before one that is missing: the one is mostly the other, misspelt.
    """
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        first = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        path = ".".join(str(part) for part in (key, *first["loc"]) if part != "")
        message = {"extra_forbidden": "unknown key", "missing": "this key is required"}.get(first["type"], first["msg"])
        place = Place(key=path)
        raise ConfigError(message, code="TS-CONF-003", place=place, fix=_remedy(model, first, path)) from None


def _remedy(model: type[BaseModel], fault: ErrorDetails, path: str) -> str:
    """The nearest key for an unknown one; for a value that does not do, what the key means."""
    if fault["type"] == "missing":
        return f"write {path} = ..."
    *above, name = fault["loc"] or ("",)
    owner = _model_at(model, above)
    known = owner.model_fields if owner else {}
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(name), known, n=1)
        return (f"did you mean {near[0]!r}? " if near else "") + f"Known here: {', '.join(sorted(known))}."
    meaning = meaning_of(owner, str(name)) if owner and str(name) in known else ""
    return f"the key means: {' '.join(meaning.split())}" if meaning else "correct the value."


def _model_at(model: type[BaseModel], path: Sequence[int | str]) -> type[BaseModel] | None:
    """The table that a path of keys leads to; None where it leads out of the tables."""
    for part in path:
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (inspect.isclass(annotation) and issubclass(annotation, BaseModel)):
            return None
        model = annotation
    return model
