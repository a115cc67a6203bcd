"""A number for a text: read from a file, learnt on its own scale, judged by rank beside a ridge regression."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from torch.testing import assert_close

from tunesmith.core.batch import collate
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.example import Example, Source
from tunesmith.core.model import Model
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.judge.baselines import baselines
from tunesmith.judge.scoring import score
from tunesmith.prepare.reading import detect, read
from tunesmith.run.config import parsed
from tunesmith.run.events import Finished
from tunesmith.run.folder import opened, read_json
from tunesmith.run.train import run
from tunesmith.tasks.text_regression import TextRegression

WORDS = ("good", "bad", "lost", "help", "please")


def rows(count: int) -> list[Example]:
    return [
        Example(id=str(n), text=f"the card is {WORDS[n % 5]} {n}", gold=float(n % 5) * 10, source=Source("r", n + 1))
        for n in range(count)
    ]


def test_the_loss_is_the_squared_error_on_the_unit_scale(
    tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]
) -> None:
    examples = rows(6)
    task = TextRegression().bound(examples)
    assert task.score_range == [0.0, 40.0]
    model, batch = tiny_model(task).eval(), collate(task.encode(examples, tiny_tokenizer), [e.id for e in examples])
    output = model(batch)
    wanted = torch.tensor([float(e.gold or 0) / 40 for e in examples])
    assert_close(task.loss(output, batch, head=model.head), (output.logits[:, 0] - wanted).square().sum())
    said = task.decode(examples, task.encode(examples, tiny_tokenizer), list(output.logits.split(1)), head=model.head)
    assert_close([s.predicted for s in said], (output.logits[:, 0].double() * 40).tolist())


def test_rows_that_cannot_be_learnt_are_refused() -> None:
    good = rows(3)
    for wrong in (replace(good[1], gold="high"), replace(good[1], pair="two")):
        with pytest.raises(DataError) as caught:
            TextRegression().bound([good[0], wrong])
        assert caught.value.place and caught.value.place.line == 2
    with pytest.raises(DataError, match="every score is 0"):
        TextRegression().bound([good[0], good[0]])


@pytest.mark.parametrize(
    ("row", "given"),
    [
        ({"text": "the card is lost", "score": 1.5}, {}),
        ({"text": "the card is lost", "stars": 4}, {}),
        ({"text": "the card is lost", "label": "2.5", "n": 1}, {"label": "label"}),
    ],
)
def test_the_score_is_found_or_named(row: dict[str, Any], given: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    lines = [json.dumps(row | {"text": f"{row['text']} {n}"}) for n in range(30)]
    file.write_text("\n".join(lines), encoding="utf-8")
    finding = detect(file, given={"task": "text_regression"} | given)
    found = list(read(file, finding.format))
    assert isinstance(found[0].gold, float) and found[0].gold == float(row.get("score", row.get("stars", 2.5)))


def test_its_baseline_is_ridge_regression_on_counted_words() -> None:
    train, test = rows(40), rows(55)[40:]
    said = baselines("text_regression", train, test)
    assert set(said) == {"mean", "tfidf_ridge"}
    vectorizer = TfidfVectorizer(token_pattern=r"(?u)\w+|[^\w\s]", ngram_range=(1, 2), sublinear_tf=True)
    known = vectorizer.fit_transform([e.text for e in train])
    ridge = Ridge(alpha=1.0).fit(known, [float(e.gold or 0) for e in train])
    expected = ridge.predict(vectorizer.transform([e.text for e in test]))
    np.testing.assert_allclose([float(str(p.predicted)) for p in said["tfidf_ridge"]], expected, atol=0.5)
    assert score(said["tfidf_ridge"], kind="text_regression").metrics["spearman"].value > 0.9


def test_a_run_from_rows_to_a_bundle(tiny_bert_folder: Path, tmp_path: Path) -> None:
    lines = [json.dumps({"text": example.text, "score": example.gold}) for example in rows(80)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    table = {
        "backbone": str(tiny_bert_folder),
        "data": {"train": "rows.jsonl"},
        "task": {"kind": "text_regression"},
        "train": {"length": "12 epochs", "learning_rate": 3e-3, "precision": "fp32", "threads": 1},
    }
    *_, last = run(parsed(table, folder=tmp_path), opened(tmp_path / "run", resume=False), origins={})
    assert isinstance(last, Finished)
    assert read_json(tmp_path / "run" / "report.json")["splits"]["test"]["metrics"]["spearman"]["value"] > 0.8
    with pytest.raises(ConfigError, match="no classes"):
        smoothed = table | {"regularizers": [{"kind": "label_smoothing"}]}
        list(run(parsed(smoothed, folder=tmp_path), opened(tmp_path / "smooth", resume=False), origins={}))
