"""Bundles of one backbone in one folder: each answers as it did alone, and not a byte can change unseen."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from tunesmith.bundle.integrity import digest
from tunesmith.bundle.join import Member, join, prove_written
from tunesmith.bundle.joined import open_joined
from tunesmith.bundle.joined_integrity import check_joined, is_joined
from tunesmith.bundle.joined_predictor import JoinedPredictor, Questions
from tunesmith.bundle.manifest import MANIFEST, sealed
from tunesmith.bundle.opening import load, one_model
from tunesmith.bundle.predictor import Predictor
from tunesmith.bundle.reference import labels_of
from tunesmith.bundle.reranking import Stages, documents_in
from tunesmith.bundle.verify import verify
from tunesmith.core.errors import CannotCreateError, ConfigError, DataError, ModelFileError, TunesmithError, UsageError
from tunesmith.core.example import Example
from tunesmith.models.checkpoint import Checkpoint, locate
from tunesmith.models.shared_encoder import SharedEncoder
from tunesmith.serve.models import models_in

KINDS = ("label", "labels", "entities", "pair", "score", "answer", "documents")
TEXTS = ("My card was stolen in Beijing", "not good", "Anna works at Acme and visited Rome " * 6)


@pytest.fixture(scope="module")
def backbone(tiny_bert_folder: Path) -> Checkpoint:
    """What the tiny bundles say that they began with."""
    return replace(locate(str(tiny_bert_folder)), fingerprint="0" * 64)


@pytest.fixture(scope="module")
def made(tiny_bundles: Callable[[str], Path], backbone: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A joined bundle of every kind that labels, scores or searches. Copy it to change it."""
    out = tmp_path_factory.mktemp("joined") / "desk"
    members = [Member(kind, tiny_bundles(kind), None) for kind in KINDS]
    join(members, checkpoint=backbone, out=out, proved=lambda draft: check_joined(draft) and None)
    return out


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "desk"))


def asked(kind: str, unlabelled: Callable[..., list[Example]]) -> list[Example]:
    pairs = kind in ("pair", "score", "answer")
    return unlabelled(*((text, "my card was lost") if pairs else text for text in TEXTS))


def test_each_answers_in_company_as_its_own_bundle_does(
    made: Path, tiny_bundles: Callable[[str], Path], unlabelled: Callable[..., list[Example]]
) -> None:
    desk = load(made)
    assert isinstance(desk, JoinedPredictor) and desk.adapters == KINDS
    questions = [Questions(kind, asked(kind, unlabelled)) for kind in (*KINDS, "label")]
    for one, found in zip(questions, desk.answer(questions), strict=True):
        alone = Predictor.load(tiny_bundles(one.adapter)).answer(one.examples)
        assert list(map(labels_of, found.predictions)) == list(map(labels_of, alone.predictions))
        for ours, theirs in zip(found.logits, alone.logits, strict=True):
            assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_models_share_the_passes_through_the_backbone(
    made: Path, unlabelled: Callable[..., list[Example]], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, passes = JoinedPredictor.load(made), []
    honest = SharedEncoder.read

    def counted(self: SharedEncoder, given: Any, *, embeddings: Any = None) -> Any:
        passes.append([one.name for one in given])
        return honest(self, given, embeddings=embeddings)

    monkeypatch.setattr(SharedEncoder, "read", counted)
    desk.answer([Questions(kind, asked(kind, unlabelled)) for kind in ("label", "entities", "pair")])
    assert passes == [["label", "entities", "pair"]]


def test_one_backbone_is_in_memory(made: Path) -> None:
    parts = open_joined(made).parts.values()
    words = {part.model.get_parameter("backbone.embeddings.words.weight").data_ptr() for part in parts}
    assert len(words) == 1


def test_one_or_several_are_asked_by_name(made: Path) -> None:
    desk = JoinedPredictor.load(made)
    single = desk.predict("good", adapter="label")
    assert desk["label"].predict("good") == single
    both = desk.predict("good", adapter=["label", "entities"])
    assert both["label"].predicted == single.predicted and isinstance(both["entities"].predicted, tuple)
    many = desk.predict(["good", "not good"], adapter=["labels"])
    assert len(many["labels"]) == 2
    assert one_model(made, adapter="label").predict("good") == single
    for call in (lambda: desk.predict("good"), lambda: one_model(made, adapter=None)):
        with pytest.raises(UsageError, match="none of them was named") as caught:
            call()
        assert "label, labels, entities" in caught.value.fix
    with pytest.raises(UsageError, match="no adapter 'mood'") as caught:
        desk.predict("good", adapter="mood")
    assert "label, labels, entities" in caught.value.fix
    with pytest.raises(UsageError, match="none of them was named"):
        Predictor.load(made)
    with pytest.raises(DataError, match="blank"):
        desk.answer([Questions("label", [replace(single_example(), text=" ")])])


def single_example() -> Example:
    from tunesmith.bundle.predictor import as_example

    return as_example("good", 1)


def test_a_plain_bundle_has_no_adapters(tiny_bundles: Callable[[str], Path]) -> None:
    assert not is_joined(tiny_bundles("label"))
    with pytest.raises(UsageError, match="is one model"):
        one_model(tiny_bundles("label"), adapter="label")


def test_bf16_answers_nearly_alike(made: Path, unlabelled: Callable[..., list[Example]]) -> None:
    exact, fast = JoinedPredictor.load(made), JoinedPredictor.load(made, precision="bf16")
    questions = [Questions("label", unlabelled(*TEXTS))]
    for one, other in zip(exact.answer(questions)[0].logits, fast.answer(questions)[0].logits, strict=True):
        assert (one - other).abs().max() < 0.2 and not torch.equal(one, other)


def test_verify_answers_the_golden_rows_of_each(made: Path) -> None:
    found = verify(made)
    assert found.adapters == dict.fromkeys(KINDS, 6) and found.golden_rows == 6 * len(KINDS)


def test_any_flipped_byte_of_any_file_is_refused_by_name(desk: Path) -> None:
    draw = random.Random(0)
    for path in sorted(path for path in desk.rglob("*") if path.is_file()):
        good = path.read_bytes()
        for at in {0, len(good) // 2, len(good) - 1, draw.randrange(len(good))}:
            bad = bytearray(good)
            bad[at] ^= 1 << draw.randrange(8)
            path.write_bytes(bad)
            with pytest.raises(ModelFileError) as caught:
                check_joined(desk)
            assert caught.value.message.startswith(path.name), path
        path.write_bytes(good)
    check_joined(desk)


@pytest.mark.parametrize("place", ["", "label", "documents"])
@pytest.mark.parametrize("harm", ["extra", "missing", "link", "folder"])
def test_what_does_not_belong_there_is_refused(desk: Path, place: str, harm: str) -> None:
    folder = desk / place
    victim = folder / ("golden.jsonl" if place else "tokenizer.json")
    match harm:
        case "extra":
            (folder / "modeling.py").write_bytes(b"")
        case "missing":
            victim.unlink()
        case "link":
            victim.rename(desk.parent / "elsewhere")
            victim.symlink_to(desk.parent / "elsewhere")
        case "folder":
            (folder / "more").mkdir()
    with pytest.raises(ModelFileError):
        check_joined(desk)


def test_a_folder_that_is_a_link_is_refused(desk: Path) -> None:
    (desk / "label").rename(desk.parent / "label")
    (desk / "label").symlink_to(desk.parent / "label")
    with pytest.raises(ModelFileError, match="label is a link"):
        check_joined(desk)


def resealed(desk: Path, change: Callable[[dict[str, Any]], dict[str, Any]] = lambda fields: fields) -> None:
    """What an attacker does who can write the whole folder."""
    fields = json.loads((desk / MANIFEST).read_text(encoding="utf-8"))
    del fields["digest"]
    for name in fields["files"]:
        fields["files"][name] = {"size": (desk / name).stat().st_size, "sha256": digest(desk / name)}
    (desk / MANIFEST).write_bytes(sealed(change(fields)))


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f | {"adapters": ["label", "../label"]},
        lambda f: f | {"adapters": ["label", "LABEL"]},
        lambda f: f | {"adapters": []},
        lambda f: f | {"adapters": "label"},
        lambda f: f | {"files": f["files"] | {"../x": f["files"]["README.md"]}},
        lambda f: f | {"files": {}},
        lambda f: f | {"schema_version": 3},
        lambda f: f | {"surprise": 1},
    ],
    ids=range(8),
)
def test_a_sealed_lie_in_the_manifest_is_refused(desk: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    resealed(desk, change)
    with pytest.raises(TunesmithError):
        load(desk)


def test_sealed_poison_in_what_was_learnt_is_refused(desk: Path) -> None:
    path = desk / "label" / "additions.safetensors"
    good = load_file(path)
    name = "head.classifier.weight"
    for poison in (
        good | {name: torch.full_like(good[name], float("nan"))},
        good | {name: good[name][:1].clone()},
        good | {"surprise": torch.zeros(1)},
        good | {"backbone.layers.0.attention.query.weight": torch.zeros(16, 16)},
        good | {"backbone.layers.0.attention.query.bias": torch.zeros(3)},
        good | {"backbone.layers.9.attention.query/down": torch.zeros(2, 16)},
        good | {"backbone.layers.0.attention.query/down": torch.zeros(2, 16)},
        good | {"backbone.layers.0.attention.query/down": torch.zeros(2)},
        {key: value for key, value in good.items() if key != name},
    ):
        save_file(poison, path)
        resealed(desk)
        with pytest.raises(ModelFileError):
            load(desk)


def test_other_numbers_are_found_by_the_golden_rows_and_never_written(desk: Path) -> None:
    path = desk / "label" / "additions.safetensors"
    state = load_file(path)
    save_file(state | {"head.classifier.bias": state["head.classifier.bias"] + 5e-4}, path)
    resealed(desk)
    verify(desk)
    with pytest.raises(ModelFileError, match="label does not answer as its own bundle does") as caught:
        prove_written(desk)
    assert caught.value.code == "TS-BUNDLE-056"
    save_file(state | {"head.classifier.bias": state["head.classifier.bias"] + 0.1}, path)
    resealed(desk)
    with pytest.raises(ModelFileError, match="no longer answers"):
        verify(desk)


def test_a_search_among_others_takes_an_index_and_a_re_ranker_by_its_name(
    made: Path, tiny_bundles: Callable[[str], Path]
) -> None:
    pytest.importorskip("faiss")
    pairs = tiny_bundles("score")
    search = one_model(made, adapter="documents", stages=Stages("faiss", pairs))
    alone = load(tiny_bundles("documents"), reranker=pairs)
    assert isinstance(alone, Predictor)
    ids = [[item.id for item in documents_in(model.predict("not good"))] for model in (search, alone)]
    assert ids[0] == ids[1] and search.bundle.collection and search.bundle.collection.index
    refusals: list[Callable[[], object]] = [
        lambda: load(made, index="faiss"),
        lambda: load(made, reranker=pairs),
        lambda: verify(made, index="faiss"),
        lambda: models_in(made, Stages(reranker=pairs)),
    ]
    for refused in refusals:
        with pytest.raises(UsageError, match="an index or a re-ranker belongs to one search"):
            refused()
    with pytest.raises(TunesmithError):
        load(tiny_bundles("documents"), reranker=made)


def test_what_cannot_be_joined_is_refused_and_leaves_nothing(
    tiny_bundles: Callable[[str], Path], tiny_bert_folder: Path, backbone: Checkpoint, tmp_path: Path
) -> None:
    label, out = Member("label", tiny_bundles("label"), None), tmp_path / "desk"

    def refused(other: str, code: str, checkpoint: Checkpoint = backbone) -> None:
        members = [label, Member("other", tiny_bundles(other), None)]
        with pytest.raises(ConfigError) as caught:
            join(members, checkpoint=checkpoint, out=out, proved=lambda draft: None)
        assert caught.value.code == code
        assert not list(tmp_path.iterdir())

    refused("label", "TS-BUNDLE-053", locate(str(tiny_bert_folder)))
    refused("written", "TS-BUNDLE-053")
    out.mkdir()
    with pytest.raises(CannotCreateError):
        join([label], checkpoint=backbone, out=out, proved=lambda draft: None)


def test_a_bundle_that_fails_its_proof_never_appears(
    tiny_bundles: Callable[[str], Path], backbone: Checkpoint, tmp_path: Path
) -> None:
    def failing(draft: Path) -> None:
        raise ModelFileError("it answers otherwise", code="X", fix="none.")

    with pytest.raises(ModelFileError):
        join([Member("a", tiny_bundles("label"), None)], checkpoint=backbone, out=tmp_path / "desk", proved=failing)
    assert not list(tmp_path.iterdir())
