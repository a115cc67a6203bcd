"""What a user wrote stays text: in labels, texts, names, findings and facts."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tunesmith.core.errors import CannotCreateError
from tunesmith.core.example import Source, Span
from tunesmith.core.prediction import Prediction, ScoredSpan
from tunesmith.judge.forms import FORMS, KINDS
from tunesmith.judge.metrics.counts import Counts
from tunesmith.judge.page import language, write_audit_page, write_page
from tunesmith.judge.report import RunFacts, build_report, judge_split
from tunesmith.judge.stored import write_predictions

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


def evil_page(folder: Path, *, spans: bool) -> str:
    kind = "token_classification" if spans else "text_classification"
    rows = [
        Prediction(
            id=f"{EVIL}{i}", text=f"{EVIL}\x1b[31m \u202e",
            gold=(Span(0, 9, EVIL),) if spans else EVIL,
            predicted=(ScoredSpan(0, 8, EVIL, 0.9),) if spans else f"={EVIL}",
            scores={} if spans else {EVIL: 0.2, f"={EVIL}": 0.8}, source=Source(EVIL, i + 1),
        )
        for i in range(3)
    ]  # fmt: skip
    stored = folder / "p.jsonl"
    write_predictions(stored, rows)
    facts = RunFacts(
        task=kind,
        name=EVIL,
        cost={EVIL: EVIL},
        environment={"a": {EVIL: [EVIL]}},
        data={"x": EVIL},
        config={EVIL: EVIL},
    )
    report = build_report({"test": judge_split(rows, {}, kind=kind, replicates=20)}, facts)
    audit = {"sections": [{"title": EVIL, "summary": EVIL, "status": EVIL, "rows": [{EVIL: EVIL}]}]}
    return write_page(report, stored, folder / "no-journal", folder / "report.html", audit=audit).read_text("utf-8")


def evil_written_page(folder: Path, kind: str) -> str:
    gold, predicted = ((EVIL, "b"), EVIL) if kind == "generation" else ((Span(9, 20, "answer"),), ())
    rows = [
        Prediction(id=f"{EVIL}{i}", text=f"{EVIL}\x1b[31m \u202e", pair=EVIL, gold=gold, predicted=predicted)
        for i in range(3)
    ]
    rows.append(replace(rows[0], id="wrong", predicted="c" if kind == "generation" else (ScoredSpan(0, 4, EVIL, 0.9),)))
    stored = folder / "p.jsonl"
    write_predictions(stored, rows)
    split = judge_split(rows, {EVIL: rows}, kind=kind, replicates=20)
    report = build_report({"test": split}, RunFacts(task=kind, name=EVIL))
    return write_page(report, stored, folder / "no-journal", folder / "report.html").read_text("utf-8")


@pytest.mark.parametrize("kind", ["generation", "extractive_qa"])
def test_written_answers_are_shown_beside_their_gold_and_cannot_act(tmp_path: Path, kind: str) -> None:
    html = evil_written_page(tmp_path, kind)
    assert "<script>alert" not in html and "<img" not in html
    assert "\x1b" not in html and "\u202e" not in html
    assert html.count('<li class="sample">') == 4, "fewer rows than ten are all shown"
    assert html.count('<li class="error"') == (1 if kind == "generation" else 4)
    assert 'id="confusion"' not in html and 'id="labels"' not in html
    assert ("written.context" in re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)) == (kind != "generation")


def test_other_pages_have_no_samples(tmp_path: Path) -> None:
    assert 'id="samples"' not in evil_page(tmp_path, spans=False)


@pytest.mark.parametrize("kind", KINDS)
def test_every_metric_and_task_has_a_name_in_both_languages(kind: str) -> None:
    texts = language()["texts"]
    assert f"task.{kind}" in texts
    known = {"token_classification": ["span_f1"], "pair_matching": ["spearman", "pearson", "mae"]}.get(kind, [])
    for form in FORMS.values():
        known += form.metrics(Counts([("no_answer", ""), ("has_answer", "")], np.zeros(2)))
    missing = [name for name in known if not texts.get(f"metric.{name}", {}).get("zh")]
    assert missing == []


@pytest.mark.parametrize("spans", [True, False])
def test_nothing_a_user_wrote_can_act(tmp_path: Path, spans: bool) -> None:
    html = evil_page(tmp_path, spans=spans)
    assert "<script>alert" not in html
    assert "<img" not in html
    assert "\x1b" not in html and "\u202e" not in html
    opened = len(re.findall(r"<script[ >]", html))
    assert opened == len(re.findall(r"</script>", html)) == (8 if spans else 7)


def test_the_policy_allows_our_files_by_hash_and_nothing_else(tmp_path: Path) -> None:
    html = evil_page(tmp_path, spans=True)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    rules = dict(rule.split(" ", 1) for rule in policy[1].replace("&#39;", "'").split("; "))
    assert rules["default-src"] == rules["connect-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert all(re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", source) for source in rules["script-src"].split())
    assert len(rules["script-src"].split()) == 5
    assert "unsafe" not in policy[1]
    assert html.index("Content-Security-Policy") < html.index("<title>"), "the policy stands before any text of a user"


def test_the_page_names_no_other_host(tmp_path: Path) -> None:
    html = evil_page(tmp_path, spans=True)
    outside = re.sub(r"<script[^>]*>.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", outside)
    assert "@import" not in html and "url(" not in re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)


def test_the_audit_has_a_page_of_its_own(tmp_path: Path) -> None:
    rows = [{"split": "train", "examples": 1200}, {"line": "a.csv:3", "what": EVIL}]
    audit = {"sections": [{"title": "Counts", "summary": "1,200 examples", "status": "ok", "rows": rows}]}
    html = write_audit_page(audit, tmp_path / "audit.html", title=EVIL).read_text("utf-8")
    assert "1,200" in html and "a.csv:3" in html and "<script>alert" not in html
    assert html.count("<table") == 2, "rows of two shapes are two tables"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotCreateError, match="TS-JUDGE-020"):
        write_audit_page({"sections": []}, tmp_path / "no" / "a.html", title="t")
