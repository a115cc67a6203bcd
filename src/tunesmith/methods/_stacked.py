"""An adapter under what is trained on top of it: folded into the backbone, which is another one then."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from tunesmith.core.model import Backbone
from tunesmith.methods._peft_files import WEIGHTS, fold_adapter
from tunesmith.models.checkpoint import Checkpoint

AND: Final = " + "
"""What stands between a backbone and each adapter in it, in the name of both together"""


def with_adapter(backbone: Backbone, checkpoint: Checkpoint, adapter: Path) -> Checkpoint:
    """The checkpoint with an adapter folded in: what is trained on it has another fingerprint.

    Args:
        backbone: Of the checkpoint; changed in place.
        adapter: The folder of its files.

    Raises:
        MissingInputError: a file of the adapter is not there.
        ModelFileError: it is damaged, no update of weights, or was trained on another backbone.
    """
    fold_adapter(backbone, adapter, fingerprint=checkpoint.fingerprint)
    with (adapter / WEIGHTS).open("rb") as file:
        both = f"{checkpoint.fingerprint} {hashlib.file_digest(file, 'sha256').hexdigest()}"
    fingerprint = hashlib.sha256(both.encode()).hexdigest()
    return replace(checkpoint, name=f"{checkpoint.name}{AND}{adapter}", fingerprint=fingerprint)
