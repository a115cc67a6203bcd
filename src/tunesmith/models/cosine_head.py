"""A head that compares: the cosine of a hidden state and one vector for each class.

    logit_c = cos(h, w_c) / t          |cos| <= 1, so the temperature t says how much a difference of cosines counts

The length of neither vector matters. So w_c may begin as anything of which the direction means the class: the vector
of a description, or the mean of the vectors of some examples.
Reference: Gidaris & Komodakis 2018, Dynamic few-shot visual learning without forgetting, section 3.2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunesmith.core.model import Backbone
from tunesmith.models.shape import number


class CosineHead(nn.Module):
    """Class vectors [C, D], begun at random."""

    def __init__(self, backbone: Backbone, classes: int, *, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        like = next(backbone.parameters())
        self.label_vectors = nn.Parameter(torch.empty(classes, backbone.width, dtype=like.dtype, device=like.device))
        nn.init.normal_(self.label_vectors, std=number(backbone.config, "initializer_range", 0.02))

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] to [M, C]."""
        return F.normalize(hidden, dim=-1) @ F.normalize(self.label_vectors, dim=-1).T / self.temperature

    @torch.no_grad()
    def place(self, vectors: Tensor) -> None:
        """Begin at these class vectors [C, D], of any length."""
        self.label_vectors.copy_(F.normalize(vectors, dim=-1))
