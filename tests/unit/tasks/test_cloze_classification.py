"""Cloze classification: scores against the whole vocabulary, windows, truncation, priors, demonstrations, refusals."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tunesmith.core.batch import Encoding, collate
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.example import Example, Source
from tunesmith.core.model import Backbone, Model
from tunesmith.core.rooms import TASKS
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.encoder import Encoder
from tunesmith.models.inference import logits_of
from tunesmith.models.loading import build_backbone
from tunesmith.models.masked_head import blank_head
from tunesmith.tasks._verbalizer import asked_causal, asked_masked
from tunesmith.tasks.cloze_classification import ClozeClassification

TEXTS = ("please help my card", "the card is lost", "stolen", "not good " * 30)
SHORT = {"a": "is", "b": "lost"}
"""Each one token of the byte-level tokenizer"""
WORDS = {"bad": "bad", "good": ["good", "works"], "other": "is not of"}


def rows(*texts: str, golds: tuple[str, ...] = ("bad", "good", "other")) -> list[Example]:
    return [
        Example(id=str(n), text=text, gold=golds[n % len(golds)], source=Source("data.csv", n + 1))
        for n, text in enumerate(texts)
    ]


@pytest.fixture
def causal(trained_tokenizers: dict[str, Tokenizer], tmp_path: Any) -> tuple[Backbone, Tokenizer]:
    """A tiny GPT-2 with a byte-level tokenizer."""
    (tmp_path / "tokenizer.json").write_bytes(trained_tokenizers["byte_bpe"].serialized)
    tokenizer = Tokenizer(tmp_path / "tokenizer.json", max_length=64, causal=True)
    torch.manual_seed(4)
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "initializer_range": 0.4}
    backbone = build_backbone({"model_type": "gpt2", "vocab_size": tokenizer.vocabulary_size, **sizes})
    return backbone.eval(), tokenizer


def fitted(backbone: Backbone, tokenizer: Tokenizer, examples: list[Example], **options: Any) -> ClozeClassification:
    return (
        ClozeClassification(**{"calibration": "none"} | options)
        .bound(examples)
        .fitted(backbone, tokenizer, examples=examples)
    )


def scores(task: ClozeClassification, backbone: Backbone, windows: list[Encoding]) -> Tensor:
    """[E, C]"""
    model = Model(backbone, task.head(backbone)).eval()
    found = [logits for _, logits in logits_of(model, windows)]
    for logits in found:
        assert_close(logits, logits[:1].expand_as(logits))
    return torch.stack([logits[0] for logits in found])


def log_softmaxes(backbone: Backbone, ids: list[int]) -> Tensor:
    """[N, V] of one sequence."""
    window = Encoding(
        example=0,
        input_ids=np.array(ids, np.int32),
        segment_ids=None,
        places=np.arange(len(ids), dtype=np.int32),
        units=np.zeros(len(ids), np.int32),
        targets=None,
    )
    model = Model(backbone, blank_head(backbone)).eval()
    with torch.inference_mode():
        return model(collate([window], [""])).logits.log_softmax(-1)


@pytest.mark.parametrize("template", ["{text} It is [blank]", "Say: {text} It is [blank] in all."])
@pytest.mark.parametrize("options", [{}, {"several_words": "mean"}, {"per_token": True}])
def test_a_causal_model_scores_the_word_and_what_follows_it(
    template: str, options: dict[str, Any], causal: tuple[Backbone, Tokenizer]
) -> None:
    backbone, tokenizer = causal
    examples = rows(*TEXTS[:3])
    task = fitted(backbone, tokenizer, examples, template=template, verbalizer=WORDS, **options)
    found = scores(task, backbone, task.encode(examples, tokenizer))
    start, rest = template.split("[blank]")
    for example, row in zip(examples, found, strict=True):
        prompt = [*tokenizer.framing.prefix, *tokenizer.texts([start.replace("{text}", example.text).rstrip()])[0]]
        labels = []
        for label in task.label_names:
            own = []
            for word in [WORDS[label]] if isinstance(WORDS[label], str) else WORDS[label]:
                ids = [*tokenizer.texts([f" {word}"])[0], *(tokenizer.texts([rest])[0] if rest else [])]
                said = log_softmaxes(backbone, [*prompt, *ids])[len(prompt) - 1 : -1]
                total = said[range(len(ids)), ids].sum()
                own.append(total / len(ids) if options.get("per_token") else total)
            words = torch.stack(own)
            labels.append(words.mean() if options.get("several_words") == "mean" else words.logsumexp(0))
        assert_close(row.log_softmax(-1), torch.stack(labels).log_softmax(-1), rtol=1e-4, atol=1e-4)


def test_a_masked_model_fills_the_blank_from_left_to_right(tiny_backbone: Backbone, tiny_tokenizer: Tokenizer) -> None:
    examples = rows(*TEXTS[:3])
    task = fitted(tiny_backbone, tiny_tokenizer, examples, template="{text} It is [blank].", verbalizer=WORDS)
    found = scores(task, tiny_backbone, task.encode(examples, tiny_tokenizer))
    mask, frame = tiny_tokenizer.mask_id, tiny_tokenizer.framing
    assert mask is not None
    for example, row in zip(examples, found, strict=True):
        before = [*frame.prefix, *tiny_tokenizer.texts([f"{example.text} It is"])[0]]
        after = [*tiny_tokenizer.texts(["."])[0], *frame.suffix]
        labels = []
        for label in task.label_names:
            own = []
            for word in [WORDS[label]] if isinstance(WORDS[label], str) else WORDS[label]:
                ids = tiny_tokenizer.texts([word])[0]
                total = torch.zeros(())
                for step, token in enumerate(ids):
                    blank = [*ids[:step], *[mask] * (len(ids) - step)]
                    total = total + log_softmaxes(tiny_backbone, [*before, *blank, *after])[len(before) + step, token]
                own.append(total)
            labels.append(torch.stack(own).logsumexp(0))
        assert_close(row.log_softmax(-1), torch.stack(labels).log_softmax(-1), rtol=1e-4, atol=1e-4)


def test_words_of_one_token_cost_one_pass_and_others_one_for_each_longest_beginning(
    causal: tuple[Backbone, Tokenizer],
) -> None:
    assert [s.blank for s in asked_causal([[[1]], [[2], [3]]]).sequences] == [()]
    tree = asked_causal([[[1, 2, 3]], [[1, 4]], [[5]]])
    assert [s.blank for s in tree.sequences] == [(1, 2)]
    assert (tree.sequences[0].reads, tree.candidates.nodes) == ((-1, 0, 1), 3)
    assert [s.blank for s in asked_causal([[[1, 2]], [[3, 4]]]).sequences] == [(1,), (3,)]
    assert [s.blank for s in asked_masked([[[1]], [[2]]]).sequences] == [(None,)]
    assert [s.blank for s in asked_masked([[[1]], [[2, 3]]]).sequences] == [(None,), (None, None), (2, None)]
    backbone, tokenizer = causal
    examples = rows("help", "card", golds=("a", "b"))
    (window, _) = fitted(backbone, tokenizer, examples, template="{text} is [blank]", verbalizer=SHORT).encode(
        examples, tokenizer
    )
    assert (window.parts, window.places.tolist()) == ((), [len(window) - 1])


def test_what_does_not_fit_is_cut_from_the_text(causal: tuple[Backbone, Tokenizer]) -> None:
    backbone, tokenizer = causal
    long = "my card was lost " * 30
    examples = rows("help", long, golds=("a", "b"))
    task = fitted(backbone, tokenizer, examples, template="Read: {text} It is [blank]", verbalizer=SHORT, max_length=32)
    short, cut = task.encode(examples, tokenizer)
    own = tokenizer.texts(["Read:"])[0], tokenizer.texts([" It is"])[0]
    assert len(cut) == 32 and short.truncated == 0
    assert cut.input_ids[1 : 1 + len(own[0])].tolist() == own[0]
    assert cut.input_ids[-len(own[1]) :].tolist() == own[1]
    shown = len(tokenizer.texts(["x " + long.strip()])[0])
    assert cut.truncated == pytest.approx(len(long) * (1 - (32 - 1 - len(own[0]) - len(own[1])) / shown), rel=0.1)
    predictions = task.decode(examples, [short, cut], [torch.zeros(1, 2)] * 2, head=task.head(backbone))
    assert [prediction.truncated for prediction in predictions] == [0, cut.truncated]
    with pytest.raises(ConfigError, match="no room") as caught:
        task.model_copy(update={"max_length": 8}).encode(examples, tokenizer)
    assert caught.value.code == "TS-TASK-063"


@pytest.mark.parametrize("kind", ["contextual", "pmi", "batch"])
def test_priors_are_what_is_said_without_a_text(kind: str, causal: tuple[Backbone, Tokenizer]) -> None:
    backbone, tokenizer = causal
    examples = rows(*TEXTS[:3])
    free: dict[str, Sequence[str]] = {"contextual": ["N/A", ""], "pmi": ["card"], "batch": TEXTS[:3]}
    options: dict[str, Any] = {"verbalizer": WORDS, "content_free": None if kind == "batch" else free[kind]}
    plain = fitted(backbone, tokenizer, examples, **options)
    task = fitted(backbone, tokenizer, examples, calibration=kind, **options)
    said = scores(plain, backbone, plain.encode(rows(*free[kind]), tokenizer)).softmax(-1).mean(0)
    assert task.priors is not None
    assert_close(torch.tensor(task.priors), said.log(), atol=1e-4, rtol=1e-4)
    windows = task.encode(examples, tokenizer)
    assert_close(scores(task, backbone, windows), scores(plain, backbone, windows) - torch.tensor(task.priors))
    assert (
        fitted(
            backbone,
            tokenizer,
            [replace(row, gold="bad" if n else "other") for n, row in enumerate(examples)],
            labels=list(task.label_names),
            calibration=kind,
            **options,
        ).priors
        == task.priors
    )
    assert TASKS.make(task.as_table(), key="task").fitted(backbone, tokenizer, examples=[]) == task


def test_demonstrations_are_alike_of_every_label_and_never_the_text_itself(causal: tuple[Backbone, Tokenizer]) -> None:
    backbone, tokenizer = causal
    texts = ("the card is lost", "a lost card", "nice works", "works nicely", "the card was lost", "help")
    examples = rows(*texts, golds=("a", "b"))
    options: dict[str, Any] = {"template": "{text} is [blank]", "verbalizer": SHORT, "demonstrations": 2}
    task = fitted(backbone, tokenizer, examples, **options)
    ids = task.encode(examples, tokenizer)[0].input_ids.tolist()
    shown = ["the card was lost is is", "a lost card is lost"]
    ways = [f"{a}\n\n{b}\n\nthe card is lost is" for a, b in (shown, shown[::-1])]
    assert ids in [[*tokenizer.framing.prefix, *tokenizer.texts([way])[0]] for way in ways]
    drawn = {tuple(task.encode(examples, tokenizer, order=n)[0].input_ids.tolist()) for n in range(6)}
    assert len(drawn) == 2
    room = len(tokenizer.texts([f"{shown[0]}\n\nthe card is lost is"])[0]) + 4
    narrow = task.model_copy(update={"max_length": room}).encode(examples, tokenizer)
    assert len(narrow[0]) <= room and narrow[0].truncated == 0
    model = Model(backbone, task.head(backbone)).eval()
    *blanks, order = task.remarks(model, examples, tokenizer=tokenizer)
    assert [line.split(":")[0] for line in blanks] == [f"at the blank, 3 dev rows of {label!r}" for label in SHORT]
    assert order.startswith("order of demonstrations: accuracy ") and order.endswith("on 6 dev rows")


def test_what_would_be_written_into_the_blank_is_told(tiny_backbone: Backbone, tiny_tokenizer: Tokenizer) -> None:
    examples = rows("my card", golds=("bad", "good")) + rows("x", golds=("good",))
    task = fitted(tiny_backbone, tiny_tokenizer, examples, template="{text} is [blank].", calibration="pmi")
    line, _, calibration = task.remarks(
        Model(tiny_backbone, task.head(tiny_backbone)).eval(), examples, tokenizer=tiny_tokenizer
    )
    ids = [*tiny_tokenizer.framing.prefix, *tiny_tokenizer.texts(["my card is"])[0], tiny_tokenizer.mask_id or 0]
    said = log_softmaxes(tiny_backbone, [*ids, *tiny_tokenizer.texts(["."])[0], *tiny_tokenizer.framing.suffix])
    best = tiny_tokenizer.shown(int(said[len(ids) - 1].argmax()))
    assert line.startswith(f"at the blank, 1 dev rows of 'bad': {best!r} {said[len(ids) - 1].max().exp():.1%}")
    assert calibration.startswith("calibration pmi: ")


@pytest.mark.parametrize(
    "options, message, key",
    [
        ({"template": "{text} is"}, r"\[blank\] once", "task.template"),
        ({"template": "[blank] is [blank] {text}"}, r"\[blank\] once", "task.template"),
        ({"template": "It is [blank]"}, r"{text} once", "task.template"),
        ({"template": "{text} {label} [blank]"}, "nothing into {label}", "task.template"),
        ({"template": "[blank]: {text}"}, "before it has read", "task.template"),
        ({"verbalizer": {"bod": "bad"}}, "no label 'bod'", "task.verbalizer.bod"),
        ({"verbalizer": {"bad": "same", "good": "same"}}, "have the same word", "task.verbalizer.good"),
        ({"verbalizer": {"bad": " "}}, "blank one", "task.verbalizer.bad"),
        ({"verbalizer": {"bad": []}}, "no word", "task.verbalizer.bad"),
        ({"labels": ["bad", "good", "other"], "priors": [0.0]}, "priors need labels", "task"),
        ({"calibration": "pmi", "content_free": ["a", "b"]}, "one premise", "task"),
        ({"template": "{text} " + "is so very " * 40 + "[blank]"}, "no room", "task.template"),
    ],
)
def test_mistakes_are_told_at_their_key(
    options: dict[str, Any], message: str, key: str, causal: tuple[Backbone, Tokenizer]
) -> None:
    backbone, tokenizer = causal
    examples = rows(*TEXTS[:3])
    with pytest.raises(ConfigError, match=message) as caught:
        task = TASKS.make({"kind": "cloze_classification", **options}, key="task").bound(examples)
        task.fitted(backbone, tokenizer, examples=examples).encode(examples, tokenizer)
    assert caught.value.place is not None and caught.value.place.key == key
    assert caught.value.fix


def test_a_word_that_the_backbone_cannot_write_is_refused(tiny_backbone: Backbone, tiny_tokenizer: Tokenizer) -> None:
    examples = rows(*TEXTS[:3])
    for word, other in (("नमस्ते", "bad"), ("good", "GOOD")):
        task = ClozeClassification(verbalizer={"bad": other, "good": word}).bound(examples)
        with pytest.raises(ConfigError, match="no tokens for" if other == "bad" else "same word"):
            task.fitted(tiny_backbone, tiny_tokenizer, examples=examples)


def test_rows_must_have_the_texts_that_the_template_shows(tiny_tokenizer: Tokenizer) -> None:
    plain = rows(*TEXTS[:3])
    pairs = [replace(row, pair="b") for row in plain]
    both = ClozeClassification(template="{text} and {pair} are [blank]")
    assert (both.rows, ClozeClassification().rows) == ("pair_matching", "text_classification")
    for task, examples in ((both, plain), (ClozeClassification(), pairs)):
        with pytest.raises(DataError, match=r"data\.csv:1.*second text"):
            task.bound(examples)


def test_a_backbone_without_its_head_is_refused(tiny_backbone: Backbone, tiny_tokenizer: Tokenizer) -> None:
    assert isinstance(tiny_backbone, Encoder)
    tiny_backbone.carried = {}
    task = ClozeClassification(calibration="pmi").bound(rows(*TEXTS[:3]))
    with pytest.raises(ConfigError, match="cannot fill a blank"):
        task.fitted(tiny_backbone, tiny_tokenizer, examples=[])


def test_sequences_of_a_window_do_not_see_each_other(causal: tuple[Backbone, Tokenizer]) -> None:
    backbone, tokenizer = causal
    examples = rows(*TEXTS[:3])
    task = fitted(backbone, tokenizer, examples, template="{text} It is [blank]", verbalizer=WORDS)
    windows = task.encode(examples, tokenizer)
    batch = collate(windows, ["a", "b", "c"])
    assert batch.part_counts == tuple(len(window.parts) for window in windows) and min(batch.part_counts) > 1
    assert batch.window_lengths == tuple(map(len, windows))
    assert batch.positions.tolist() == [n for length in batch.lengths for n in range(length)]
    ids = torch.from_numpy(windows[0].input_ids.astype(np.int64)).split(list(windows[0].parts))
    with torch.inference_mode():
        together = backbone(batch)[: len(windows[0])].split(list(windows[0].parts))
        for own, seen in zip(ids, together, strict=True):
            assert_close(blank_head(backbone)(seen).log_softmax(-1), log_softmaxes(backbone, own.tolist()))
