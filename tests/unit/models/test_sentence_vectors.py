"""A text's vector is the mean of its tokens' hidden states, whatever it is batched with."""

from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel

from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.checkpoint import locate
from tunesmith.models.loading import load_backbone
from tunesmith.models.sentence_vectors import sentence_vectors
from tunesmith.tasks._sequence import window
from tunesmith.tasks._vector_windows import every_token


def test_vectors_are_the_peers_mean_over_tokens(tiny_bert_folder: Path, tiny_tokenizer: Tokenizer) -> None:
    backbone = load_backbone(locate(str(tiny_bert_folder)), dropout=0.5).train()
    texts = ["my card is lost", "help", "please help me with the card that I lost", ""]
    rows = [[2, *ids, 3] for ids in tiny_tokenizer.texts(texts)]
    alone = [window(index, row, tiny_tokenizer, targets=None, weight=1.0) for index, row in enumerate(rows)]
    windows = [every_token(one) for one in alone]
    vectors = sentence_vectors(backbone, windows)
    assert backbone.training
    peer = AutoModel.from_pretrained(tiny_bert_folder).eval()
    for row, vector in zip(rows, vectors, strict=True):
        with torch.inference_mode():
            mean = peer(torch.tensor([row])).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vector, (mean / mean.norm()).numpy(), atol=1e-5)
    alone = np.concatenate([sentence_vectors(backbone, [window]) for window in windows])
    np.testing.assert_allclose(vectors, alone, atol=1e-5)
