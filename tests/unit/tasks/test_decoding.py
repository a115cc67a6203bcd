"""The best legal sequence and its certainty, against enumeration."""

import itertools
import time

import numpy as np
import pytest

from tunesmith.prepare.alignment import Scheme
from tunesmith.tasks._decoding import best_tags, certainty, entities
from tunesmith.tasks._tags import TagSet, balanced_weights, classes_of, tag_set

SCHEMES: tuple[Scheme, ...] = ("BIO", "BIOES")


def legal(path: tuple[int, ...], tags: TagSet) -> bool:
    steps = all(tags.step[step] for step in itertools.pairwise(path))
    return bool(steps and tags.start[path[0]] and tags.end[path[-1]])


def enumerated(scores: np.ndarray, tags: TagSet, transitions: np.ndarray) -> tuple[list[int], np.ndarray]:
    """The best legal path of one text and the posteriors over legal paths."""
    length, classes = scores.shape
    weights = {}
    for path in itertools.product(range(classes), repeat=length):
        if legal(path, tags):
            moves = sum(transitions[step] for step in itertools.pairwise(path))
            weights[path] = sum(scores[t, y] for t, y in enumerate(path)) + moves
    total = np.logaddexp.reduce(list(weights.values()))
    posterior = np.zeros_like(scores)
    for path, weight in weights.items():
        posterior[np.arange(length), path] += np.exp(weight - total)
    return list(max(weights, key=lambda path: weights[path])), posterior


@pytest.mark.parametrize("scheme, labels", [("BIO", ("A", "B")), ("BIOES", ("A",)), ("BIO", ("A",))])
@pytest.mark.parametrize("learned", [False, True])
def test_the_search_equals_enumeration(scheme: Scheme, labels: tuple[str, ...], learned: bool) -> None:
    draw = np.random.default_rng(0)
    tags = tag_set(labels, scheme)
    classes = len(tags.names)
    lengths = np.array([3, 0, 1, 5, 4, 2, 0, 4])
    scores = draw.normal(size=(lengths.sum(), classes)) * 2
    transitions = draw.normal(size=(classes, classes))
    given = transitions if learned else None
    path = best_tags(scores, lengths, tags, transitions=given)
    posterior = certainty(scores, lengths, tags, transitions=given)
    start = 0
    for length in lengths[lengths > 0]:
        part = slice(start, start + length)
        best, sure = enumerated(scores[part], tags, transitions if learned else np.zeros_like(transitions))
        assert path[part].tolist() == best
        if learned:
            np.testing.assert_allclose(posterior[part], sure, atol=1e-9)
        start += length
    np.testing.assert_allclose(posterior.sum(1), 1.0)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_certainty_never_computes_with_uninitialised_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    fills = itertools.cycle([np.inf, -np.inf])  # as memory may hold; their sum is invalid
    monkeypatch.setattr(np, "empty_like", lambda array: np.full_like(array, next(fills)))
    tags = tag_set(("A",), "BIO")
    scores = np.random.default_rng(0).normal(size=(6, len(tags.names)))
    posterior = certainty(scores, np.array([5, 1]), tags, transitions=np.zeros_like(tags.step, dtype=float))
    np.testing.assert_allclose(posterior.sum(1), 1.0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_answer_is_legal(scheme: Scheme) -> None:
    draw = np.random.default_rng(1)
    tags = tag_set(("PER", "LOC", "ORG"), scheme)
    lengths = draw.integers(0, 12, 300)
    path = best_tags(draw.normal(size=(lengths.sum(), len(tags.names))), lengths, tags)
    parts = np.split(path, np.cumsum(lengths)[:-1])
    assert all(legal(tuple(part), tags) for part in parts if len(part))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_entities_end_where_they_end(scheme: Scheme) -> None:
    tags = tag_set(("A", "B"), scheme)
    path = np.array([*classes_of(2, 0, scheme), *classes_of(1, 0, scheme), 0, *classes_of(1, 1, scheme)])
    more = np.array([*classes_of(3, 1, scheme)])
    firsts, lasts = entities(np.concatenate([path, more]), np.array([0, 5, 0, 3, 0]), tags)
    assert list(zip(firsts.tolist(), lasts.tolist(), strict=True)) == [(0, 1), (2, 2), (4, 4), (5, 7)]


def test_tags_of_a_scheme() -> None:
    assert tag_set(("X",), "BIO").names == ("O", "B-X", "I-X")
    assert tag_set(("X", "Y"), "BIOES").names[:5] == ("O", "B-X", "I-X", "E-X", "S-X")
    bioes = tag_set(("X",), "BIOES")
    follow = {a: "".join(b[0] for b, ok in zip(bioes.names, row, strict=True) if ok) for a, row in
              zip(bioes.names, bioes.step, strict=True)}  # fmt: skip
    assert follow == {"O": "OBS", "B-X": "IE", "I-X": "IE", "E-X": "OBS", "S-X": "OBS"}
    assert [name for name, ok in zip(bioes.names, bioes.end, strict=True) if ok] == ["O", "E-X", "S-X"]


def test_balanced_weights_are_bounded() -> None:
    from collections import Counter

    assert balanced_weights(Counter({"O": 900, "B-X": 99, "I-X": 1}), ("O", "B-X", "I-X", "B-Y")) == [
        0.277778,
        2.525253,
        10.0,
        1.0,
    ]


@pytest.mark.parametrize("learned", [False, True])
def test_two_thousand_sentences_are_decoded_at_once(learned: bool) -> None:
    draw = np.random.default_rng(2)
    tags = tag_set(tuple("ABCD"), "BIO")
    lengths = draw.integers(1, 30, 2000)
    scores = draw.normal(size=(lengths.sum(), 9))
    start = time.process_time()
    best_tags(scores, lengths, tags, transitions=np.zeros((9, 9)) if learned else None)
    assert time.process_time() - start < 0.5
