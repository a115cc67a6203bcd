"""From rows to a bundle on a backbone that writes texts: it is read where it has seen everything."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from tunesmith.bundle.opening import load
from tunesmith.bundle.verify import verify
from tunesmith.core.example import Example, Source
from tunesmith.core.rooms import TASKS
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.judge.stored import read_predictions
from tunesmith.run.config import parsed
from tunesmith.run.events import Finished
from tunesmith.run.folder import opened
from tunesmith.run.train import run

LABELLED = [pair for n in range(20) for pair in ((f"my card {n} is lost", "card"), (f"hello number {n}", "greeting"))]
ROWS: dict[str, list[dict[str, Any]]] = {
    "text_classification": [{"text": text, "label": label} for text, label in LABELLED],
    "pair_matching": [
        {"text": text, "pair": other, "label": "same" if text[:2] == other[:2] else "different"}
        for (text, _), (other, _) in zip(LABELLED, LABELLED[1::2] + LABELLED[::2], strict=True)
    ],
    "token_classification": [
        {"text": f"Anna Berg lives in {place}", "entities": [{"start": 19, "end": 19 + len(place), "label": "LOC"}]}
        for place in ("Rotterdam", "Leeds", "Porto", "Cork") * 10
    ],
    "joint_classification": [
        {"text": f"Anna {does} in {place}", "label": does}
        | {"entities": [{"start": 9 + len(does), "end": 9 + len(does) + len(place), "label": "LOC"}]}
        for place in ("Rotterdam", "Leeds", "Porto", "Cork")
        for does in ("lives", "works") * 5
    ],
    "extractive_qa": [
        {"text": f"Anna lives in {place}, {n}", "pair": f"Where is {who}?", "answers": found}
        for n in range(2)
        for place in ("Rotterdam", "Leeds", "Porto", "Cork")
        for who, found in (("Anna", [{"text": place, "start": 14}]), ("Boris", []))
    ],
}
SIZES = {
    "GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64},
    "Llama": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 64,
    },
}


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`causal("GPT2" | "Llama")`: a folder with random weights and a byte-level tokenizer without special tokens."""
    folder = tmp_path_factory.mktemp("causal")

    def make(kind: str) -> Path:
        if (folder / kind).exists():
            return folder / kind
        fast = FastTokenizer(models.BPE())
        fast.pre_tokenizer, fast.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=300,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=["<|endoftext|>"],
            show_progress=False,
        )
        fast.train_from_iterator([text for text, _ in LABELLED], trainer)
        config = getattr(transformers, f"{kind}Config")(
            vocab_size=fast.get_vocab_size(), bos_token_id=0, eos_token_id=0, **SIZES[kind]
        )
        torch.manual_seed(0)
        transformers.AutoModel.from_config(config).save_pretrained(folder / kind)
        fast.save(str(folder / kind / "tokenizer.json"))
        return folder / kind

    return make


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("task", ROWS)
@pytest.mark.parametrize("method", ["full", "lora", "prefix"])
def test_a_causal_backbone_is_trained_bundled_and_answers(
    kind: str, task: str, method: str, causal: Callable[[str], Path], tmp_path: Path
) -> None:
    lines = [json.dumps(row) for row in ROWS[task]]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    own = {"kind": method, "length": 4} if method == "prefix" else {"kind": method}
    table = {
        "backbone": str(causal(kind)),
        "data": {"train": "rows.jsonl", "dev": "rows.jsonl", "test": "rows.jsonl", "alignment_loss": 0.5},
        "task": {"kind": task},
        "method": own,
        "train": {"length": "2 epochs", "batch_size": 8, "precision": "fp32", "threads": 1, "learning_rate": 0.01},
    }
    *_, last = run(parsed(table, folder=tmp_path), opened(tmp_path / "run", resume=False), origins={})
    assert isinstance(last, Finished)
    bundle = tmp_path / "run" / "bundle"
    verify(bundle)
    stored = list(read_predictions(tmp_path / "run" / "predictions.test.jsonl"))
    asked = [(row["text"], row["pair"]) if "pair" in row else row["text"] for row in ROWS[task]]
    assert [answer.predicted for answer in load(bundle).predict(asked)] == [row.predicted for row in stored]


@pytest.mark.parametrize("kind", SIZES)
def test_a_causal_backbone_finds_documents(kind: str, causal: Callable[[str], Path], tmp_path: Path) -> None:
    rows = [{"text": text, "pair": f"about a {label}"} for text, label in LABELLED]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    table = {
        "backbone": str(causal(kind)),
        "data": dict.fromkeys(("train", "dev", "test"), "rows.jsonl"),
        "task": {"kind": "retrieval"},
        "train": {"length": "2 epochs", "batch_size": 8, "precision": "fp32", "threads": 1, "learning_rate": 0.01},
    }
    *_, last = run(parsed(table, folder=tmp_path), opened(tmp_path / "run", resume=False), origins={})
    assert isinstance(last, Finished)
    stored = list(read_predictions(tmp_path / "run" / "predictions.test.jsonl"))
    predictor = load(tmp_path / "run" / "bundle")
    assert [answer.predicted for answer in predictor.predict([row["text"] for row in rows])] == [
        row.predicted for row in stored
    ]
    (window,) = predictor.answer([Example(id="1", text="hello", source=Source("x", 1))]).windows
    assert window.places.tolist() == [len(window) - 1]


def test_it_is_read_at_the_last_token_of_a_text_and_of_a_word(
    causal: Callable[[str], Path], unlabelled: Callable[..., list[Example]]
) -> None:
    tokenizer = Tokenizer(causal("GPT2") / "tokenizer.json", max_length=64, causal=True)
    texts = unlabelled("my card 3 is lost", "hello")
    whole = TASKS.make({"kind": "text_classification", "labels": ["a", "b"]}, key="task").encode(texts, tokenizer)
    assert [encoding.places.tolist() for encoding in whole] == [[len(encoding) - 1] for encoding in whole]
    words = TASKS.make({"kind": "token_classification", "labels": ["X"], "units": "words"}, key="task")
    (first, _) = words.encode(texts, tokenizer)
    pieces = tokenizer.words([("my", True), ("card", False), ("3", False), ("is", False), ("lost", False)])
    ends = [sum(map(len, pieces[: index + 1])) - 1 for index in range(5)]
    assert first.places[-1] == len(first) - 1 and len(first.places) == len(ends)
    joint = {"kind": "joint_classification", "labels": ["a", "b"], "entity_labels": ["X"], "units": "words"}
    (both, _) = TASKS.make(joint, key="task").encode(texts, tokenizer)
    assert both.places.tolist() == [len(both) - 1, *first.places], "the label where all was read"


def test_a_question_comes_first_and_no_answer_is_read_at_the_last_token(
    causal: Callable[[str], Path], unlabelled: Callable[..., list[Example]]
) -> None:
    tokenizer = Tokenizer(causal("GPT2") / "tokenizer.json", max_length=64, causal=True)
    (window,) = TASKS.make("extractive_qa", key="task").encode(unlabelled(("my card", "lost?")), tokenizer)
    question, text = tokenizer.texts(["lost?"])[0], tokenizer.words([("my", True), ("card", True)])
    shown = [*question, *tokenizer.framing.middle, *text[0], *text[1]]
    assert window.input_ids.tolist() == [*shown, tokenizer.unknown_id]
    begin = len(question) + len(tokenizer.framing.middle)
    assert window.places.tolist() == [len(shown), *range(begin, len(shown))]


def test_two_texts_are_told_apart(causal: Callable[[str], Path]) -> None:
    path = causal("GPT2") / "tokenizer.json"
    assert Tokenizer(path, max_length=64).framing.middle == ()
    tokenizer = Tokenizer(path, max_length=64, causal=True)
    assert tokenizer.framing.middle == tuple(tokenizer.texts(["\n"])[0]) != ()
