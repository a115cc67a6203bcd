"""Fetching a model from the Hugging Face Hub: safetensors, configuration and tokenizer, nothing that can run."""

from pathlib import Path

from tunesmith.core.errors import MissingInputError, Place

PATTERNS = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "README.md",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*.safetensors",
)


def download(name: str) -> Path:
    """The folder of a snapshot, from the local cache where it is complete there.

    Raises:
        MissingInputError: no such model, no permission, or no network.
    """
    from huggingface_hub import snapshot_download  # half a second that a starter or a folder need not pay
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(PATTERNS)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, RuntimeError) as error:
        first = str(error).strip().split("\n")[0]
        raise MissingInputError(
            f"{name!r} is neither a folder here nor a model that the Hugging Face Hub gave us ({first[:200]})",
            code="TS-MODEL-008",
            place=Place(key="backbone"),
            fix="check the spelling and the network, or give a folder, a GGUF file or starter:english.",
        ) from None
