"""Tiny random causal models that transformers wrote, beside our decoder that reads the same folder."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor

from tunesmith.core.model import Backbone
from tunesmith.models.checkpoint import locate
from tunesmith.models.loading import load_backbone

LLAMA = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 60,
    "max_position_embeddings": 96,
    "tie_word_embeddings": True,
}
GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 60, "n_positions": 96, "n_inner": 24}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2", GPT2),
    "llama": ("Llama", LLAMA),
    "llama, biases": ("Llama", LLAMA | {"num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True}),
    "mistral": ("Mistral", LLAMA | {"sliding_window": None}),
    "qwen2": ("Qwen2", LLAMA),
    "qwen3": ("Qwen3", LLAMA | {"head_dim": 8}),
}
NEOX = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 60, "intermediate_size": 24}
HOSTED = {"gpt_neox": ("GPTNeoX", NEOX | {"max_position_embeddings": 96})}


@dataclass(frozen=True)
class Pair:
    """The same weights twice."""

    theirs: Any
    decoder: Backbone
    head: Callable[[Tensor], Tensor]

    def prompts(self, *lengths: int, seed: int = 0) -> list[list[int]]:
        draw = np.random.default_rng(seed)
        return [draw.integers(4, 60, length).tolist() for length in lengths]

    def generated(self, prompts: list[list[int]], **options: Any) -> list[list[int]]:
        """What transformers writes, padded on the left, without the prompt and what stands behind the end."""
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        with torch.inference_mode():
            found = self.theirs.generate(
                input_ids=ids, attention_mask=mask, pad_token_id=0, top_k=0, **({"do_sample": False} | options)
            )
        ends = set(options.get("eos_token_id") or ())
        answers = []
        for row in found[:, longest:].tolist():
            end = next((at for at, token in enumerate(row) if token in ends), None)
            answers.append(row if end is None else row[:end])
        return answers


@pytest.fixture(scope="session", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return made(request.param, tmp_path_factory.mktemp("causal"))


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return made("llama", tmp_path_factory.mktemp("causal"))


@pytest.fixture(scope="session", params=["gpt2", "llama"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return made(request.param, tmp_path_factory.mktemp("causal"))


@pytest.fixture(scope="session")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """One that transformers runs behind our contract."""
    return made("gpt_neox", tmp_path_factory.mktemp("causal"))


def made(kind: str, folder: Path) -> Pair:
    name, sizes = (KINDS | HOSTED)[kind]
    torch.manual_seed(3)
    config = getattr(transformers, f"{name}Config")(**sizes, initializer_range=0.3, bos_token_id=1, eos_token_id=None)
    model = getattr(transformers, "GPT2LMHeadModel" if name == "GPT2" else f"{name}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    decoder = load_backbone(locate(str(folder)), dropout=0.0).eval()
    return Pair(model, decoder, partial(F.linear, weight=model.get_output_embeddings().weight.detach()))
