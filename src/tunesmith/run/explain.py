"""What a configuration key means: read off the field it sets, so that help and code cannot disagree."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tunesmith.core.component import Room
from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.meaning import meaning_of
from tunesmith.core.rooms import METHODS, REGULARIZERS, TASKS, TRACKERS
from tunesmith.run.config import SilverSettings
from tunesmith.run.data_settings import DataSettings, DrawFiles, MinedSettings, SplitSettings
from tunesmith.tune.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Meaning:
    """A key's help."""

    text: str
    type: str
    default: str


def meanings() -> Iterator[tuple[str, Meaning]]:
    """Every documented key with its help; keys of a component are written `method.lora.rank`."""
    yield "seed", Meaning("Decides every random choice of the run.", "int", "0")
    yield "backbone", Meaning("A starter, a folder, or a Hub name.", "str", "starter:english")
    adapters = "Folders of adapters that are folded into the backbone first, in this order; each was trained on it."
    yield "adapters", Meaning(adapters, "list[str]", "[]")
    yield from _fields("data", DataSettings)
    yield from _fields("data.split", SplitSettings)
    yield from _fields("data.draws", DrawFiles)
    yield from _fields("data.mined", MinedSettings)
    yield from _fields("silver", SilverSettings)
    yield from _fields("train", TrainSettings)
    rooms: dict[str, Room[Any]] = {
        "task": TASKS,
        "method": METHODS,
        "regularizers": REGULARIZERS,
        "trackers": TRACKERS,
    }
    for section, room in rooms.items():
        for kind in room.kinds:
            yield from _fields(f"{section}.{kind}", room.component(kind))


def explained(key: str) -> Meaning:
    """The help of one key.

    Raises:
        ConfigError: no such key; the message names the nearest ones.
    """
    known = dict(meanings())
    if key in known:
        return known[key]
    near = difflib.get_close_matches(key, known, n=3) or [name for name in known if name.endswith(f".{key}")]
    fix = f"did you mean {', '.join(near)}?" if near else "see docs/reference for all keys."
    raise ConfigError("unknown key", code="TS-CONF-007", place=Place(key=key), fix=fix)


def _fields(prefix: str, model: type[BaseModel]) -> Iterator[tuple[str, Meaning]]:
    for name, field in model.model_fields.items():
        yield f"{prefix}.{name}", Meaning(meaning_of(model, name), _type(field), _default(field))


def _type(field: FieldInfo) -> str:
    annotation: Any = field.annotation
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return text.replace("typing.", "")


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required" if field.default_factory is None else "empty"
    return "None" if field.default is None else str(field.default)
