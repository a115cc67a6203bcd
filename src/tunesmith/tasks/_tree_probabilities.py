"""Probabilities on a tree of labels, from one softmax over its leaves: what stands above others is their sum.

    loss of class c    -(log p_c + u sum over the nodes a above c of log P(a)) / (1 + u |a|)
    expected F1 of v   sum over c of p_c 2 common(v, c) / (depth v + depth c)

P(a) is the sum of p over the leaves below a, common(v, c) counts the nodes that lie on the way down to both: so
2 common / (depth + depth) is the F1 of their sets of nodes. Sums are taken in fp64, where no node of a finite model
underflows, and by products or in the order of the leaves, so that a row's numbers do not depend on its company.
Shapes: M places, E examples, C classes, V nodes, I nodes that others stand below, L the depth of the deepest node.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from tunesmith.tasks._label_tree import LabelTree

_TINY = torch.finfo(torch.float64).tiny
_ROWS = 256
"""Examples whose expected scores of every node stand in memory at a time"""


def path_losses(logits: Tensor, targets: Tensor, tree: LabelTree, *, upper_levels: float) -> Tensor:
    """[M, C] and classes [M] to losses [M] in fp32, or fp64 where the logits are."""
    log_p = logits.double().log_softmax(-1)
    own = log_p.gather(-1, targets[:, None]).squeeze(-1)
    if upper_levels == 0:
        return -own.to(_kept(logits))
    above = _above(tree).to(logits.device)  # [C, I]
    chosen = above[targets]
    total = own + upper_levels * (_log_sums(log_p, above) * chosen).sum(-1)
    return (-total / (1 + upper_levels * chosen.sum(-1))).to(_kept(logits))


def path_excess(logits: Tensor, targets: Tensor, tree: LabelTree, *, upper_levels: float) -> Tensor:
    """[M] the mean of the losses of all classes minus that of the target's, from logits [M, C] and classes [M]."""
    log_p = logits.double().log_softmax(-1)
    above = _above(tree).to(logits.device)
    shares = 1 / (1 + upper_levels * above.sum(-1))  # [C]
    uniform = -(log_p @ shares + upper_levels * (_log_sums(log_p, above) @ (above.T @ shares))) / len(shares)
    return uniform.to(_kept(logits)) - path_losses(logits, targets, tree, upper_levels=upper_levels)


def node_probabilities(shares: Tensor, tree: LabelTree) -> Tensor:
    """[E, V] fp64 probability that a text belongs below each node, from shares [E, C] of the classes."""
    return _mass(shares, tree).sum(-1).clamp(max=1.0)


def best_nodes(shares: Tensor, tree: LabelTree, *, threshold: float) -> list[int]:
    """[E] the node with the highest expected F1 among those at the top and those that are at least so likely.

    Among equals the one that stands highest. `shares` are [E, C].
    """
    depths = torch.tensor(tree.depths)
    top = depths == 1
    gains = 2.0 / (depths[:, None] + torch.arange(1, int(depths.max()) + 1)).double()  # [V, L]
    found: list[int] = []
    for first in range(0, len(shares), _ROWS):
        mass = _mass(shares[first : first + _ROWS], tree)
        allowed = top | (mass.sum(-1) >= threshold)
        expected = (_summed_down(mass, tree) * gains).sum(-1).round(decimals=9)  # equal sums differ in last bits
        found += expected.masked_fill(~allowed, -1.0).argmax(-1).tolist()
    return found


def _mass(shares: Tensor, tree: LabelTree) -> Tensor:
    """[E, V, L] the probability of the classes of each depth below each node."""
    pairs = _pairs(tree)
    levels = max(tree.depths)
    flat = torch.zeros(len(shares), len(tree.nodes) * levels, dtype=torch.float64)
    return flat.index_add_(1, pairs.cells, shares.double()[:, pairs.classes]).view(-1, len(tree.nodes), levels)


def _summed_down(mass: Tensor, tree: LabelTree) -> Tensor:
    """[E, V, L] the sums over each node and those above it."""
    total = mass.clone()
    for depth in range(2, max(tree.depths) + 1):
        nodes = [node for node, own in enumerate(tree.depths) if own == depth]
        total[:, nodes] += total[:, [tree.parents[node] for node in nodes]]
    return total


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Every class with every node on the way down to it."""

    classes: Tensor
    """[K]"""
    cells: Tensor
    """[K] node x L + depth of the class - 1"""


@lru_cache(maxsize=8)
def _pairs(tree: LabelTree) -> _Pairs:
    levels = max(tree.depths)
    pairs = [(c, node * levels + len(way) - 1) for c, way in enumerate(tree.lineages) for node in way]
    classes, cells = torch.tensor(pairs).T.contiguous()
    return _Pairs(classes, cells)


@lru_cache(maxsize=8)
def _above(tree: LabelTree) -> Tensor:
    """[C, I] 1 where a node stands above the leaf of a class."""
    inner = sorted({node for way in tree.above for node in way})
    column = {node: number for number, node in enumerate(inner)}
    above = torch.zeros(len(tree.lineages), len(inner), dtype=torch.float64)
    for own, way in enumerate(tree.above):
        above[own, [column[node] for node in way]] = 1.0
    return above


def _log_sums(log_p: Tensor, above: Tensor) -> Tensor:
    """[M, I] log P of the nodes that others stand below."""
    return (log_p.exp() @ above).clamp(min=_TINY).log()


def _kept(logits: Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)
