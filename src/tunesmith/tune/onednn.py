"""Going without oneDNN, whose kernels a processor computes with, once memory is short.

oneDNN compiles a kernel for every shape it meets. Where it finds no memory for one it crashes now and then; where it
says so, its compiler keeps the fault for the thread, and no piece is small enough any more (core/memory.py). In fp32 it
does no more than activations, and torch's own cost a percent or two: it is left as soon as memory runs out. In bf16
products would take ten times as long: it is left where it compiles no more.
"""

import torch


class OneDNN:
    """Whether oneDNN computes in this process, for as long as a run lasts."""

    def __init__(self) -> None:
        self._before = bool(torch.backends.mkldnn.enabled)

    @property
    def computes(self) -> bool:
        """Whether it does now."""
        return bool(torch.backends.mkldnn.enabled)

    def leave(self, *, broken: bool = False) -> None:
        """Compute without it until the run ends; where it is broken, as long as the process lives."""
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # torch types it as its descriptor
        self._before = self._before and not broken

    def close(self) -> None:
        """As it was before the run, unless it broke."""
        torch.backends.mkldnn.enabled = self._before  # type: ignore[assignment]
