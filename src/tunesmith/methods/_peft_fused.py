"""Layers of ours that transformers, and so peft, holds as one: their updates as one update of the whole, and back.

    A' = [A_q; A_k; A_v]   E' = [E_q; E_k; E_v]   B' = diag(B_q, B_k, B_v)   factors and lengths of rows likewise

On the way back each part gets its rows of B' and, of the r' directions, those that its rows have any use of.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Parts = dict[str, Tensor]
"""Tensors of one update by peft's name, without the layer: lora_A [r, in], lora_B [out, r], lora_E [r, 1],
lora_magnitude_vector [out], ia3_l [out, 1] or [1, in]"""


def joined(updates: Sequence[Parts | None], weights: Sequence[Tensor]) -> Parts:
    """One update of the whole from those of its parts, whose frozen `weights` [out, in] these are; None for a part that
    has none."""
    given = [update for update in updates if update is not None]
    if "ia3_l" in given[0]:
        ones = [weight.new_ones(len(weight), 1) for weight in weights]
        return {"ia3_l": torch.cat([u["ia3_l"] if u else one for u, one in zip(updates, ones, strict=True)])}
    rank, start, blocks = sum(len(update["lora_A"]) for update in given), 0, []
    for update, weight in zip(updates, weights, strict=True):
        rows = weight.new_zeros(len(weight), rank)
        if update is not None:
            end = start + len(update["lora_A"])
            rows[:, start:end] = update["lora_B"].detach()
            start = end
        blocks.append(rows)
    whole = {"lora_B": torch.cat(blocks)}
    whole |= {name: torch.cat([update[name] for update in given]) for name in ("lora_A", "lora_E") if name in given[0]}
    if "lora_magnitude_vector" in given[0]:
        lengths = [
            update["lora_magnitude_vector"] if update else torch.linalg.vector_norm(weight, dim=1)
            for update, weight in zip(updates, weights, strict=True)
        ]
        whole["lora_magnitude_vector"] = torch.cat(lengths)
    return whole


def taken_apart(whole: Mapping[str, Tensor], sizes: Sequence[int]) -> list[Parts]:
    """The updates of the parts, which are `sizes` rows high, from one of the whole."""
    apart: list[Parts] = [dict(whole) for _ in sizes]
    for name, tensor in whole.items():
        if name in ("lora_A", "lora_E") or len(tensor) != sum(sizes):
            continue  # every part has all of it, as of factors before the layer
        for part, own in zip(apart, torch.split(tensor, list(sizes)), strict=True):
            part[name] = own
    return [_useful(part) if "lora_B" in part else part for part in apart]


def _useful(part: Parts) -> Parts:
    """An update without the directions that its rows do not use, and at least one."""
    used = (part["lora_B"] != 0).any(0)
    used[0] |= not used.any()
    shorter = {name: part[name][used] for name in ("lora_A", "lora_E") if name in part}
    return part | shorter | {"lora_B": part["lora_B"][:, used]}


def parts_of(model_parts: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """The names of the parts of each whole: `h.0.attn.c_attn` has `h.0.attn.c_attn.query` and its siblings."""
    wholes = [name.rpartition(".")[0] for name in names if model_parts and name.endswith(f".{model_parts[0]}")]
    return {whole: [f"{whole}.{part}" for part in model_parts] for whole in wholes}
