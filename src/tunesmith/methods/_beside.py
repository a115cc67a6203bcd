"""What a trained model holds beside the backbone it began with, where that is small: nothing is folded in.

    a low-rank update or factors    out of the files of peft that the run left, as an `Update` beside each layer
    additions                       as they are
    biases                          those that are not the backbone's
    the head

It is computed and not believed: the backbone with all of it must have the weights of the trained model.
"""

import copy
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from tunesmith.core.model import Backbone, Model
from tunesmith.methods._folded import Folded
from tunesmith.methods._low_rank_table import LowRankTable
from tunesmith.methods._peft_files import read_adapter
from tunesmith.models.additions import RowUpdate, Update, add, additions_state
from tunesmith.models.hub_names import plain_state
from tunesmith.models.learnt import learnt_state
from tunesmith.models.surgery import sharing

SAME: Final = 1e-5
"""How far a weight of the backbone with its update may lie from the trained one, beside the same share of its size"""


class WeightsMoved(Exception):
    """A weight of the backbone itself was changed, and nothing small accounts for it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def learnt_beside(backbone: Backbone, trained: Model, *, adapter: Path | None) -> dict[str, Tensor]:
    """The table of `models.learnt` for a trained model that is merged; `adapter` are the files of its update.

    Raises:
        WeightsMoved: `trained` is not the backbone with a small addition.
        ModelFileError: the adapter is damaged, or of another backbone.
    """
    model = Model(sharing(backbone), copy.deepcopy(trained.head))
    add(model, additions_state(trained))
    if adapter is not None:
        read_adapter(model, adapter)
    biases, theirs = {}, plain_state(trained)
    for name, tensor in plain_state(model).items():
        if not name.startswith("backbone.") or torch.equal(tensor, theirs[name]):
            continue
        if name.endswith(".bias"):
            biases[name] = theirs[name]
        elif not torch.allclose(tensor, theirs[name], rtol=SAME, atol=SAME):
            raise WeightsMoved(name)
    for name, module in list(model.named_modules()):
        if isinstance(module, Folded):
            model.set_submodule(name, Update(module.base, module.update()))
        if isinstance(module, LowRankTable):
            model.set_submodule(name, RowUpdate(module.base, module.lora_A, module.scale * module.lora_B))
    return learnt_state(Model(model.backbone, trained.head), biases)
