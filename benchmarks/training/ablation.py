"""What each trick brings: the switches that turn one of them off, everything else as it is.

A switch patches a constant or a function of the product in the process of its variant. The product has no option for
any of them, because there is no reason to choose otherwise; were one to bring nothing here, it should go.
"""

import torch
import torch.nn.functional as F
from benchmarks.training import ours

from tunesmith.models import attention, dropout, encoder, loading, ragged
from tunesmith.models.hosted import HostedBackbone
from tunesmith.models.weights import read_tensors
from tunesmith.tune import data as tune_data
from tunesmith.tune import form, training


def padded():
    """Linear layers multiply a whole rectangle: beside each window stands one of throw-away rows that fills it up.

    Attention still knows which rows belong together, so this costs less than real padding does.
    """
    plain = tune_data.TrainingData.batch

    def batch(self, indices, *, multiple=1):
        chosen = [self.encodings[index] for index in indices]
        longest = max(len(window) for window in chosen)
        fillers = [tune_data._filler(window, longest - len(window)) for window in chosen if len(window) < longest]
        if not fillers:
            return plain(self, indices, multiple=multiple)
        ids = [self.ids[window.example] for window in chosen]
        return tune_data.collate([*chosen, *fillers], [*ids, *("" for _ in fillers)])

    tune_data.TrainingData.batch = batch


def hosted():
    """The encoder of transformers over one padded rectangle, in our loop: no ragged rows, no attention of our own."""

    def load_backbone(checkpoint):
        backbone = HostedBackbone(checkpoint.config)
        loading.fill_hosted(backbone, read_tensors(checkpoint.weight_files), place=str(checkpoint.folder))
        return backbone

    loading.load_backbone = load_backbone
    training.ROUND_TOKENS = 1  # what is rounded up becomes one more window, which a rectangle would pad in full
    one_chunk()


def sdpa():
    """torch's scaled_dot_product_attention at every length."""
    attention.CROSSOVER = 0


def bf16_attention():
    """Short chunks multiply in bf16 too."""
    attention.LOWEST_BF16 = 0


def rounded_to(tokens):
    """Batches of bf16 are rounded up to a multiple of `tokens`, not of 32."""

    def switch():
        training.ROUND_TOKENS = tokens

    return switch


def whole_table():
    """Every row of the embedding table learns, also those of words that do not occur."""
    form._compacted = lambda model, vocabulary: None


def torch_dropout():
    """torch draws every mask, one Bernoulli number for each value; the attention core stays ours."""

    def draw_mask(like, threshold):
        return torch.empty(like.shape, dtype=torch.uint8).bernoulli_(1 - threshold / 256)

    attention.draw_mask = draw_mask
    dropout.dropout = lambda x, probability: F.dropout(x, probability)


def one_chunk():
    """All windows of a batch go through attention in blocks as long as the longest."""
    ragged.MAX_CHUNKS = 1


def window_a_block():
    """Windows are padded in a block each, however short they are."""
    attention.LEARNING = attention.LEARNING_BF16 = ragged.ANSWERING


def whole_last_layer():
    """The last layer goes on with every row, and the head picks those it reads."""
    plain = encoder.Encoder.forward

    def forward(self, batch, *, embeddings=None, places=None):
        hidden = plain(self, batch, embeddings=embeddings)
        return hidden if places is None else hidden.index_select(0, places)

    encoder.Encoder.forward = forward


def no_recall():
    """A frozen backbone is asked in every epoch."""
    training.recall_of = lambda *_: None


SWITCHES = {
    "no_ragged": padded,
    "no_ragged_hosted": hosted,
    "no_own_attention": sdpa,
    "no_fp32_attention": bf16_attention,
    "round_1": rounded_to(1),
    "round_16": rounded_to(16),
    "round_64": rounded_to(64),
    "whole_table": whole_table,
    "torch_dropout": torch_dropout,
    "one_chunk": one_chunk,
    "window_a_block": window_a_block,
    "whole_last_layer": whole_last_layer,
    "no_recall": no_recall,
}
"""`fp32` of `speed.py` shows what bf16 brings. The base is `tunesmith`, rounded to 32, and that of `no_recall` is
`head_only`."""


def measure(task, data, *, epochs, seed, switch):
    """Ours with one trick turned off."""
    SWITCHES[switch]()
    method = "head_only" if switch == "no_recall" else "full"
    return ours.measure(task, data, epochs=epochs, seed=seed, method=method)
