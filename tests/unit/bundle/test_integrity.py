"""One changed byte anywhere, one file too many or too few, one link: refused, and named."""

import json
import os
import random
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from tunesmith.bundle.integrity import check
from tunesmith.bundle.manifest import CONTENTS, MANIFEST, WEIGHTS, seal_holds, sealed
from tunesmith.bundle.read import open_bundle
from tunesmith.bundle.verify import verify
from tunesmith.core.errors import MissingInputError, ModelFileError, TunesmithError


@pytest.fixture
def bundle(tmp_path, tiny_bundles):
    return shutil.copytree(tiny_bundles("label"), tmp_path / "bundle")


def resealed(bundle, change=lambda fields: fields):
    """What an attacker who can write the whole folder does: new digests, new seal."""
    import hashlib

    fields = json.loads((bundle / MANIFEST).read_text())
    del fields["digest"]
    for name in CONTENTS:
        data = (bundle / name).read_bytes()
        fields["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (bundle / MANIFEST).write_bytes(sealed(change(fields)))


def test_any_flipped_byte_is_refused_by_name(bundle):
    draw = random.Random(0)
    for name in (MANIFEST, *CONTENTS):
        path = bundle / name
        good = path.read_bytes()
        borders = [0, 1, 25, len(good) // 2, len(good) - 1]
        for at in {*borders, *(draw.randrange(len(good)) for _ in range(40))}:
            bad = bytearray(good)
            bad[at] ^= 1 << draw.randrange(8)
            path.write_bytes(bad)
            with pytest.raises(ModelFileError) as caught:
                check(bundle)
            assert caught.value.message.startswith(name), (name, at)
        path.write_bytes(good)
    check(bundle)


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("harm", ["missing", "longer", "shorter", "empty", "link", "folder", "fifo"])
def test_a_harmed_file_is_refused_by_name(bundle, name, harm):
    path = bundle / name
    data = path.read_bytes()
    path.unlink()
    match harm:
        case "longer":
            path.write_bytes(data + b"\0")
        case "shorter":
            path.write_bytes(data[:-1])
        case "empty":
            path.write_bytes(b"")
        case "link":
            (bundle.parent / "elsewhere").write_bytes(data)
            path.symlink_to(bundle.parent / "elsewhere")
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
    with pytest.raises(ModelFileError) as caught:
        check(bundle)
    assert caught.value.message.startswith(name)


@pytest.mark.parametrize("extra", ["pytorch_model.bin", "modeling.py", ".hidden", "__pycache__", "adapter_config.json"])
def test_a_file_too_many_is_refused_by_name(bundle, extra):
    (bundle / extra).write_bytes(b"")
    with pytest.raises(ModelFileError, match="does not belong") as caught:
        check(bundle)
    assert caught.value.message.startswith(extra)


def test_no_bundle_is_missing_input(tmp_path, bundle):
    for place in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(MissingInputError):
            check(place)
    (bundle / MANIFEST).rename(bundle.parent / MANIFEST)
    (bundle / MANIFEST).symlink_to(bundle.parent / MANIFEST)
    with pytest.raises(MissingInputError):
        check(bundle)


def test_the_seal_covers_everything_behind_it():
    data = sealed({"a": 1})
    assert seal_holds(data)
    assert json.loads(data)["a"] == 1
    assert not seal_holds(data + b" ")
    assert not seal_holds(data.upper())
    assert not seal_holds(b"")


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f | {"schema_version": 2},
        lambda f: f | {"surprise": 1},
        lambda f: f | {"labels": ["bad", "good", "fine"]},
        lambda f: f | {"task": f["task"] | {"kind": "os.system"}},
        lambda f: f | {"task": f["task"] | {"labels": ["a"] * 3}},
        lambda f: f | {"task": 3},
        lambda f: f | {"files": {}},
        lambda f: f | {"files": f["files"] | {"../x": f["files"][WEIGHTS]}},
        lambda f: f | {"tokenizer": {"max_length": 64, "encode_special_tokens": False}},
        lambda f: f | {"tokenizer": {"max_length": 10**9, "encode_special_tokens": True}},
        lambda f: {k: v for k, v in f.items() if k != "task"},
    ],
    ids=range(11),
)
def test_a_sealed_lie_in_the_manifest_is_refused_without_a_traceback(bundle, change):
    resealed(bundle, change)
    with pytest.raises(TunesmithError):
        open_bundle(bundle)


def test_a_deep_manifest_is_refused(bundle):
    (bundle / MANIFEST).write_bytes(sealed({"a": json.loads("[" * 100 + "]" * 100)}))
    with pytest.raises(ModelFileError, match="deeper than"):
        check(bundle)


def test_sealed_poison_in_the_weights_is_refused(bundle):
    good = load_file(bundle / WEIGHTS)
    name = "classifier.weight"
    for poison in (
        good | {name: torch.full_like(good[name], float("nan"))},
        good | {name: torch.full_like(good[name], float("inf"))},
        good | {name: good[name][:1]},
        good | {"surprise": torch.zeros(1)},
        {key: value for key, value in good.items() if key != name},
    ):
        save_file({key: value.contiguous() for key, value in poison.items()}, bundle / WEIGHTS)
        resealed(bundle)
        with pytest.raises(ModelFileError):
            open_bundle(bundle)
    for damage in (b"", b"\xff" * 16, (2**40).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]"):
        (bundle / WEIGHTS).write_bytes(damage)
        resealed(bundle)
        with pytest.raises(ModelFileError):
            open_bundle(bundle)


@pytest.mark.parametrize(
    "poison", ['{"auto_map": {"AutoModel": "x.Y"}}', "[]", "{", '{"model_type": "os"}', "[" * 5000]
)
def test_sealed_poison_in_the_configuration_is_refused(bundle, poison):
    (bundle / "config.json").write_text(poison)
    resealed(bundle)
    with pytest.raises(TunesmithError):
        open_bundle(bundle)


def test_labels_that_changed_places_are_found(bundle):
    def swapped(fields):
        labels = ["good", "fine", "bad"]
        return fields | {"labels": labels, "task": fields["task"] | {"labels": labels}}

    resealed(bundle, swapped)
    open_bundle(bundle)
    with pytest.raises(ModelFileError, match="mean another answer"):
        verify(bundle)


def test_other_weights_are_found_by_the_golden_rows(bundle):
    state = load_file(bundle / WEIGHTS)
    state["classifier.bias"] += 0.1
    save_file(state, bundle / WEIGHTS, metadata={"format": "pt"})
    resealed(bundle)
    with pytest.raises(ModelFileError, match="a logit is off"):
        verify(bundle)


@pytest.mark.parametrize("poison", [b"{}\n", b"[]\n", b'{"answer": 3, "logits": []}\n', b"\xff\n", b'{"a":NaN}\n'])
def test_golden_rows_that_are_none_are_refused(bundle, poison):
    (bundle / "golden.jsonl").write_bytes(poison)
    resealed(bundle)
    with pytest.raises(ModelFileError, match="golden"):
        verify(bundle)
