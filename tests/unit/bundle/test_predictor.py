"""One road to an answer: alone or in company, one or a stream, the same."""

import shutil

import pytest

from tunesmith.bundle.answers import answer_of
from tunesmith.bundle.display import Predictions
from tunesmith.bundle.predictor import Predictor
from tunesmith.core.errors import DataError, UsageError
from tunesmith.core.prediction import Prediction

TEXTS = [
    "good",
    "the card was lost in Beijing and 张三 helped " * 8,
    "[SEP] [CLS] [MASK]",
    "a",
    "😀 e\u0301 \u200b",
    "not good",
] * 5


@pytest.fixture(params=["entities", "label", "labels", "path"])
def predictor(request, tiny_bundles):
    return Predictor.load(tiny_bundles(request.param))


def close(one, other):
    a, b = one.as_record(), other.as_record()
    a.pop("id"), b.pop("id"), a.pop("source"), b.pop("source")
    scores = (a.pop("scores", {}), b.pop("scores", {}))
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    assert a.pop("confidence", None) == pytest.approx(b.pop("confidence", None), abs=1e-5)
    assert a.pop("instead", {}) == pytest.approx(b.pop("instead", {}), abs=1e-5)
    if isinstance(a["predicted"], list) and a["predicted"] and isinstance(a["predicted"][0], dict):
        pairs = zip(a.pop("predicted"), b.pop("predicted"), strict=True)
        for x, y in pairs:
            assert x.pop("confidence") == pytest.approx(y.pop("confidence"), abs=1e-5)
            assert x == y
    assert a == b


def test_a_question_is_answered_with_a_stretch_of_its_text(tiny_bundles):
    predictor = Predictor.load(tiny_bundles("answer"))
    text = "the card was lost in Beijing and 张三 helped " * 9
    asked = [(text, "where?"), ("good", "what is good?"), (text, "who?")]
    together = predictor.predict(asked)
    for pair, found in zip(asked, together, strict=True):
        close(found, predictor.predict(pair))
        answer = answer_of(found)
        spans = [(span.start, span.end) for span in found.predicted]
        assert spans == ([] if answer["answer"] is None else [(answer["start"], answer["end"])])
        assert answer["answer"] is None or answer["answer"] == pair[0][answer["start"] : answer["end"]]
        assert (pair[1] in found._repr_html_()) and ("<mark" in found._repr_html_()) == bool(spans)
    with pytest.raises(DataError, match="no question"):
        predictor.predict("a text alone")


def test_company_and_order_change_nothing(predictor):
    together = predictor.predict(TEXTS)
    backwards = predictor.predict(TEXTS[::-1])[::-1]
    for text, one, other in zip(TEXTS, together, backwards, strict=True):
        close(one, other)
        close(one, predictor.predict(text))


@pytest.mark.parametrize("kind", ["entities", "label", "labels"])
def test_bf16_answers_nearly_as_fp32_alone_and_in_company(tiny_bundles, kind):
    exact, fast = (Predictor.load(tiny_bundles(kind), precision=precision) for precision in ("fp32", "bf16"))
    assert (exact.bundle.precision, fast.bundle.precision) == ("fp32", "bf16")
    together = fast.predict(TEXTS)
    alone = [fast.predict(text) for text in TEXTS]
    for others in (exact.predict(TEXTS), alone):
        for one, other in zip(together, others, strict=True):
            assert one.scores == pytest.approx(other.scores, abs=0.03)
        same = sum(_said(one) == _said(other) for one, other in zip(together, others, strict=True))
        assert same >= 0.8 * len(TEXTS), "the model is random: ties are many"


def _said(prediction):
    """The answer without its confidences."""
    if isinstance(prediction.predicted, tuple) and not prediction.scores:
        return [span.span() for span in prediction.predicted]
    return prediction.predicted


def test_auto_is_one_of_both_and_another_precision_is_refused(tiny_bundles):
    assert Predictor.load(tiny_bundles("label"), precision="auto").bundle.precision in ("fp32", "bf16")
    with pytest.raises(UsageError, match="no precision 'fp16'") as refused:
        Predictor.load(tiny_bundles("label"), precision="fp16")
    assert refused.value.code == "TS-BUNDLE-034" and "bf16" in refused.value.fix


def test_golden_rows_are_proved_before_anything_is_cast(tiny_bundles, monkeypatch):
    proved = []
    monkeypatch.setattr("tunesmith.bundle.predictor.prove", lambda bundle: proved.append(bundle.precision))
    Predictor.load(tiny_bundles("label"), precision="bf16")
    assert proved == ["fp32"]


def test_a_stream_is_read_in_chunks_and_answered_in_order(predictor, unlabelled):
    taken = []

    def source():
        for example in unlabelled(*TEXTS):
            taken.append(example.id)
            yield example

    stream = predictor.stream(source(), chunk=4)
    first = next(stream)
    assert (first.id, len(taken)) == ("1", 4)
    assert [first.id, *(item.id for item in stream)] == [str(n) for n in range(1, len(TEXTS) + 1)]


def test_spans_are_characters_of_the_text(tiny_bundles):
    found = Predictor.load(tiny_bundles("entities")).predict("😀 张三 visited Beijing, e\u0301!")
    assert found.predicted, "the random model marks something"
    assert all(0 <= span.start < span.end <= len(found.text) for span in found.predicted)


@pytest.mark.parametrize("blank", ["", " ", "\n\t\u3000"])
def test_a_blank_text_is_refused(predictor, blank):
    with pytest.raises(DataError, match="blank"):
        predictor.predict(blank)


def test_a_pair_is_refused_where_one_text_is_read(predictor):
    with pytest.raises(DataError, match="second text"):
        predictor.predict(("a", "b"))


def test_notebooks_show_answers_and_escape_texts(predictor):
    one, many = predictor.predict("<script>good</script>"), predictor.predict(["<b>a</b>"] * 30)
    assert isinstance(one, Prediction) and isinstance(many, Predictions)
    assert many == list(many), "a plain list to everybody else"
    for html in (one._repr_html_(), many._repr_html_()):
        assert "<script" not in html and "<b>a" not in html and "&lt;" in html
    assert "and 10 more" in many._repr_html_()


def test_opening_a_bundle_needs_neither_transformers_nor_scikit_learn(tiny_bundles, tmp_path):
    import subprocess
    import sys

    shutil.copytree(tiny_bundles("label"), tmp_path / "b")
    code = (
        "import sys; from tunesmith.bundle.predictor import Predictor; "
        f"print(Predictor.load({str(tmp_path / 'b')!r}).predict('good').predicted); "
        "sys.exit(int(bool({'transformers', 'sklearn'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip() in {"bad", "fine", "good"}) == (0, True), done.stderr
