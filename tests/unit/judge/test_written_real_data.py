"""Metrics of written answers on real data; needs TUNESMITH_DATA."""

import csv
import json
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from tunesmith.core.example import Span
from tunesmith.core.prediction import Prediction, ScoredSpan
from tunesmith.judge.scoring import score

ROOT = Path(os.environ.get("TUNESMITH_DATA", ""))
pytestmark = pytest.mark.skipif(
    not os.environ.get("TUNESMITH_DATA"), reason="TUNESMITH_DATA names no folder of data sets"
)


def test_one_reference_against_another_equals_sacrebleu_and_rouge_score() -> None:
    by_meaning: dict[str, list[str]] = defaultdict(list)
    with (ROOT / "e2e_nlg/test.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            by_meaning[line["mr"]].append(line["ref"])
    pairs = [(said, gold) for said, gold, *_ in (texts for texts in by_meaning.values() if len(texts) > 1)][:150]
    rows = [Prediction(id=str(i), text="t", gold=gold, predicted=said) for i, (said, gold) in enumerate(pairs)]
    found = {name: metric.value for name, metric in score(rows, kind="generation", replicates=0).metrics.items()}
    answers, references = [said for said, _ in pairs], [[gold for _, gold in pairs]]
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(answers, references).score / 100)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(answers, references).score / 100)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    theirs = [scorer.score(gold, said) for said, gold in pairs]
    for name, other in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")):
        assert found[name] == pytest.approx(np.mean([row[other].fmeasure for row in theirs]))


@pytest.mark.parametrize("file", ["cmrc2018/test.json", "xquad/xquad.en.json", "xquad/xquad.zh.json"])
def test_gold_answers_against_themselves_are_perfect(file: str) -> None:
    rows = []
    for article in json.loads((ROOT / file).read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                starts = [(answer["answer_start"], len(answer["text"])) for answer in question["answers"]]
                gold = tuple(Span(start, start + length, "answer") for start, length in starts)
                said = (ScoredSpan(gold[-1].start, gold[-1].end, "answer", 1.0),)
                asked, context = question["question"], paragraph["context"]
                rows.append(Prediction(id=str(len(rows)), text=context, pair=asked, gold=gold, predicted=said))
    found = score(rows, kind="extractive_qa", replicates=0).metrics
    assert {name: metric.value for name, metric in found.items()} == {"f1": 1, "exact_match": 1}
