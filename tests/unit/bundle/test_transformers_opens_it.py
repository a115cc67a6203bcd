"""`transformers` opens the folder with its Auto classes and computes the same logits from the same tokens."""

from dataclasses import replace

import pytest
import torch

from tunesmith.bundle.join import Member, join
from tunesmith.bundle.predictor import Predictor
from tunesmith.models.checkpoint import locate

TEXT = "my card was stolen in 北京, please help"


def test_the_same_logits_for_a_question(tiny_bundles, unlabelled):
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = tiny_bundles("answer")
    model, report = AutoModelForQuestionAnswering.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    predictor = Predictor.load(folder)
    answered = predictor.answer(unlabelled((TEXT, "what was stolen?")))
    window, ours = answered.windows[0], answered.logits[0]
    batch = AutoTokenizer.from_pretrained(folder)("what was stolen?", TEXT, return_tensors="pt")
    assert batch["input_ids"][0].tolist() == window.input_ids.tolist()
    assert batch["token_type_ids"][0].tolist() == window.segment_ids.tolist()
    with torch.no_grad():
        theirs = model.eval()(**batch)
    both = torch.stack([theirs.start_logits[0], theirs.end_logits[0]], -1)
    torch.testing.assert_close(ours, both[torch.from_numpy(window.places.astype("int64"))], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["entities", "label", "labels", "path", "pair", "score"])
def test_the_same_logits(kind, tiny_bundles, unlabelled):
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = tiny_bundles(kind)
    auto = AutoModelForTokenClassification if kind == "entities" else AutoModelForSequenceClassification
    model, report = auto.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    predictor = Predictor.load(folder)
    paired = kind in ("pair", "score")
    answered = predictor.answer(unlabelled((TEXT, "lost") if paired else TEXT))
    window, ours = answered.windows[0], answered.logits[0]
    batch = {"input_ids": torch.from_numpy(window.input_ids.astype("int64"))[None]}
    if paired:
        batch["token_type_ids"] = torch.from_numpy(window.segment_ids.astype("int64"))[None]
    with torch.no_grad():
        theirs = model.eval()(**batch, attention_mask=torch.ones_like(batch["input_ids"])).logits[0]
    rows = theirs[torch.from_numpy(window.places.astype("int64"))] if kind == "entities" else theirs[None]
    torch.testing.assert_close(ours, rows, atol=1e-5, rtol=1e-5)
    names = predictor.labels or ("LABEL_0",)
    assert tuple(model.config.id2label[index] for index in range(len(names))) == names

    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length == 64
    if paired:
        theirs = tokenizer(TEXT, "lost")
        assert theirs["input_ids"] == window.input_ids.tolist()
        assert theirs["token_type_ids"] == window.segment_ids.tolist()
    elif kind != "entities":
        assert tokenizer(TEXT)["input_ids"] == window.input_ids.tolist()
        typed = predictor.answer(unlabelled("[SEP] good")).windows[0].input_ids.tolist()
        assert tokenizer("[SEP] good")["input_ids"] == typed, "a typed control token stays text there too"
    padded = tokenizer(["good", "not good"], padding=True, return_tensors="pt")
    assert padded["input_ids"].shape[0] == 2


def test_of_several_models_over_one_backbone_it_opens_the_backbone(tiny_bundles, tiny_bert_folder, tmp_path):
    from transformers import AutoModel

    checkpoint = replace(locate(str(tiny_bert_folder)), fingerprint="0" * 64)
    members = [Member(kind, tiny_bundles(kind), None) for kind in ("label", "entities")]
    join(members, checkpoint=checkpoint, out=tmp_path / "desk", proved=lambda draft: None)
    ours, theirs = (
        AutoModel.from_pretrained(str(place)).state_dict() for place in (tmp_path / "desk", tiny_bert_folder)
    )
    shared = [name for name in ours if "pooler" not in name]
    assert shared and all(torch.equal(ours[name], theirs[name]) for name in shared)
