"""Finished runs to one bundle: each by the name of its folder, proved by a process that wrote none of it."""

import json
from pathlib import Path

import pytest
from torch.testing import assert_close

from tunesmith.bundle.join import prove_written
from tunesmith.bundle.joined_predictor import JoinedPredictor, Questions
from tunesmith.bundle.predictor import Predictor, as_example
from tunesmith.core.errors import ConfigError, MissingInputError, ModelFileError, UsageError
from tunesmith.run.config import parsed
from tunesmith.run.events import Finished
from tunesmith.run.folder import opened
from tunesmith.run.joining import joined
from tunesmith.run.train import run


@pytest.fixture(scope="module")
def runs(tiny_bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three finished runs of seconds over one backbone: intents by lora, places by adapter, full by full tuning."""
    top = tmp_path_factory.mktemp("runs")
    texts = [(f"my card {n} is {word} in Rome", word) for n in range(12) for word in ("lost", "good")]
    labelled = [{"text": text, "label": label} for text, label in texts]
    marked = [
        {"text": text, "entities": [{"start": len(text) - 4, "end": len(text), "label": "LOC"}]} for text, _ in texts
    ]
    for name, rows in (("labelled", labelled), ("marked", marked)):
        (top / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for name, method, data in (
        ("intents", "lora", "labelled"),
        ("places", "adapter", "marked"),
        ("full",) * 2 + ("labelled",),
    ):
        table = {
            "backbone": str(tiny_bert_folder),
            "data": {"train": f"{data}.jsonl"},
            "method": {"kind": method},
            "train": {"length": "2 epochs", "learning_rate": 0.02, "precision": "fp32", "threads": 1},
        }
        *_, last = run(parsed(table, folder=top), opened(top / name, resume=False), origins={})
        assert isinstance(last, Finished)
    return top


def test_runs_are_joined_by_their_names_and_answer_as_before(runs: Path, tmp_path: Path) -> None:
    manifest = joined([str(runs / "intents"), f"where={runs / 'places'}"], out=tmp_path / "desk")
    assert manifest.adapters == ("intents", "where")
    shared = (tmp_path / "desk" / "model.safetensors").stat().st_size
    assert shared < (runs / "intents" / "bundle" / "model.safetensors").stat().st_size
    desk, examples = JoinedPredictor.load(tmp_path / "desk"), [as_example("my card 3 is lost in Rome", 1)]
    for name, folder in (("intents", "intents"), ("where", "places")):
        alone = Predictor.load(runs / folder / "bundle")
        assert desk[name].bundle.manifest == alone.bundle.manifest, "evaluation, labels and provenance are kept"
        found, expected = desk[name].answer(examples), alone.answer(examples)
        assert_close(found.logits[0], expected.logits[0], rtol=1e-5, atol=1e-5)


def test_updates_are_joined_whatever_the_task(
    tiny_bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where transformers has no class with such a head, and where the words have an update."""
    marks = [{"start": 0, "end": 2, "label": "WHO"}]
    rows = [
        {"text": f"my card {n} is {word}", "label": word, "entities": marks}
        for n in range(8)
        for word in ("lost", "good")
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    words = {"kind": "lora", "rank": 4, "targets": ["query", "words"]}
    kinds: dict[str, tuple[dict[str, object], dict[str, object]]] = {
        "both": ({"kind": "joint_classification"}, words),
        "matched": ({"kind": "label_matching"}, {"kind": "ia3"}),
        "blank": ({"kind": "cloze_classification", "template": "{text} it is [blank]."}, {"kind": "lora"}),
        "plain": ({"kind": "text_classification"}, words),
    }
    for name, (task, method) in kinds.items():
        table = {
            "backbone": str(tiny_bert_folder),
            "data": {"train": "rows.jsonl"},
            "task": task,
            "method": method,
            "train": {"length": "1 epoch", "learning_rate": 0.02, "precision": "fp32", "threads": 1},
        }
        *_, last = run(parsed(table, folder=tmp_path), opened(tmp_path / name, resume=False), origins={})
        assert isinstance(last, Finished)
    monkeypatch.setattr("tunesmith.run.joining._proved", prove_written)
    joined([str(tmp_path / name) for name in kinds], out=tmp_path / "desk")
    desk, example = JoinedPredictor.load(tmp_path / "desk"), as_example("my card 3 is lost", 1)
    together = desk.answer([Questions(name, [example]) for name in desk.adapters])
    for answered, name in zip(together, desk.adapters, strict=True):
        alone = Predictor.load(tmp_path / name / "bundle").answer([example])
        assert_close(answered.logits[0], alone.logits[0], rtol=1e-5, atol=1e-5)


def test_weights_that_moved_themselves_are_refused_with_the_reason(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="full changed the weights of the backbone themselves") as caught:
        joined([str(runs / "intents"), str(runs / "full")], out=tmp_path / "desk")
    assert caught.value.code == "TS-BUNDLE-055" and "lora" in caught.value.fix
    bare = tmp_path / "bare"
    bare.symlink_to(runs / "intents" / "bundle")
    with pytest.raises(ConfigError, match="lora learnt is folded"):
        joined([str(bare), str(runs / "places")], out=tmp_path / "desk")
    assert not (tmp_path / "desk").exists()


def test_names_that_cannot_be_are_refused(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "desk"
    with pytest.raises(UsageError, match="nothing to join"):
        joined([str(runs / "intents")], out=out)
    with pytest.raises(UsageError, match="same name"):
        joined([str(runs / "intents"), f"INTENTS={runs / 'places'}"], out=out)
    with pytest.raises(UsageError, match="cannot be the name"):
        joined([f"../x={runs / 'intents'}", str(runs / "places")], out=out)
    odd = tmp_path / "lr=3"
    odd.symlink_to(runs / "places")
    with pytest.raises(UsageError, match="'lr=3' cannot be the name"):
        joined([str(runs / "intents"), str(odd)], out=out)
    with pytest.raises(MissingInputError, match="no bundle here"):
        joined([str(runs / "intents"), str(runs / "nowhere")], out=out)
    with pytest.raises(MissingInputError, match="no checkpoint folder"):
        joined([str(runs / "intents"), str(runs / "places")], out=out, backbone="./moved")


def test_what_the_new_process_finds_wrong_is_told_here(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.bundle.join.sealed", lambda fields: b"{}")
    with pytest.raises(ModelFileError, match="was changed after") as caught:
        joined([str(runs / "intents"), str(runs / "places")], out=tmp_path / "desk")
    assert caught.value.code == "TS-BUNDLE-007"
    assert not list(tmp_path.iterdir())


def test_models_over_a_decoder_share_its_weights_and_answer_in_turn(
    tiny_chat_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"text": f"my card {n} is {word}", "label": word} for n in range(8) for word in ("lost", "good")]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for method in ("lora", "prefix"):
        table = {
            "backbone": str(tiny_chat_folder),
            "data": {"train": "rows.jsonl"},
            "method": {"kind": method},
            "train": {"length": "1 epoch", "learning_rate": 0.02, "precision": "fp32", "threads": 1},
        }
        *_, last = run(parsed(table, folder=tmp_path), opened(tmp_path / method, resume=False), origins={})
        assert isinstance(last, Finished)
    monkeypatch.setattr("tunesmith.run.joining._proved", prove_written)
    joined([str(tmp_path / "lora"), str(tmp_path / "prefix")], out=tmp_path / "desk")
    desk, example = JoinedPredictor.load(tmp_path / "desk"), as_example("my card 3 is lost", 1)
    words = {desk[name].bundle.model.get_parameter("backbone.words.weight").data_ptr() for name in desk.adapters}
    assert len(words) == 1
    for answered, name in zip(
        desk.answer([Questions(name, [example]) for name in desk.adapters]), desk.adapters, strict=True
    ):
        alone = Predictor.load(tmp_path / name / "bundle").answer([example])
        assert_close(answered.logits[0], alone.logits[0], rtol=1e-5, atol=1e-5)
    with pytest.raises(UsageError, match="fp32 only"):
        JoinedPredictor.load(tmp_path / "desk", precision="bf16")
