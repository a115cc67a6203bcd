"""The form a decoder of transformers has while it writes: its own cache of keys and values, prompts padded on the left.

The newest rows of all texts stand in one column, so that a step reads one row a text; positions are counted from where
a text begins, and padding is seen by nobody. transformers keeps and reorders the cache, as its `generate` does.

Shapes: B texts, L rows of the longest, D width.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tunesmith.models.hosted import HostedBackbone
from tunesmith.models.incremental import IncrementalModel, IncrementalState


class HostedDecoder(IncrementalModel):
    """A causal `HostedBackbone` in evaluation mode, with nothing in it that could be merged."""

    def __init__(self, backbone: HostedBackbone) -> None:
        self._decoder, self._positioned = backbone.encoder, backbone.takes_positions
        self._pad_id = backbone.pad_id
        self._dtype = next(backbone.parameters()).dtype
        self.max_length = backbone.max_length

    @torch.inference_mode()
    def prefill(self, prompts: Sequence[Sequence[int]]) -> tuple[IncrementalState, Tensor]:
        """A cache of `prompts` [B], and the hidden states [B, D] of their last tokens.

        Raises:
            NotImplementedError: what the model keeps is no cache of keys and values.
        """
        longest = max(map(len, prompts))
        device = next(self._decoder.parameters()).device
        gaps = [longest - len(prompt) for prompt in prompts]
        tokens = [[self._pad_id] * gap + list(prompt) for gap, prompt in zip(gaps, prompts, strict=True)]
        seen = torch.arange(longest, device=device) >= torch.tensor(gaps, device=device)[:, None]
        positions = (seen.cumsum(1) - 1).clamp(min=0)
        hidden, cache = self.rows(torch.tensor(tokens, device=device), seen, positions=positions, cache=None)
        if not _of_keys_and_values(cache, self._decoder.config):
            raise NotImplementedError(f"a {type(cache).__name__}")
        return _State(self, seen, cache), hidden

    def rows(self, tokens: Tensor, seen: Tensor, *, positions: Tensor, cache: Any) -> tuple[Tensor, Any]:  # noqa: ANN401
        """Hidden states [B, D] of the last of `tokens` [B, n], and the cache with them; `seen` [B, L] on no padding."""
        given: dict[str, Any] = {"input_ids": tokens, "attention_mask": seen.long()}
        if self._positioned:
            # a text that has ended may go on beside the others, beyond the table: nobody looks at what it reads
            given["position_ids"] = positions.clamp(max=self.max_length - 1)
        found = self._decoder(**given, past_key_values=cache, use_cache=True)
        return found.last_hidden_state[:, -1].to(self._dtype), found.past_key_values  # some add up in fp32


class _State(IncrementalState):
    """A cache, the rows that are texts, and where the newest of them stands."""

    def __init__(self, model: HostedDecoder, seen: Tensor, cache: Any) -> None:  # noqa: ANN401
        self._model, self._seen, self._cache = model, seen, cache
        self._newest = seen.sum(1) - 1

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        self._newest = self._newest + 1
        self._seen = torch.cat([self._seen, self._seen.new_ones(len(tokens), 1)], 1)
        hidden, self._cache = self._model.rows(
            tokens[:, None], self._seen, positions=self._newest[:, None], cache=self._cache
        )
        return hidden

    @torch.inference_mode()
    def reorder(self, rows: Tensor) -> None:
        rows = rows.to(self._seen.device)
        self._cache.batch_select_indices(rows)
        self._seen, self._newest = self._seen[rows], self._newest[rows]


def _of_keys_and_values(cache: Any, settings: Any) -> bool:  # noqa: ANN401  # of transformers, which has no common type
    """Whether a cache holds keys and values only, in which padding on the left moves nothing."""
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    kinds = {type(layer) for layer in cache.layers} if isinstance(cache, DynamicCache) else {None}
    chunked = "chunked_attention" in (settings.to_dict().get("layer_types") or ())
    return kinds <= {DynamicLayer, DynamicSlidingWindowLayer} and not chunked
