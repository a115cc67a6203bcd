"""A bundle appears whole or not at all, and answers as the model in memory did."""

import json
import os
import shutil
import stat

import pytest
import torch

from tunesmith.bundle import write as writing
from tunesmith.bundle.manifest import CONTENTS, MANIFEST, BaseRecord
from tunesmith.bundle.predictor import Predictor
from tunesmith.bundle.verify import verify
from tunesmith.bundle.write import Origin, write_bundle
from tunesmith.core.errors import CannotCreateError, ModelFileError, StorageError
from tunesmith.core.rooms import TASKS

KINDS = ("entities", "joint", "label", "labels", "path", "pair", "score", "answer", "written")


@pytest.fixture
def parts(tiny_model, tiny_tokenizer, unlabelled):
    task = TASKS.make({"kind": "text_classification", "labels": ["a", "b"], "multi_label": False}, key="task")
    examples = unlabelled("good", "not good at all")
    origin = Origin(
        name="m",
        base=BaseRecord(name="tiny", fingerprint="0" * 64),
        data_fingerprint="1" * 64,
        golden_examples=examples,
        reference_examples=examples,
    )
    return {"model": tiny_model(task, dropout=0.5), "task": task, "tokenizer": tiny_tokenizer, "origin": origin}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_holds_exactly_its_files_and_verifies(kind, tiny_bundles):
    folder = tiny_bundles(kind)
    assert {path.name for path in folder.iterdir()} == {MANIFEST, *CONTENTS}
    report = verify(folder)
    assert (report.golden_rows, report.files) == (6, len(CONTENTS) + 1)
    assert json.loads((folder / MANIFEST).read_text())["digest"] == f"sha256:{report.sha256}"


def test_the_card_of_a_model_for_questions_says_so(tiny_bundles):
    card = (tiny_bundles("answer") / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: question-answering" in card and "or null where the text holds no answer" in card
    assert "printf 'Some text\\tSome question?\\n'" in card


def test_it_answers_as_the_model_in_memory(tmp_path, parts, unlabelled):
    examples = unlabelled("the card was stolen", "good", "北京 is good")
    parts["model"].train()
    folder = write_bundle(tmp_path / "b", **parts)
    assert parts["model"].training, "the model is left as it was"
    parts["model"].eval()
    from tunesmith.bundle.answered import answered

    before = answered(parts["model"], parts["task"], examples, tokenizer=parts["tokenizer"])
    after = Predictor.load(folder).answer(examples)
    torch.testing.assert_close(torch.cat(after.logits), torch.cat(before.logits), atol=1e-6, rtol=1e-5)
    assert [p.predicted for p in after.predictions] == [p.predicted for p in before.predictions]


def test_a_second_text_that_the_task_does_not_read_does_not_stop_it(tmp_path, parts, unlabelled):
    import dataclasses

    examples = unlabelled(("good", "a stray pair"))
    origin = dataclasses.replace(parts["origin"], golden_examples=examples, reference_examples=examples)
    assert verify(write_bundle(tmp_path / "b", **parts | {"origin": origin})).golden_rows == 1


def test_it_is_never_written_over_another(tmp_path, parts):
    folder = tmp_path / "b"
    folder.mkdir()
    with pytest.raises(CannotCreateError):
        write_bundle(folder, **parts)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_weight_that_is_not_a_number_is_never_written(tmp_path, parts):
    with torch.no_grad():
        next(parts["model"].parameters())[0, 0] = float("nan")
    with pytest.raises(ModelFileError, match="not a finite number"):
        write_bundle(tmp_path / "b", **parts)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failing", ["write_bytes", "sync", "save_file"])
def test_a_full_disk_leaves_nothing_behind(tmp_path, parts, failing, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, failing, full)
    with pytest.raises(StorageError, match="No space left"):
        write_bundle(tmp_path / "b", **parts)
    assert not list(tmp_path.iterdir())


def test_a_parent_that_is_a_file_is_an_error_with_a_remedy(tmp_path, parts):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotCreateError) as caught:
        write_bundle(tmp_path / "file" / "b", **parts)
    assert caught.value.fix


def test_a_model_that_changed_on_its_way_to_disk_is_refused(tmp_path, parts, monkeypatch):
    honest = writing.hub_state

    def wrong(model):
        state = honest(model)
        return state | {"classifier.bias": state["classifier.bias"] + 1}

    monkeypatch.setattr(writing, "hub_state", wrong)
    with pytest.raises(ModelFileError, match="does not answer"):
        write_bundle(tmp_path / "b", **parts)
    assert not list(tmp_path.iterdir())


def test_the_card_states_what_is_known_and_nothing_else(tmp_path, parts, tiny_bundles):
    card = (tiny_bundles("label") / "README.md").read_text()
    assert "| accuracy | 0.5000 | 0.4000 to 0.6000 | none |" in card
    assert "Licence of the training data: unknown" in card
    assert "3 labels: `card/lost`, `card/stolen`, `good`" in (tiny_bundles("path") / "README.md").read_text()
    bare = (write_bundle(tmp_path / "b", **parts) / "README.md").read_text()
    assert "Not evaluated." in bare
    assert "licence: unknown" in bare


def test_the_same_model_makes_the_same_bytes(tmp_path, parts):
    one, two = write_bundle(tmp_path / "one", **parts), write_bundle(tmp_path / "two", **parts)
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in (MANIFEST, *CONTENTS))


def test_a_moved_bundle_is_the_same_bundle(tmp_path, tiny_bundles):
    shutil.copytree(tiny_bundles("label"), tmp_path / "moved")
    assert verify(tmp_path / "moved").sha256 == verify(tiny_bundles("label")).sha256


def test_whoever_may_read_one_file_of_a_bundle_may_read_all(tmp_path, parts):
    before = os.umask(0o022)
    try:
        folder = write_bundle(tmp_path / "b", **parts)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o644}
