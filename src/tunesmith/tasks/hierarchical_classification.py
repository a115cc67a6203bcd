"""One label for a whole text, from a tree of labels such as `billing/refund/late`.

    p = softmax(head(h)) over the classes        P(node) = sum of p over the classes below it
    loss = weighted mean over the levels of -log P(the row's node of that level), or of the last alone
    answer = the node with the highest expected F1 of its path, among those with P(node) >= threshold

h is the hidden state of a window's first token. A class is a label that training rows carry; where rows end at a node
with others below it, that class is a leaf of its own there, "the rest". Since nodes are sums, an answer never
contradicts what stands above it. -log p of a label is by the chain rule the cross-entropy of each step down to it, all
steps alike. `upper_levels` lets the upper ones count more: a text taken for another of the same branch then costs less
than one taken for another branch. The weights of a row's levels sum to 1, so that a deep label weighs no more than a
flat one.

The F1 of an answer is that of its nodes against those of the gold label (Kiritchenko). A guess one step deeper gains
less than a wrong one loses, so an answer stops above a choice that it cannot make: of three children that are equally
likely it names the parent. `threshold` makes it stop earlier.

A text longer than the window is read in windows that overlap; their logits are averaged, and each counts 1 / windows
in the loss.

When to use it: topics with sub-topics, where "billing, but I do not know which" is better than a wrong guess. Where
only whole labels count, `text_classification` reads the same rows.
Cost: that of `text_classification`.
Relations: with `upper_levels = 0`, the default, the loss is that of `text_classification`.
Reference: Bertinetto et al. 2020, Making better mistakes (losses weighted by level on one softmax over the leaves);
Deng et al. 2012, Hedging your bets (answers at a parent); Valmadre 2022, Hierarchical classification at multiple
operating points (sums of a softmax over the leaves against a classifier at every step); Kiritchenko et al. 2006,
Learning and evaluation in the presence of class hierarchies.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import torch
from pydantic import Field
from torch import Tensor, nn

from tunesmith.core.batch import Batch, Encoding
from tunesmith.core.example import Example, Node
from tunesmith.core.model import Backbone, Output
from tunesmith.core.prediction import Prediction, ScoredNode
from tunesmith.core.task import LabellingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.heads import sequence_head
from tunesmith.prepare.label_paths import ways_down
from tunesmith.tasks._label_tree import LabelTree, not_in_tree, path_of, require_paths, require_tree, tree_of
from tunesmith.tasks._labels import ClassWeights, inventory, resolved, single
from tunesmith.tasks._sequence import Targets, averaged, class_target, text_windows, unseen
from tunesmith.tasks._tree_probabilities import best_nodes, node_probabilities, path_excess, path_losses


class HierarchicalClassification(LabellingTask):
    """One label per text, with the labels above it."""

    labels: list[str] | None = None
    """The labels in the order of the logits, each a whole path; read from the training rows where absent."""
    separator: str = Field(default="/", min_length=1)
    """What stands between the steps of a label."""
    upper_levels: float = Field(default=0.0, ge=0.0)
    """How much each level above the last counts in the loss beside the last, which counts 1. More makes fewer mistakes
    at the top and more at the last step; hierarchical F1 was highest without (the guide has the table)."""
    threshold: float = Field(default=0.0, ge=0.0, lt=1.0)
    """How likely a node must be to be answered; where none below it is likely enough, the answer stops. The first step
    is always given, and at 0 expected F1 alone decides."""
    class_weights: ClassWeights = "none"
    """How much each class counts in the loss; "balanced" makes rare classes count as much in all as frequent ones."""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens of a window with special tokens; the backbone's own limit where it is smaller or nothing is given."""
    stride: int = Field(default=64, ge=0)
    """Tokens that neighbouring windows of a long text share, at most half a window."""

    def bound(self, examples: Iterable[Example]) -> "HierarchicalClassification":
        """Labels and class weights, filled in from training examples.

        Raises:
            DataError: at the line of an example without a usable label, or fewer than two labels in all.
            ConfigError: no label holds the separator.
        """
        rows = list(map(single, examples))
        require_paths(rows, self.separator)
        found = inventory(rows, given=self.labels, several=False)
        require_tree(found.labels, self.separator)
        weights = resolved(self.class_weights, found)
        return self.model_copy(update={"labels": found.labels, "class_weights": weights})

    def asked(self, example: Example) -> Example:
        """The nodes on the way down to its label."""
        if example.gold is None:
            return example
        return replace(example, gold=tuple(map(Node, ways_down(path_of(example), self.separator))))

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> list[Encoding]:
        """Windows of each example in order.

        Raises:
            DataError: at the line of an example whose label is not in the tree.
        """
        index = {label: number for number, label in enumerate(self.label_names)}
        return text_windows(
            examples, tokenizer, partial(self._target, index=index), max_length=self.max_length, stride=self.stride
        )

    def head(self, backbone: Backbone) -> nn.Module:
        """The classification head of the backbone's family: [M, D] to [M, C]."""
        return sequence_head(backbone, len(self.label_names))

    def excess(self, scores: Tensor, batch: Batch) -> Tensor:
        """The mean loss of all classes minus that of the row's; [M]."""
        assert batch.targets is not None, "a loss needs gold"
        return path_excess(scores, batch.targets, self._tree, upper_levels=self.upper_levels)

    def loss(self, output: Output, batch: Batch, *, head: nn.Module) -> Tensor:
        """The weighted sum of -log P over the levels, the mean of each row's."""
        assert batch.targets is not None, "a loss needs gold"
        losses = path_losses(output.logits, batch.targets, self._tree, upper_levels=self.upper_levels)
        if isinstance(self.class_weights, list):
            losses = losses * losses.new_tensor(self.class_weights)[batch.targets]
        return (batch.weight * losses).sum()

    def decode(
        self,
        examples: Sequence[Example],
        encodings: Sequence[Encoding],
        logits: Sequence[Tensor],
        *,
        head: nn.Module,
    ) -> list[Prediction]:
        """The nodes on the way down to each answer with their probabilities, and that of every node in `scores`.

        `confidence` is the probability of the last: that the answer is right as far as it goes.
        """
        if not examples:
            return []
        tree = self._tree
        shares = torch.softmax(averaged(logits, encodings, len(examples)).double(), -1)
        chosen = best_nodes(shares, tree, threshold=self.threshold)
        rows = node_probabilities(shares, tree).tolist()
        found = []
        for example, row, node, cut in zip(examples, rows, chosen, unseen(encodings, len(examples)), strict=True):
            answer = tuple(ScoredNode(tree.nodes[step], row[step]) for step in tree.lineage(node))
            scores = dict(zip(tree.nodes, row, strict=True))
            found.append(
                Prediction.about(self.asked(example), answer, confidence=row[node], scores=scores, truncated=cut)
            )
        return found

    @property
    def main_metric(self) -> str:
        """F1 over the nodes of the paths."""
        return "hierarchical_f1"

    @property
    def label_names(self) -> tuple[str, ...]:
        """The C labels in logit order."""
        return tuple(self.labels or ())

    @property
    def _tree(self) -> LabelTree:
        return tree_of(self.label_names, self.separator)

    def _target(self, example: Example, *, index: dict[str, int]) -> Targets:
        if example.gold is None:
            return None
        label = path_of(example)
        if label not in index:
            raise not_in_tree(example, label, self._tree, self.separator)
        return class_target(replace(example, gold=label), index=index)
