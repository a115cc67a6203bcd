"""What the fields of a model mean: the docstrings below them, read from the source when somebody asks.

pydantic can do this itself as a class is made, at the cost of a tenth of a second whenever the program starts, and
hardly anybody asks.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from itertools import pairwise

from pydantic import BaseModel


def meaning_of(model: type[BaseModel], name: str) -> str:
    """The docstring of a field, its own description where it has one; empty where there is neither."""
    return model.model_fields[name].description or _docstrings(model).get(name, "")


@cache
def _docstrings(model: type[BaseModel]) -> Mapping[str, str]:
    """By field, those of base classes included."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if issubclass(kind, BaseModel) and kind is not BaseModel:
            found |= _own(kind)
    return found


def _own(kind: type[BaseModel]) -> dict[str, str]:
    """Nothing for a class without a source, as one made in a console."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    except (OSError, TypeError, ValueError, SyntaxError):
        return {}
    found: dict[str, str] = {}
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    for field, below in pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            found[field.target.id] = inspect.cleandoc(below.value.value)
    return found
