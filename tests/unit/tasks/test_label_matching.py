"""Label matching: cosines as transformers would compute them, label vectors from descriptions and rows, long texts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from tunesmith.core.batch import collate
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.example import Example, Source
from tunesmith.core.model import Backbone, Model
from tunesmith.core.rooms import TASKS
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.hub_config import hub_config
from tunesmith.models.hub_names import hub_state
from tunesmith.models.inference import logits_of
from tunesmith.models.sentence_vectors import sentence_vectors
from tunesmith.tasks.label_matching import MOST_ROWS, ROWS_WEIGH, LabelMatching, readable
from tunesmith.tune.data import TrainingData


def row(text: str, gold: str | None = None, line: int = 1) -> Example:
    return Example(id=str(line), text=text, gold=gold, source=Source("rows.jsonl", line))


ROWS = [row("the card was lost", "card_lost"), row("not good", "bad", 2), row("please help", "bad", 3)]
BOUND = LabelMatching(template="about {}").bound(ROWS)


def begun(task: LabelMatching, backbone: Backbone, tokenizer: Tokenizer, rows: list[Example]) -> Model:
    model = Model(backbone, task.head(backbone)).eval()
    task.begin(model.head, backbone, tokenizer=tokenizer, examples=rows)
    return model


def vectors(texts: list[str], task: LabelMatching, backbone: Backbone, tokenizer: Tokenizer) -> torch.Tensor:
    """[n, D] of texts that fit a window."""
    return torch.from_numpy(sentence_vectors(backbone, task.encode([row(text) for text in texts], tokenizer)))


def test_labels_come_from_the_rows_and_names_are_made_readable() -> None:
    assert BOUND.label_names == ("bad", "card_lost")
    assert BOUND.descriptions == {"bad": "bad", "card_lost": "card lost"}
    assert [readable(name) for name in ("cash__out", "_", "Sci/Tech")] == ["cash out", "_", "Sci/Tech"]


def test_without_rows_the_descriptions_are_the_labels() -> None:
    told = LabelMatching(descriptions={"b": "a bill", "a": "an apple"}).bound([])
    assert told.label_names == ("a", "b") and told.descriptions["a"] == "an apple"
    assert LabelMatching(labels=["z", "y"]).bound([]).label_names == ("z", "y")


@pytest.mark.parametrize(
    "options, rows, code",
    [
        ({}, [], "TS-TASK-040"),
        ({"descriptions": {"a": "alone"}}, [], "TS-TASK-040"),
        ({"descriptions": {"card_lots": "a card"}}, ROWS, "TS-TASK-041"),
        ({"template": "no place"}, ROWS, "TS-CONF-002"),
        ({"template": "{} and {}"}, ROWS, "TS-CONF-002"),
        ({"template": "{} of {x}"}, ROWS, "TS-CONF-002"),
        ({"descriptions": {"bad": " "}}, ROWS, "TS-CONF-002"),
        ({"labels": ["bad", "other"]}, ROWS, "TS-TASK-021"),
        ({}, [Example(id="1", text="a", pair="b", gold="c", source=Source("rows", 1))], "TS-TASK-031"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, object], rows: list[Example], code: str) -> None:
    with pytest.raises((ConfigError, DataError)) as caught:
        TASKS.make({"kind": "label_matching", **options}, key="task").bound(rows)
    assert caught.value.code == code or code == "TS-CONF-002"


def test_without_rows_a_label_begins_at_its_description(tiny_backbone: Backbone, tiny_tokenizer: Tokenizer) -> None:
    model = begun(BOUND, tiny_backbone, tiny_tokenizer, [])
    own = vectors(["about bad", "about card lost"], BOUND, tiny_backbone, tiny_tokenizer)
    assert_close(dict(model.head.named_parameters())["label_vectors"].data, own)


def test_with_rows_it_begins_between_description_and_mean(tiny_backbone: Backbone, tiny_tokenizer: Tokenizer) -> None:
    model = begun(BOUND, tiny_backbone, tiny_tokenizer, ROWS)
    told = vectors(["about bad", "about card lost"], BOUND, tiny_backbone, tiny_tokenizer)
    own = vectors([example.text for example in ROWS], BOUND, tiny_backbone, tiny_tokenizer)
    means = F.normalize(torch.stack([own[1] + own[2], own[0]]), dim=-1)
    expected = F.normalize(told + ROWS_WEIGH * means, dim=-1)
    assert_close(dict(model.head.named_parameters())["label_vectors"].data, expected)


def test_a_label_with_many_rows_is_looked_at_in_part(
    tiny_backbone: Backbone, tiny_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    encode = LabelMatching.encode
    monkeypatch.setattr(
        LabelMatching,
        "encode",
        lambda self, rows, tokenizer: (seen.append(len(rows)), encode(self, rows, tokenizer))[1],
    )
    rows = [row(f"good {number}", "bad" if number % 4 else "card_lost", number) for number in range(4000)]
    begun(BOUND, tiny_backbone, tiny_tokenizer, rows)
    assert seen == [2, 2 * MOST_ROWS]


def test_a_logit_is_the_cosine_that_transformers_gives(tiny_bert_folder: Path, tiny_tokenizer: Tokenizer) -> None:
    """Its BertModel, opened from what we would save, with mean pooling by hand."""
    from transformers import AutoConfig, AutoModel

    from tunesmith.models.checkpoint import locate
    from tunesmith.models.loading import load_backbone

    task = BOUND.model_copy(update={"prefix": "query: "})
    model = begun(task, load_backbone(locate(str(tiny_bert_folder))), tiny_tokenizer, ROWS)
    config = hub_config(model, labels=task.label_names, problem="matching")
    assert config["architectures"] == ["BertModel"] and "problem_type" not in config
    state = hub_state(model)
    labels = state.pop("label_vectors")
    peer = AutoModel.from_config(AutoConfig.for_model(**config)).eval()
    inner = {name.removeprefix("bert."): tensor for name, tensor in state.items()}
    peer.load_state_dict(inner, strict=False)
    windows = task.encode(ROWS, tiny_tokenizer)
    with torch.no_grad():
        for window, (_, logits) in zip(windows, logits_of(model, windows), strict=True):
            ids = torch.from_numpy(window.input_ids.astype(np.int64))[None]
            mean = peer(input_ids=ids).last_hidden_state[0].mean(0)
            expected = F.cosine_similarity(mean[None], labels) / task.temperature
            assert_close(logits[0], expected, rtol=1e-4, atol=1e-4)


def test_a_long_text_is_answered_by_the_mean_of_its_windows(
    tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]
) -> None:
    task = BOUND.model_copy(update={"max_length": 12, "stride": 2})
    text = row("the card was lost please help not good " * 5)
    windows = task.encode([text], tiny_tokenizer)
    assert len(windows) > 3 and sum(window.weight for window in windows) == pytest.approx(1)
    model = tiny_model(task)
    logits = [found for _, found in logits_of(model, windows)]
    answer = task.decode([text], windows, logits, head=model.head)[0]
    shares = torch.softmax(torch.cat(logits).mean(0), -1).tolist()
    assert answer.scores == pytest.approx(dict(zip(task.label_names, shares, strict=True)))
    assert not answer.truncated


def test_a_window_that_only_rounds_the_shape_is_no_text(
    tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]
) -> None:
    windows = BOUND.encode(ROWS, tiny_tokenizer)
    data = TrainingData(encodings=windows, ids=["1", "2", "3"])
    model = tiny_model(BOUND).eval()
    with torch.no_grad():
        plain = model(collate(windows, ["1", "2", "3"])).logits
        rounded = model(data.batch([0, 1, 2], multiple=64)).logits
    assert_close(rounded, plain, rtol=1e-5, atol=1e-5)
