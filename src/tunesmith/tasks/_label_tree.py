"""Labels that are paths, such as `billing/refund/late`, as a tree.

A node is a step with all that stands above it: `billing`, `billing/refund`, `billing/refund/late`. A class is a label
that rows carry. Where rows end at a node that has others below it, that class is a leaf of its own under the node: what
belongs there and to none of the others.
Shapes: C classes, V nodes, L the depth of the deepest node.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tunesmith.core.errors import ConfigError, DataError, Place
from tunesmith.core.example import Example, Node
from tunesmith.prepare.label_paths import separator_of, ways_down
from tunesmith.tasks._labels import one_label, unusable

SHOWN = 6
"""Steps that an error names"""


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity, so that what is kept by tree costs no look at it
class LabelTree:
    """Nodes are named by their whole path and stand behind their parents."""

    nodes: tuple[str, ...]
    """[V]"""
    depths: tuple[int, ...]
    """[V], from 1"""
    parents: tuple[int, ...]
    """[V]; -1 where a node stands at the top"""
    lineages: tuple[tuple[int, ...], ...]
    """[C] the nodes on the way down to each class, its own the last"""
    above: tuple[tuple[int, ...], ...]
    """[C] the nodes above the leaf that a class is: its lineage, without its own node where nothing stands below it"""

    def lineage(self, node: int) -> tuple[int, ...]:
        """The nodes on the way down to a node, itself the last."""
        way = [node]
        while (parent := self.parents[way[-1]]) >= 0:
            way.append(parent)
        return tuple(reversed(way))


@lru_cache(maxsize=8)
def tree_of(labels: tuple[str, ...], separator: str) -> LabelTree:
    """The tree of the C labels, in their order."""
    ways = [ways_down(label, separator) for label in labels]
    known = sorted({(depth, node) for own in ways for depth, node in enumerate(own, 1)})
    nodes = [node for _, node in known]
    index = {node: number for number, node in enumerate(nodes)}
    parents = {own[depth]: index[own[depth - 1]] if depth else -1 for own in ways for depth in range(len(own))}
    inner = {parent for parent in parents.values() if parent >= 0}
    lineages = [tuple(index[node] for node in own) for own in ways]
    return LabelTree(
        nodes=tuple(nodes),
        depths=tuple(depth for depth, _ in known),
        parents=tuple(parents[node] for node in nodes),
        lineages=tuple(lineages),
        above=tuple(way if way[-1] in inner else way[:-1] for way in lineages),
    )


def path_of(example: Example) -> str:
    """The label of an example with gold, whether it stands there as its file gave it or as the nodes on its way.

    Raises:
        DataError: it carries none, several, a score or entities.
    """
    gold = example.gold
    if isinstance(gold, tuple) and gold and isinstance(gold[-1], Node):
        return gold[-1].label
    return one_label(example)


def require_paths(examples: Iterable[Example], separator: str) -> None:
    """Refuse labels that are no paths.

    Raises:
        DataError: at the first row whose label has an empty step, blanks around a step, or is that of an earlier row
            but for blanks.
    """
    written: dict[str, tuple[str, Example]] = {}
    known: set[str] = set()
    for example in examples:
        if example.gold is None or (label := path_of(example)) in known:
            continue
        known.add(label)
        steps = label.split(separator)
        if not all(step.strip() for step in steps):
            raise unusable(
                example,
                f"the label {label!r} has a step without a name",
                code="TS-TASK-080",
                fix=f"write one name between two {separator!r}, and none at the ends.",
            )
        bare = separator.strip().join(step.strip() for step in label.split(separator.strip() or separator))
        other, first = written.setdefault(bare, (label, example))
        if other != label:
            raise unusable(
                example,
                f"the label {label!r} is {other!r} of {first.source} but for blanks",
                code="TS-TASK-081",
                fix="write both alike.",
            )
        if any(step != step.strip() for step in steps):
            raise unusable(
                example,
                f"the label {label!r} has blanks around {separator!r}",
                code="TS-TASK-082",
                fix=f'take them out, or set task.separator = " {separator.strip()} ".',
            )


def require_tree(labels: Sequence[str], separator: str) -> None:
    """Refuse labels that have no levels.

    Raises:
        ConfigError: none holds the separator.
    """
    if any(separator in label for label in labels):
        return
    found = separator_of(labels)
    instead = f"set task.separator = {found!r}, which they share, or" if found else "set"
    raise ConfigError(
        f"no label holds {separator!r}, so they have no levels",
        code="TS-TASK-083",
        place=Place(key="task.separator"),
        fix=f'{instead} task.kind = "text_classification".',
    )


def not_in_tree(example: Example, label: str, tree: LabelTree, separator: str) -> DataError:
    """The refusal of a row whose label no training row has, with how much of its path there is."""
    index = {node: number for number, node in enumerate(tree.nodes)}
    known = [node for node in ways_down(label, separator) if node in index]
    under = index[known[-1]] if known else -1
    below = [
        name.rpartition(separator)[2] for name, parent in zip(tree.nodes, tree.parents, strict=True) if parent == under
    ]
    there = f"below {known[-1]!r} it has" if known else "at the top it has"
    shown = ", ".join(below[:SHOWN]) + (", ..." if len(below) > SHOWN else "")
    return unusable(
        example,
        f"no training row ends at {label!r}: {there} {shown or 'nothing'}",
        code="TS-TASK-084",
        fix="correct the row, leave it out, or add rows with this label to the training file (and to task.labels).",
    )
