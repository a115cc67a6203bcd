"""Reading a checkpoint's `config.json` as data and nothing else.

A Hugging Face configuration can name code to import (`auto_map`), kernels to download (`_attn_implementation_internal`)
and pipelines to run. Such keys are refused wherever they stand; harmless private notes are dropped, and the two private
facts that a model depends on are kept.
"""

from pathlib import Path
from typing import Any

from tunesmith.core.errors import ModelFileError, Place
from tunesmith.core.strict_json import JsonFault, parse

MAX_BYTES = 8 * 2**20
_CODE = frozenset(("auto_map", "custom_pipelines", "kernels", "kernel_config", "trust_remote_code", "use_kernels"))
_NOTES = frozenset(("_name_or_path", "_commit_hash", "_num_labels", "_attn_implementation_autoset"))
_FACTS = frozenset(("_remove_final_layer_norm", "_sliding_window_pattern"))
"""Of OPT and of Gemma 3: whether there is a last norm; every how many layers one attends to all"""


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object of at most 8 MB without repeated keys, NaN or absurd depth.

    Raises:
        ModelFileError: the file is missing or anything else.
    """
    place = Place(file=str(file))
    if not file.is_file():
        raise ModelFileError(
            "the file is missing",
            code="TS-MODEL-005",
            place=place,
            fix="a checkpoint needs it: save_pretrained writes it.",
        )
    if file.stat().st_size > MAX_BYTES:
        raise _unusable(f"the file is larger than {MAX_BYTES} bytes", place)
    try:
        value = parse(file.read_bytes())
    except JsonFault as fault:
        raise _unusable(fault.message, place) from None
    if not isinstance(value, dict):
        raise _unusable("not a JSON object", place)
    return value


def _unusable(message: str, place: Place) -> ModelFileError:
    fix = "copy or download the file again, or save the model anew with save_pretrained."
    return ModelFileError(message, code="TS-MODEL-005", place=place, fix=fix)


def read_config(file: Path) -> dict[str, Any]:
    """The configuration without private notes.

    Raises:
        ModelFileError: unreadable, without `model_type`, or with a key that can run code.
    """
    config = cleaned(read_json(file), file=str(file))
    if not isinstance(config.get("model_type"), str):
        raise ModelFileError(
            "no model_type",
            code="TS-MODEL-007",
            place=Place(file=str(file)),
            fix="use the config.json transformers writes.",
        )
    return config


def cleaned(config: dict[str, Any], *, file: str = "config.json") -> dict[str, Any]:
    """A copy without private notes.

    Raises:
        ModelFileError: a key at any depth can run code.
    """
    kept: dict[str, Any] = {}
    for key, value in config.items():
        if key in _NOTES:
            continue
        private = key.startswith("_") and not (key in _FACTS and isinstance(value, bool | int))
        if key in _CODE or private or ("attn_implementation" in key and "/" in str(value)):
            raise ModelFileError(
                "this key can make a loader run code and is refused",
                code="TS-MODEL-006",
                place=Place(file=file, key=key),
                fix="remove the key if the model works without it; models that need their own code are not supported.",
            )
        match value:
            case dict():
                kept[key] = cleaned(value, file=f"{file}: {key}")
            case list():
                kept[key] = [cleaned(item, file=f"{file}: {key}") if isinstance(item, dict) else item for item in value]
            case _:
                kept[key] = value
    return kept
