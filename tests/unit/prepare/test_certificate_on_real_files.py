"""Real annotated files, read as they are, have a clean certificate."""

import os
from pathlib import Path

import pytest

from tunesmith.core.tokenizer import Tokenizer
from tunesmith.prepare.certificate import certify
from tunesmith.prepare.characters import Level
from tunesmith.prepare.reading import detect, read
from tunesmith.tasks.token_classification import TokenClassification

DATA = os.environ.get("TUNESMITH_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="TUNESMITH_DATA is not set")


@pytest.mark.parametrize(
    "file, level, entities",
    [
        ("conll2003/eng.testa", "words", 5942),
        ("resume_ner/dev.char.bmes", "characters", None),
        ("weibo_ner/weiboNER_2nd_conll.dev", "characters", 389),
        ("snips/valid", "words", None),
    ],
)
def test_every_entity_survives(
    trained_tokenizers: dict[str, Tokenizer], file: str, level: Level, entities: int | None
) -> None:
    path = Path(str(DATA)) / file
    given = {"task": "token_classification"} | ({"transitions": "repair"} if "weibo" in file else {})
    examples = list(read(path, detect(path, given=given).format))
    task = TokenClassification().bound(examples)
    assert task.level == level
    for kind in ("wordpiece", "byte_bpe", "unigram"):
        found = certify(examples, trained_tokenizers[kind], level=task.level, scheme="BIOES")
        assert found.clean, (kind, found.faults[:3])
        assert found.total == sum(len(example.gold) for example in examples)  # type: ignore[arg-type, misc]
        assert entities in (None, found.total)
