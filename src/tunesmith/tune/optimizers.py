"""AdamW with fp32 masters, without torch.optim (whose constructor imports the compiler: a second at every start).

    m = b1 m + (1 - b1) g        v = b2 v + (1 - b2) g^2
    w = w - rate * decay * w - rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

The arithmetic is torch's fused kernel, one call per group, equal to `torch.optim.AdamW(fused=True)`. Where the model
computes in bf16, the update goes to an fp32 master and is rounded into the model afterwards. Clipping costs nothing:
the kernel divides each gradient while it reads it.
Sources: Kingma and Ba 2015; Loshchilov and Hutter 2019 (decoupled decay); Howard and Ruder 2018 (rates by layer).
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tunesmith.core.finite import is_finite
from tunesmith.models.depth import layer_of

PIECE = 1 << 20
"""Numbers that a processor updates together; a GPU, which has no such cache to keep, updates a group at once"""


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that share a decay and a factor on the learning rate."""

    names: tuple[str, ...]
    decay: float
    rate: float


def groups_of(parameters: Mapping[str, nn.Parameter], *, decay: float, layer_decay: float) -> list[Group]:
    """Parameters by decay (matrices and tables, not biases and norms) and by depth, in the order of the model.

    The head and what follows the last layer have rate 1, layer l of L has `layer_decay ** (L - l)`, the embeddings
    `layer_decay ** (L + 1)`.
    """
    found: dict[tuple[float, float], list[str]] = {}
    top = 1 + max((layer for name in parameters if (layer := layer_of(name)) is not None), default=-1)
    for name, parameter in parameters.items():
        own = decay if parameter.ndim >= 2 else 0.0
        found.setdefault((own, layer_decay ** _distance(name, top)), []).append(name)
    return [Group(tuple(names), own, rate) for (own, rate), names in found.items()]


def _distance(name: str, top: int) -> int:
    """How far a parameter lies from the head: 0 for the head, `top + 1` for the embeddings."""
    if (layer := layer_of(name)) is not None:
        return top - layer
    return top + 1 if name.startswith("backbone.") and "embed" in name else 0


class AdamW:
    """Masters, moments and the update.

    `parameters` are what the model computes with, `masters` the fp32 values behind them: the same memory where the
    model computes in fp32.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        masters: Mapping[str, Tensor],
        *,
        groups: Sequence[Group],
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        self.parameters = dict(parameters)
        self.groups = list(groups)
        self.betas = betas
        self.epsilon = epsilon
        self.masters = dict(masters)
        self._first = {name: torch.zeros_like(master) for name, master in self.masters.items()}
        self._second = {name: torch.zeros_like(master) for name, master in self.masters.items()}
        device = next(iter(self.masters.values())).device
        self._piece: float = PIECE if device.type == "cpu" else math.inf
        self._step = torch.zeros((), dtype=torch.float32, device=device)
        self._sums: dict[str, Tensor] = {}
        self._kept: dict[str, Tensor] = {}

    def adopt(self, masters: Mapping[str, Tensor]) -> None:
        """Take these fp32 values as masters and round them into the model."""
        with torch.no_grad():
            for name, value in masters.items():
                self.masters[name].copy_(value)
        self._publish(self.parameters)

    def collect(self) -> None:
        """Take over the gradients of one backward pass, and add them up in fp32."""
        for name, parameter in self.parameters.items():
            gradient = parameter.grad
            if gradient is None:
                continue
            parameter.grad = None
            if name in self._sums:
                self._sums[name].add_(gradient)
            else:
                self._sums[name] = gradient if gradient.dtype == torch.float32 else self._in_fp32(name, gradient)

    def add(self, gradients: Mapping[str, Tensor]) -> None:
        """Add fp32 gradients that no backward pass gave."""
        for name, gradient in gradients.items():
            self._sums[name] = self._sums[name].add_(gradient) if name in self._sums else gradient

    def gradient_norm(self) -> float:
        """Euclidean norm of everything collected; infinite or nan as soon as one number in it is."""
        if not self._sums:
            return 0.0
        return float(torch.linalg.vector_norm(torch.stack(_norms(list(self._sums.values())))))

    def faulty(self) -> list[str]:
        """Names of the parameters whose collected gradient is not finite."""
        return [name for name, total in self._sums.items() if not is_finite(total)]

    def discard(self) -> None:
        """Forget what was collected, and what a backward pass that broke off left at the parameters."""
        self._sums.clear()
        for parameter in self.parameters.values():
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float, *, shrink: float = 1.0) -> Mapping[str, Tensor]:
        """One update with the collected gradients times `shrink`; they are forgotten, and handed over as it took them.

        The kernel leaves a gradient shrunk.
        """
        self._step.add_(1)
        scale = None if shrink == 1.0 else torch.full((), 1 / shrink, device=self._step.device)
        for group in self.groups:
            present = [name for name in group.names if name in self._sums]
            for names in self._pieces(present):
                self._update(names, group, rate=rate * group.rate, scale=scale)
        taken, self._sums = self._sums, {}
        return taken

    def publish(self) -> None:
        """Round masters that somebody changed into the model."""
        self._publish(self.parameters)

    def _pieces(self, names: Sequence[str]) -> Iterator[list[str]]:
        """Names in pieces so small that masters are still in the cache when they are rounded into the model."""
        piece: list[str] = []
        size = 0
        for name in names:
            own = self.masters[name].numel()
            if piece and size + own > self._piece:
                yield piece
                piece, size = [], 0
            piece.append(name)
            size += own
        if piece:
            yield piece

    def _update(self, names: Sequence[str], group: Group, *, rate: float, scale: Tensor | None) -> None:
        torch._fused_adamw_(
            [self.masters[name] for name in names],
            [self._sums[name] for name in names],
            [self._first[name] for name in names],
            [self._second[name] for name in names],
            [],
            [self._step] * len(names),
            lr=rate,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=group.decay,
            eps=self.epsilon,
            amsgrad=False,
            maximize=False,
            grad_scale=scale,
        )
        self._publish(names)

    def _in_fp32(self, name: str, gradient: Tensor) -> Tensor:
        """A bf16 gradient in memory that every step uses again: norm and update then read it without a copy."""
        if name not in self._kept:
            self._kept[name] = torch.empty_like(self.masters[name])
        return self._kept[name].copy_(gradient)

    def _publish(self, names: Iterable[str]) -> None:
        """Round masters into the parameters of the model that are not their own masters."""
        lower = [name for name in names if self.parameters[name].dtype != torch.float32]
        if lower:
            with torch.no_grad():
                torch._foreach_copy_([self.parameters[n] for n in lower], [self.masters[n] for n in lower])

    def state(self) -> dict[str, Tensor]:
        """Everything the next update depends on, as plain fp32 tensors: masters, both moments and the step count."""
        tensors = {"step": self._step}
        for kind, values in (("master", self.masters), ("first", self._first), ("second", self._second)):
            tensors |= {f"{kind}.{name}": value for name, value in values.items()}
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        own = self.state()
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(tensors[name])
        self._publish(self.parameters)


def _norms(tensors: list[Tensor]) -> tuple[Tensor, ...] | list[Tensor]:
    """Of each tensor, as a number on its device. On a processor its product with itself takes half the time."""
    if tensors[0].device.type != "cpu":
        return torch._foreach_norm(tensors, 2)
    return [torch.dot(flat, flat).sqrt_() for flat in (tensor.reshape(-1) for tensor in tensors)]


def clip_factor(norm: float, longest: float) -> float:
    """What gradients of this norm are multiplied by so that they are at most `longest`; 0 means no limit."""
    if not longest or math.isinf(norm) or math.isnan(norm):
        return 1.0
    return min(1.0, longest / (norm + 1e-6))
