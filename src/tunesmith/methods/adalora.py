"""AdaLoRA: low-rank updates that begin wide everywhere, and are cut where they matter least.

    W' = W + alpha / r * B diag(E) A,   A [r, in] and B [out, r] random, E [r] zero, so that W' = W at the start

Each direction i of each layer has a score; the lowest over all layers are set to zero, E_i = 0, until `target_rank`
directions a layer are left on average. Between `begin` and `end` of the run the number falls by a cubic curve; then
what is left is fixed.

    I(w) = |w * dL/dw|,  smoothed: I~ = b1 I~ + (1 - b1) I,  U = b2 U + (1 - b2) |I - I~|,  s(w) = I~ * U
    score(i) = s(E_i) + mean over inputs of s(A_i) + mean over outputs of s(B_i)

A and B are held near orthogonal by the gradient of `orthogonality` times the mean of |A A^T - 1| and |B^T B - 1|
(Frobenius). That term is in no loss that is reported.

When to use it: a small budget of directions over many layers; it finds out which of them need more. With few steps
scores are noise, and `lora` does the same at less cost.
Cost: r (in + out + 1) parameters for each target while it learns, as many numbers twice for the scores; at the end the
update is folded into the weight.
Relations: `lora` gives every target the same rank.
Reference: Zhang et al. 2023, Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning, equations 3 to 12.
"""

from collections.abc import Iterable, Mapping

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tunesmith.core.method import Guide, LowRankUpdate, Method
from tunesmith.methods._folded import Folded
from tunesmith.methods._places import EVERY, linear_layers, require_rank, targeted

_OWN = (".lora_A", ".lora_B", ".lora_E")


class Singular(Folded, LowRankUpdate):
    """A linear layer whose `weight` is W + scale * B diag(E) A."""

    def __init__(self, base: nn.Linear, rank: int, *, scale: float) -> None:
        """A and B get N(0, 0.02), E is zero."""
        super().__init__(base)
        self.scale = scale
        self.lora_A = nn.Parameter(torch.randn(rank, base.in_features) * 0.02)
        self.lora_B = nn.Parameter(torch.randn(base.out_features, rank) * 0.02)
        self.lora_E = nn.Parameter(torch.zeros(rank, 1))

    @property
    def weight(self) -> Tensor:
        """[out, in]"""
        return torch.addmm(self.base.weight, self.lora_B, self.lora_A * self.lora_E, alpha=self.scale)

    @property
    def factors(self) -> tuple[Tensor, Tensor]:
        """scale * diag(E) A [r, in] and B [out, r]"""
        return self.lora_A * (self.scale * self.lora_E), self.lora_B

    def update(self) -> dict[str, Tensor]:
        """`down` and `up` of the directions that were not cut."""
        kept = self.lora_E[:, 0] != 0
        return {"down": (self.lora_A * self.lora_E)[kept], "up": self.scale * self.lora_B[:, kept]}


class AdaLora(Method):
    """Low-rank updates share a budget of directions; the head learns in full."""

    rank: int = Field(default=12, ge=1)
    """r: directions of each update at the start."""
    target_rank: int = Field(default=8, ge=1)
    """Directions that are left at the end, on average over the targets."""
    alpha: float = Field(default=16.0, gt=0.0)
    """The update is scaled by alpha / rank."""
    targets: list[str] = Field(default=[EVERY], min_length=1)
    """Which linear layers get an update: the last part, or the last parts, of their names in the backbone; `all-linear`
    is every linear layer but those of the embeddings."""
    begin: float = Field(default=0.1, ge=0.0, lt=1.0)
    """The share of the run after which directions are cut."""
    end: float = Field(default=0.7, gt=0.0, le=1.0)
    """The share of the run at which `target_rank` is reached."""
    every: int = Field(default=10, ge=1)
    """Updates between two cuts."""
    smoothing: float = Field(default=0.85, gt=0.0, lt=1.0)
    """b1 and b2: how much of the past a score keeps."""
    orthogonality: float = Field(default=0.5, ge=0.0)
    """How strongly A and B are held near orthogonal."""

    @model_validator(mode="after")
    def _in_order(self) -> "AdaLora":
        if self.target_rank > self.rank:
            raise ValueError(f"target_rank = {self.target_rank} is above rank = {self.rank}")
        if self.begin >= self.end:
            raise ValueError(f"begin = {self.begin} is not before end = {self.end}")
        return self

    @property
    def learning_rate(self) -> float:
        """6e-3 at width 384, as `lora`."""
        return 6e-3

    def wrappers(self, places: Mapping[str, nn.Module]) -> Mapping[str, nn.Module]:
        """A layer with an update around each target.

        Raises:
            ConfigError: at `method.targets`, or at `method.rank` for one that is no low rank.
        """
        layers = targeted(linear_layers(places), self.targets, key="method.targets")
        require_rank(layers, self.rank)
        return {name: Singular(layer, self.rank, scale=self.alpha / self.rank) for name, layer in layers.items()}

    def trained(self, names: Iterable[str]) -> frozenset[str]:
        """A, B and E of every target, and the head."""
        return frozenset(name for name in names if name.startswith("head.") or name.endswith(_OWN))

    def guide(self, model: nn.Module) -> Guide:
        """Cuts directions and holds A and B near orthogonal."""
        return Allocation(self, [name for name, module in model.named_modules() if isinstance(module, Singular)])


class Allocation(Guide):
    """The budget of directions and what it is dealt out by.

    `places` are the names of the `Singular` layers. Scores are kept for single weights, as in the paper.
    """

    def __init__(self, method: AdaLora, places: Iterable[str]) -> None:
        self._method = method
        self._places = list(places)
        self._mean: dict[str, Tensor] = {}
        self._spread: dict[str, Tensor] = {}
        self._kept: dict[str, Tensor] = {}
        self._updates = torch.zeros(())

    def pull(self, values: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The gradient of the orthogonality term: 2 (A A^T - 1) A / |A A^T - 1| for A, likewise for B."""
        if not self._method.orthogonality:
            return {}
        share = self._method.orthogonality / (2 * len(self._places))
        found = {}
        for place in self._places:
            found[f"{place}.lora_A"] = _towards_orthogonal(values[f"{place}.lora_A"]).mul_(share)
            found[f"{place}.lora_B"] = _towards_orthogonal(values[f"{place}.lora_B"].T).T.mul(share)
        return found

    def after_update(self, values: Mapping[str, Tensor], gradients: Mapping[str, Tensor], *, done: float) -> bool:
        """Score, and cut where it is time."""
        self._updates += 1
        method = self._method
        if done <= method.end:
            self._look(values, gradients)
        if done < method.begin or (done < method.end and int(self._updates) % method.every):
            return False
        if done <= method.end or not self._kept:
            self._kept = self._chosen(self._budget(done))
        for place, kept in self._kept.items():
            values[f"{place}.lora_E"].mul_(kept[:, None])
        return True

    def state(self) -> dict[str, Tensor]:
        """Scores, what is left, and the number of updates."""
        return {
            "updates": self._updates,
            **{f"mean.{name}": value for name, value in self._mean.items()},
            **{f"spread.{name}": value for name, value in self._spread.items()},
            **{f"kept.{place}": value for place, value in self._kept.items()},
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from `state`."""
        self._updates = tensors["updates"].clone()
        for kind, values in (("mean", self._mean), ("spread", self._spread), ("kept", self._kept)):
            values.clear()
            own = {name: value for name, value in tensors.items() if name.startswith(f"{kind}.")}
            values.update({name.removeprefix(f"{kind}."): value.clone() for name, value in own.items()})

    def describe(self) -> str:
        """The budget in numbers."""
        method, layers = self._method, len(self._places)
        return f"{method.rank * layers} directions in {layers} layers, cut to {method.target_rank * layers}"

    def _look(self, values: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
        """Take the gradients of one update into the scores."""
        past = self._method.smoothing
        for place in self._places:
            for name in (f"{place}{own}" for own in _OWN):
                sensitivity = (values[name] * gradients[name]).abs_()
                if name not in self._mean:
                    self._mean[name], self._spread[name] = torch.zeros_like(sensitivity), torch.zeros_like(sensitivity)
                mean = self._mean[name].mul_(past).add_(sensitivity, alpha=1 - past)
                self._spread[name].mul_(past).add_((sensitivity - mean).abs_(), alpha=1 - past)

    def _budget(self, done: float) -> int:
        """How many directions all layers may have together (equation 12)."""
        method, layers = self._method, len(self._places)
        left = max(0.0, 1 - (done - method.begin) / (method.end - method.begin))
        return int(layers * (method.target_rank + (method.rank - method.target_rank) * left**3))

    def _chosen(self, budget: int) -> dict[str, Tensor]:
        """Which directions of each layer stay, [r] of 0 and 1: the `budget` best of all."""
        scores = {place: self._score(place) for place in self._places}
        every = torch.cat(list(scores.values()))
        if budget >= len(every):
            return {place: torch.ones_like(score) for place, score in scores.items()}
        lowest = torch.topk(every, budget).values[-1]
        return {place: (score >= lowest).float() for place, score in scores.items()}

    def _score(self, place: str) -> Tensor:
        """Of each direction of a layer, [r]."""
        a, b, e = (self._mean[f"{place}{own}"] * self._spread[f"{place}{own}"] for own in _OWN)
        return e[:, 0] + a.mean(1) + b.mean(0)


def _towards_orthogonal(rows: Tensor) -> Tensor:
    """The gradient of |X X^T - 1| (Frobenius) for X [r, n]."""
    excess = rows @ rows.T
    excess.diagonal().sub_(1.0)
    gradient: Tensor = 2 * (excess @ rows) / torch.linalg.matrix_norm(excess).clamp(min=1e-12)
    return gradient
