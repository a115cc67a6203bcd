"""The reference counts what the answers were, and keeps no text."""

import json

import torch
from safetensors import safe_open

from tunesmith.bundle.predictor import Predictor
from tunesmith.bundle.reference import chosen, confidence_histogram, length_histogram


def test_histograms_cover_their_borders():
    assert confidence_histogram([0.0, 0.049, 0.05, 0.999, 1.0]).tolist()[:2] == [2, 1]
    assert confidence_histogram([1.0])[-1] == 1
    assert length_histogram([0, 1, 2, 3, 4, 10**9]).tolist()[:3] == [2, 2, 1]
    assert confidence_histogram([]).sum() == 0


def test_it_describes_the_reference_examples(tiny_bundles):
    for kind in ("entities", "label", "labels", "path"):
        folder = tiny_bundles(kind)
        with safe_open(folder / "reference.safetensors", framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        assert about["examples"] == 6
        assert len(about["labels"]) == len(found["label_counts"])
        assert found["length"].tolist() == sorted(found["length"].tolist())
        assert found["length_histogram"].sum() == 6
        assert found["embedding_sample"].shape == (6, 16)
        torch.testing.assert_close(
            found["embedding_mean"], found["embedding_sample"].float().mean(0), atol=1e-3, rtol=1e-2
        )
        if kind == "label":
            answers = Predictor.load(folder).predict(["good", "not good"])
            assert {item.predicted for item in answers} <= set(about["labels"])
            assert found["label_counts"].sum() == found["confidence_histogram"].sum() == 6
        if kind == "path":
            answers = Predictor.load(folder).predict(["good", "not good"])
            assert {item.predicted[-1].label for item in answers} <= set(about["labels"])
            assert found["label_counts"].sum() == found["confidence_histogram"].sum() == 6
        texts = b"stolen in" if kind == "path" else b"stolen"  # a label of that name is no text
        assert texts not in (folder / "reference.safetensors").read_bytes()


def test_it_is_spread_over_many_examples(unlabelled):
    many = unlabelled(*(f"t{n}" for n in range(2500)))
    picked = chosen(many)
    assert len(picked) == 1000
    assert picked[-1].id > "19"
