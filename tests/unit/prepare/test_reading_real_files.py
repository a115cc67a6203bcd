"""Files as they are found in the wild; needs TUNESMITH_DATA."""

import os
from collections import Counter
from pathlib import Path

import pytest

from tunesmith.core.example import LabelAndSpans, Span
from tunesmith.prepare.reading import Rejects, detect, read

ROOT = Path(os.environ.get("TUNESMITH_DATA", ""))
pytestmark = pytest.mark.skipif(
    not os.environ.get("TUNESMITH_DATA"), reason="TUNESMITH_DATA names no folder of data sets"
)


@pytest.mark.parametrize(
    "name, given, task, accepted, rejected, gold",
    [
        ("conll2003/eng.testb", {}, "token_classification", 3453, 0, 5648),
        ("conll2003/conllpp_test.txt", {}, "token_classification", 3453, 0, 5702),
        ("wnut17/wnut17train.conll", {}, "token_classification", 3394, 0, 1975),
        ("weibo_ner/weiboNER_2nd_conll.test", {"transitions": "repair"}, "token_classification", 270, 0, 418),
        ("resume_ner/dev.char.bmes", {}, "token_classification", 463, 0, None),
        ("restaurant8k/train.jsonl", {}, "token_classification", 4965, 35, None),
        ("cluener/dev.jsonl", {}, "token_classification", 1343, 0, 3072),
        ("snips/valid", {}, "joint_classification", 700, 0, 700 + 1794),
        ("snips/valid", {"task": "token_classification"}, "token_classification", 700, 0, 1794),
        ("banking77/train.csv", {}, "text_classification", 10003, 0, 10003),
        ("ag_news/test.csv", {}, "text_classification", 1600, 0, 1600),
        ("trec/TREC.train", {"levels": 1}, "text_classification", 5452, 0, 5452),
        ("sst2/dev.tsv", {}, "text_classification", 872, 0, 872),
        ("financial_phrasebank/all-data.csv", {}, "text_classification", 4846, 0, 4846),
        ("chnsenticorp_hotel/reviews.csv", {}, "text_classification", 2499, 1, 2499),
        ("airline_tweets/tweets.csv", {}, "text_classification", 9000, 0, 9000),
        ("clinc150/data_full.json#oos_test", {}, "text_classification", 1000, 0, 1000),
        ("stsb/stsb-en-dev.csv", {}, "pair_matching", 1500, 0, None),
        ("afqmc/dev.tsv", {}, "pair_matching", 4316, 0, 4316),
        ("esnli/test.jsonl", {}, "pair_matching", 1500, 0, 1500),
    ],
)
def test_counts(tmp_path, name, given, task, accepted, rejected, gold):
    finding = detect(ROOT / name, given=given)
    labels: Counter[str] = Counter()
    with Rejects(tmp_path / "bad.jsonl") as rejects:
        for row in read(finding.path, finding.format, rejects=rejects):
            found = (row.gold,) if isinstance(row.gold, str) else row.gold if isinstance(row.gold, tuple) else ()
            if isinstance(row.gold, LabelAndSpans):
                found = (row.gold.label, *row.gold.spans)
            labels.update(item.label if isinstance(item, Span) else item for item in found)
            assert all(row.text[span.start : span.end].strip() for span in found if isinstance(span, Span))
    assert (finding.task, rejects.accepted, rejects.rejected) == (task, accepted, rejected)
    assert gold is None or labels.total() == gold
