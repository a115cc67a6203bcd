"""A pretrained checkpoint of random weights in the files of transformers, so that no figure needs a download."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tunesmith.models.hub_names import to_hub
from tunesmith.models.loading import build_backbone

CONFIG = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "initializer_range": 0.02,
    "pad_token_id": 0,
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = (
    "and",
    "bad",
    "card",
    "from",
    "good",
    "help",
    "is",
    "lost",
    "my",
    "not",
    "of",
    "please",
    "stolen",
    "the",
    "works",
)


def write_wordpiece(file: Path) -> int:
    """A WordPiece tokenizer over single characters (ASCII and some Chinese) and a few words; returns its size."""
    characters = [chr(code) for code in range(33, 127) if not chr(code).isupper()] + list("的我在北京上海张三李四是人")
    pieces = SPECIAL + characters + [f"##{character}" for character in characters] + [w for w in WORDS if len(w) > 1]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    fast = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    fast.normalizer = normalizers.BertNormalizer(lowercase=True)
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    fast.add_special_tokens(SPECIAL)
    fast.save(str(file))
    return len(vocabulary)


def write_checkpoint(folder: Path, **sizes: int) -> Path:
    """Random BERT weights and a WordPiece tokenizer, the same ones each time; `sizes` are set in its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    size = write_wordpiece(folder / "tokenizer.json")
    config = CONFIG | {"vocab_size": size} | sizes
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with torch.random.fork_rng():
        torch.manual_seed(7)
        backbone = build_backbone(config)
        state = {to_hub(name, "bert"): tensor for name, tensor in backbone.state_dict().items()}
        width = config["hidden_size"]
        state |= {"pooler.dense.weight": torch.randn(width, width) * 0.02, "pooler.dense.bias": torch.zeros(width)}
        state |= {
            "cls.predictions.transform.dense.weight": torch.randn(width, width) * 0.3,
            "cls.predictions.transform.dense.bias": torch.zeros(width),
            "cls.predictions.transform.LayerNorm.weight": torch.ones(width),
            "cls.predictions.transform.LayerNorm.bias": torch.zeros(width),
            "cls.predictions.bias": torch.randn(config["vocab_size"]) * 0.3,
        }
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
