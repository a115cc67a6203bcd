"""Shared fixtures: tiny random models that stand for a checkpoint, so that no test needs a download."""

import importlib.util
import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch.utils._python_dispatch import TorchDispatchMode

from reliability.tiny_checkpoint import SPECIAL, write_checkpoint
from tunesmith.core.batch import Batch, Encoding, collate
from tunesmith.core.example import Document, Example, Source
from tunesmith.core.model import Backbone, Model
from tunesmith.core.task import Task
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.checkpoint import locate
from tunesmith.models.hub_names import hub_state
from tunesmith.models.language_head import language_head
from tunesmith.models.loading import build_backbone, load_backbone
from tunesmith.models.template_file import chat_template

# readline, which pytest's debugger brings, hands the size of a terminal down to the workers of pytest-xdist. rich keeps
# what it finds when the command line is imported; without it a test decides how wide its terminal is.
os.environ.pop("COLUMNS", None)
os.environ.pop("LINES", None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("there is no GPU here")


class Seen(TorchDispatchMode):
    """The names of the torch operators that ran inside it, those of the backward pass among them."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))

    @property
    def attention(self) -> set[str]:
        """Those among them that attend."""
        return {name for name in self.names if "attention" in name}


@pytest.fixture
def seen() -> Seen:
    """`with seen: ...`, then `seen.attention`."""
    return Seen()


@pytest.fixture(scope="session")
def tiny_bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as transformers writes it: random BERT weights, WordPiece tokenizer. Do not write to it."""
    return write_checkpoint(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_bert_folder: Path) -> Tokenizer:
    """The tokenizer of `tiny_bert_folder`, windows of 64 tokens."""
    return Tokenizer(tiny_bert_folder / "tokenizer.json", max_length=64)


CORPUS = [
    "the cat sat on the mat near New York in 2018, and IBM bought the U.N. building!",
    "张三在北京和上海的中国银行工作。東京タワーに行きました。",
    "emoji 👍🏽 😀 👨‍👩‍👧 🇩🇪 café naïve e\u0301tude, नमस्ते दुनिया and мама мыла раму",
    "please help (really): my card is lost; iPhone12 costs $999.50 or 10%...",
] * 10


def _trained(kind: str) -> FastTokenizer:
    quiet = {"show_progress": False}
    bytes_ = pre_tokenizers.ByteLevel.alphabet()
    if kind == "wordpiece":
        fast = FastTokenizer(models.WordPiece(unk_token="[UNK]"))
        fast.normalizer, fast.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        fast.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=260, special_tokens=SPECIAL, **quiet))
        frame, ends = "[CLS] $A [SEP]", ("[CLS]", "[SEP]")
    elif kind.startswith("byte_bpe"):
        fast = FastTokenizer(models.BPE())
        fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=kind == "byte_bpe_prefix")
        special = ["<s>", "</s>", "<unk>"]
        trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=bytes_, special_tokens=special, **quiet)
        fast.train_from_iterator(CORPUS, trainer)
        frame, ends = "<s> $A </s>", ("<s>", "</s>")
    else:
        fast = FastTokenizer(models.Unigram())
        fast.normalizer = normalizers.NFKC()
        fast.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first" if kind == "unigram_first" else "always")
        special = ["<s>", "</s>", "<unk>"]
        trainer = trainers.UnigramTrainer(vocab_size=240, unk_token="<unk>", special_tokens=special, **quiet)
        fast.train_from_iterator(CORPUS, trainer)
        frame, ends = "<s> $A </s>", ("<s>", "</s>")
    if kind != "wordpiece":
        fast.add_special_tokens(["<mask>"])
    fast.post_processor = processors.TemplateProcessing(
        single=frame, special_tokens=[(end, fast.token_to_id(end)) for end in ends]
    )
    return fast


TOKENIZER_KINDS = ("wordpiece", "byte_bpe", "byte_bpe_prefix", "unigram", "unigram_first")


@pytest.fixture(scope="session")
def trained_tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    """Small trained tokenizers by kind: WordPiece, byte-level BPE, Unigram and their variants; windows of 64 tokens."""
    folder = tmp_path_factory.mktemp("tokenizers")
    found = {}
    for kind in TOKENIZER_KINDS:
        _trained(kind).save(str(folder / f"{kind}.json"))
        found[kind] = Tokenizer(folder / f"{kind}.json", max_length=64)
    return found


@pytest.fixture(scope="session", params=TOKENIZER_KINDS)
def trained_tokenizer(request: pytest.FixtureRequest, trained_tokenizers: dict[str, Tokenizer]) -> Tokenizer:
    """Each of `trained_tokenizers` in turn."""
    return trained_tokenizers[request.param]


CHAT = (
    "{% for message in messages %}{{ '<|turn|>' + message['role'] + '\n' + message['content'] + '<|stop|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|turn|>assistant\n' }}{% endif %}"
)
CHAT_CONFIG = {
    "model_type": "llama",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 96,
    "initializer_range": 0.3,
    "tie_word_embeddings": True,
}


@pytest.fixture(scope="session")
def tiny_chat_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal checkpoint with a chat template: random Llama weights, byte-level BPE. Do not write to it."""
    folder = tmp_path_factory.mktemp("tiny-chat")
    fast = FastTokenizer(models.BPE())
    fast.pre_tokenizer, fast.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet, special = pre_tokenizers.ByteLevel.alphabet(), ["<|turn|>", "<|stop|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    fast.train_from_iterator([*CORPUS, "system user assistant\n"], trainer)
    fast.save(str(folder / "tokenizer.json"))
    stop = fast.token_to_id("<|stop|>")
    config = CHAT_CONFIG | {"vocab_size": fast.get_vocab_size(), "eos_token_id": stop}
    control = {"chat_template": CHAT, "eos_token": "<|stop|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(control), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = build_backbone(config)
    save_file(
        hub_state(Model(backbone, language_head(backbone))), folder / "model.safetensors", metadata={"format": "pt"}
    )
    return folder


def chat_in(folder: Path, *, dropout: float = 0.0) -> tuple[Model, Tokenizer]:
    """A causal checkpoint with its language head, and its tokenizer with windows of 96 tokens."""
    checkpoint = locate(str(folder))
    backbone = load_backbone(checkpoint, dropout=dropout)
    file, template = folder / "tokenizer.json", chat_template(checkpoint)
    tokenizer = Tokenizer(file, max_length=96, causal=True, template=template)
    return Model(backbone, language_head(backbone)), tokenizer


@pytest.fixture
def tiny_chat(tiny_chat_folder: Path) -> Callable[..., tuple[Model, Tokenizer]]:
    """`tiny_chat(dropout=0.0)`: a new copy of the model in `tiny_chat_folder`, and its tokenizer."""
    return partial(chat_in, tiny_chat_folder)


@pytest.fixture
def tiny_backbone(tiny_bert_folder: Path) -> Backbone:
    """A new copy of the backbone in `tiny_bert_folder`, without dropout."""
    return load_backbone(locate(str(tiny_bert_folder)), dropout=0.0)


@pytest.fixture
def tiny_model(tiny_bert_folder: Path) -> Callable[..., Model]:
    """`tiny_model(task, dropout=0.0, seed=0)`: the tiny backbone under the head of a bound task."""

    def make(task: Task, *, dropout: float = 0.0, seed: int = 0) -> Model:
        backbone = load_backbone(locate(str(tiny_bert_folder)), dropout=dropout)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Model(backbone, task.head(backbone))

    return make


@pytest.fixture
def random_batch() -> Callable[..., Batch]:
    """`random_batch(lengths, vocabulary=100, segments=False, seed=0)`: random ids, one place at each window's start."""

    def make(lengths: tuple[int, ...], *, vocabulary: int = 100, segments: bool = False, seed: int = 0) -> Batch:
        draw = np.random.default_rng(seed)
        encodings = [
            Encoding(
                example=index,
                input_ids=draw.integers(5, vocabulary, length).astype(np.int32),
                segment_ids=(np.arange(length) >= length // 2).astype(np.int8) if segments else None,
                places=np.zeros(1, np.int32),
                units=np.zeros(1, np.int32),
                targets=None,
            )
            for index, length in enumerate(lengths)
        ]
        return collate(encodings, [str(index) for index in range(len(lengths))])

    return make


@pytest.fixture
def unlabelled() -> Callable[..., list[Example]]:
    """`unlabelled("a text", ("a text", "its pair"), ...)`: examples to be answered."""

    def make(*given: str | tuple[str, str]) -> list[Example]:
        pairs = [(item, None) if isinstance(item, str) else item for item in given]
        return [
            Example(id=str(line), text=text, pair=pair, source=Source("given", line))
            for line, (text, pair) in enumerate(pairs, start=1)
        ]

    return make


GOLDEN_TEXTS = (
    "My card was stolen in Beijing",
    "please help, the card is lost",
    "Anna works at Acme and visited Rome",
    "张三在北京 and 李四 in 上海",
    "not good",
    "good",
)


@pytest.fixture(scope="session")
def tiny_bundles(
    tiny_bert_folder: Path, tiny_chat_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """A bundle of a random model. Copy it to change it.

    Its kinds: "entities", "joint", "label", "labels", "path", "pair", "score", "cosine", "answer", "written",
    "documents".
    """
    from tunesmith.bundle.collection import collection_of
    from tunesmith.bundle.manifest import BaseRecord
    from tunesmith.bundle.write import Origin, write_bundle
    from tunesmith.core.rooms import TASKS

    tables: dict[str, dict[str, object]] = {
        "entities": {"kind": "token_classification", "labels": ["LOC", "PER"], "units": "words"},
        "joint": {"kind": "joint_classification", "labels": ["bad", "good"], "entity_labels": ["LOC", "PER"]}
        | {"units": "words"},
        "label": {"kind": "text_classification", "labels": ["bad", "fine", "good"], "multi_label": False},
        "labels": {"kind": "text_classification", "labels": ["anger", "joy", "trust"], "multi_label": True}
        | {"thresholds": [0.4, 0.5, 0.6]},
        "path": {"kind": "hierarchical_classification", "labels": ["card/lost", "card/stolen", "good"]},
        "pair": {"kind": "pair_matching", "labels": ["different", "same"]},
        "score": {"kind": "pair_matching", "score_range": [0.0, 5.0]},
        "documents": {"kind": "retrieval", "top": 3},
        "cosine": {"kind": "retrieval", "objective": "cosine", "score_range": [0.0, 5.0]},
        "written": {"kind": "generation", "decoding": {"max_new_tokens": 8}},
        "answer": {"kind": "extractive_qa", "no_answer": True, "no_answer_threshold": 0.1, "max_answer_length": 4},
    }
    folder = tmp_path_factory.mktemp("bundles")

    def labelling(task: Task) -> tuple[Model, Tokenizer]:
        tokenizer = Tokenizer(tiny_bert_folder / "tokenizer.json", max_length=64)
        backbone = load_backbone(locate(str(tiny_bert_folder)), dropout=0.1)
        with torch.random.fork_rng():
            torch.manual_seed(3)
            model = Model(backbone, task.head(backbone))
            for parameter in model.head.parameters():
                torch.nn.init.normal_(parameter, std=1.0)
        if task.kind() == "token_classification":  # what is drawn may find none, and entities are to be looked at
            list(model.head.parameters())[-1].data[task.label_names.index("O")] -= 3.0
        return model, tokenizer

    def make(kind: str) -> Path:
        if (folder / kind).exists():
            return folder / kind
        task = TASKS.make(tables[kind], key="task")
        model, tokenizer = chat_in(tiny_chat_folder) if kind == "written" else labelling(task)
        pair = "my card was lost" if kind in ("pair", "score", "answer", "cosine") else None
        examples = [
            Example(id=f"g{n}", text=text, pair=pair, source=Source("dev", n))
            for n, text in enumerate(GOLDEN_TEXTS, start=1)
        ]
        origin = Origin(
            name=f"tiny {kind}",
            base=BaseRecord(name="tiny", fingerprint="0" * 64, licence="apache-2.0"),
            data_fingerprint="1" * 64,
            golden_examples=examples,
            reference_examples=examples,
            evaluation={"test": {"n": 6, "metrics": {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}}}},
            provenance={"seed": 0},
        )
        searched = None
        if kind == "documents":
            documents = [Document(f"d{n}", text) for n, text in enumerate(GOLDEN_TEXTS, start=1)]
            searched = collection_of(model, task, documents, tokenizer=tokenizer)
        return write_bundle(
            folder / kind, model=model, task=task, tokenizer=tokenizer, origin=origin, collection=searched
        )

    return make


@pytest.fixture(scope="session")
def tiny_desk(
    tiny_bundles: Callable[[str], Path], tiny_bert_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Three of `tiny_bundles` side by side in one bundle: `label`, `entities` and `pair`. Copy it to change it."""
    from tunesmith.bundle.join import Member, join

    checkpoint = replace(locate(str(tiny_bert_folder)), fingerprint="0" * 64)
    members = [Member(kind, tiny_bundles(kind), None) for kind in ("label", "entities", "pair")]
    out = tmp_path_factory.mktemp("side-by-side") / "desk"
    join(members, checkpoint=checkpoint, out=out, proved=lambda draft: None)
    return out


@pytest.fixture
def need() -> Callable[[str], None]:
    """`need(kind)` skips the test where the libraries of a tracker are not installed."""
    from tunesmith.core.rooms import TRACKERS

    def needed(kind: str) -> None:
        for name in TRACKERS.component(kind).needs:
            if importlib.util.find_spec(name) is None:
                pytest.skip(f'{name} is not installed: pip install "tunesmith[track]"')

    return needed
