"""The audit of a run measures texts as the run's own task reads them."""

import json
from itertools import product
from pathlib import Path

from tunesmith.run.audited import audited_source


def test_the_audit_knows_the_tasks_window_and_units(tmp_path: Path, tiny_bert_folder: Path) -> None:
    texts = [" ".join(words) for words in product(("card", "lost", "the", "was"), repeat=3)]
    rows = [{"text": text, "entities": [{"start": 0, "end": 3, "label": "WORD"}]} for text in texts]
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    config = tmp_path / "config.toml"
    fields = {"kind": "token_classification", "units": "characters", "max_length": 9}
    written = "\n".join(f"{key} = {json.dumps(value)}" for key, value in fields.items())
    config.write_text(
        f'backbone = {json.dumps(str(tiny_bert_folder))}\n[data]\ntrain = "train.jsonl"\n[task]\n{written}\n',
        encoding="utf-8",
    )
    found = next(section for section in audited_source(config).sections if section.title == "Length")
    assert found.summary.startswith(f"{len(texts)} text(s) exceed the window of 9 tokens")
