"""A report in a real browser: every control is used, and the page stays quiet, narrow and at home."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.example import Example, Source, Span
from tunesmith.core.prediction import Prediction, ScoredSpan
from tunesmith.judge.baselines import baselines
from tunesmith.judge.page import write_page
from tunesmith.judge.report import RunFacts, build_report, judge_split
from tunesmith.judge.stored import read_predictions, write_predictions

Opened = Callable[..., Any]
"""`visit(file, width=1200, dark=False, zh=False)`, of conftest.py"""
PEOPLE = ["Mara Lindqvist", "Tomás Arroyo", "Priya Raman", "Joost de Wit", "Chidi Okafor", "Anna Berg", "Li Na"]
PRODUCTS = ["Aurora 12", "Field Kettle", "Nimbus Pro", "Halden desk lamp", "Trail 40 backpack", "Pico charger"]
PLACES = ["Rotterdam", "Leeds", "Porto", "the Utrecht store", "Gothenburg", "Cork"]
DATES = ["last Friday", "on 3 March", "two weeks ago", "this morning", "on the 14th"]
SENTENCES = [
    "{person} ordered a {product} {date} and it never reached {place}.",
    "Could you refund the {product} that {person} returned in {place}?",
    "My {product} stopped charging {date}; {person} at {place} told me to write here.",
    "Please change the delivery address for {person} to {place}.",
    "The {product} from {place} arrived {date} with a cracked screen.",
    "Nothing is wrong, I only wanted to say thank you.",
    "<script>alert('{person}')</script> is what the {product} shows since {date} \x1b[31mred\x1b[0m.",
    '=HYPERLINK("http://evil.example","{product}") came with my invoice {date}.',
]
LONG_ENDINGS = ["not_working_abroad", "pending", "fee_charged_twice", "arrival", "limit_reached", "how_to_request_it"]
KINDS = {"person": "PERSON", "product": "PRODUCT", "place": "PLACE", "date": "DATE"}
INTENTS = {
    "退款": ["我想把{item}退了，钱什么时候到账？", "{item}不合适，申请退款可以吗"],
    "物流查询": ["{item}发货三天了还没有动静", "请问我的{item}现在到哪里了？"],
    "发票": ["{item}能开公司抬头的发票吗", "麻烦补开一张{item}的电子发票"],
    "更换商品": ["{item}颜色发错了，想换一个", "收到的{item}有划痕，给我换新的"],
    "优惠活动": ["{item}下个月还有满减吗", "买两个{item}可以便宜点吗？"],
    "使用咨询": ["{item}怎么连接手机", "{item}充满电大概要多久？"],
    "投诉": ["客服一直不回复{item}的问题，太差了", "{item}用一天就坏了，我要投诉"],
}
ITEMS = ["蓝牙音箱", "保温杯", "机械键盘", "台灯", "旅行箱", "空气炸锅"]


def entity_examples(count: int, *, seed: int) -> list[Example]:
    rng = random.Random(seed)
    made = []
    for index in range(count):
        pattern, text, spans = rng.choice(SENTENCES), "", []
        while pattern:
            before, _, rest = pattern.partition("{")
            text += before
            if rest:
                name, _, pattern = rest.partition("}")
                known = {"person": PEOPLE, "product": PRODUCTS, "place": PLACES, "date": DATES}[name]
                # Training rows know half of the names, so that a dictionary misses some and a model can win.
                value = rng.choice(known[: len(known) // 2] if seed == 1 else known)
                spans.append(Span(len(text), len(text) + len(value), KINDS[name]))
                text += value
            else:
                pattern = ""
        source = Source("support/test.jsonl", index + 1)
        made.append(Example(id=f"m{index}", text=text, source=source, gold=tuple(spans), group=f"thread-{index // 3}"))
    return made


def answered(example: Example, rng: random.Random) -> Prediction:
    said = []
    for span in example.gold if isinstance(example.gold, tuple) else ():
        assert isinstance(span, Span)
        luck = rng.random()
        if luck < 0.05:
            continue
        label = rng.choice(list(KINDS.values())) if luck < 0.09 else span.label
        end = span.end - 3 if 0.09 <= luck < 0.15 else span.end
        said.append(ScoredSpan(span.start, end, label, round(rng.uniform(0.55, 0.999), 3)))
    if not said and rng.random() < 0.3:
        said.append(ScoredSpan(0, 7, "PRODUCT", 0.61))
    return Prediction(
        id=example.id, text=example.text, predicted=tuple(said), gold=example.gold, group=example.group,
        source=example.source,
    )  # fmt: skip


def entity_run(folder: Path) -> Path:
    train, test = entity_examples(150, seed=1), entity_examples(300, seed=2)
    rng = random.Random(3)
    predictions = [answered(example, rng) for example in test]
    return written(folder, "token_classification", train, test, predictions)


def intent_run(folder: Path) -> Path:
    rng = random.Random(5)
    rows = []
    for index in range(700):
        label = rng.choice(list(INTENTS))
        text = rng.choice(INTENTS[label]).replace("{item}", rng.choice(ITEMS))
        rows.append(Example(id=str(index), text=text, source=Source("客服/test.csv", index + 2), gold=label))
    train, test, predictions = rows[:24], rows[24:], []
    for example in test:
        right = str(example.gold)
        label = right if rng.random() < 0.93 else rng.choice(list(INTENTS))
        sure = rng.uniform(0.5, 0.99)
        scores = {name: (1 - sure) / (len(INTENTS) - 1) for name in INTENTS} | {label: sure}
        predictions.append(
            Prediction(
                id=example.id, text=example.text, predicted=label, gold=right, source=example.source, scores=scores
            )
        )
    return written(folder, "text_classification", train, test, predictions)


def pair_run(folder: Path) -> Path:
    rng = random.Random(6)
    rows = []
    for index in range(500):
        a, b = rng.choice(PRODUCTS), rng.choice(PRODUCTS)
        gold = 5.0 if a == b else round(rng.uniform(0, 2.5), 1)
        text, pair = f"A customer returned the {a}.", f"The {b} was brought back."
        rows.append(Example(id=str(index), text=text, pair=pair, source=Source("pairs.tsv", index + 1), gold=gold))
    test = rows[200:]
    predictions = [
        Prediction(
            id=e.id, text=e.text, pair=e.pair, gold=e.gold, source=e.source,
            predicted=min(5.0, max(0.0, float(str(e.gold)) + rng.gauss(0, 0.6))),
        )
        for e in test
    ]  # fmt: skip
    return written(folder, "pair_matching", rows[:200], test, predictions)


def many_run(folder: Path) -> Path:
    """More labels than a heat map holds, with long names, one of them hostile to layout."""
    rng = random.Random(8)
    labels = [f"{a}_{b}" for a in ("card", "transfer", "top_up", "refund", "identity") for b in LONG_ENDINGS]
    labels.append("W" * 90)
    rows = [
        Example(id=str(i), text=f"question {i} on {i % 37}", source=Source("bank.csv", i + 2), gold=rng.choice(labels))
        for i in range(260)
    ]
    predictions = []
    for example in rows[60:]:
        label = str(example.gold) if rng.random() < 0.7 else rng.choice(labels)
        predictions.append(
            Prediction(
                id=example.id, text=example.text, predicted=label, gold=example.gold, source=example.source,
                scores={label: 0.8},
            )
        )  # fmt: skip
    return written(folder, "text_classification", rows[:60], rows[60:], predictions)


def written(folder: Path, kind: str, train: list[Example], test: list[Example], predictions: list[Prediction]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "predictions.test.jsonl"
    write_predictions(stored, predictions)
    judged = judge_split(read_predictions(stored), baselines(kind, train, test), kind=kind, replicates=300)
    write_predictions(folder / "predictions.dev.jsonl", predictions[: len(predictions) // 2])
    dev = judge_split(read_predictions(folder / "predictions.dev.jsonl"), {}, kind=kind, replicates=100)
    facts = RunFacts(
        task=kind,
        name="support-desk",
        cost={"seconds": 214.7, "tokens_per_second": 3871.2, "peak_rss_mb": 1432, "trainable_parameters": 22_713_216},
        environment={"python": "3.11.7", "torch": "2.13.0+cpu", "machine": "x86_64, 2 cores", "threads": 2, "seed": 0},
        data={
            "fingerprint": "9f2c41d0a7",
            "train": len(train),
            "test": len(test),
            "files": ["train.jsonl", "test.jsonl"],
        },
        config={"seed": 0, "backbone": "starter:english", "method": {"kind": "full"}, "train": {"length": "3 epochs"}},
    )
    report = build_report({"dev": dev, "test": judged}, facts)
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    main = judged["main_metric"]
    with (folder / "journal.jsonl").open("w", encoding="utf-8") as file:
        for step in range(1, 241):
            loss = 2.2 * math.exp(-step / 60) + 0.12 + 0.03 * math.sin(step)
            rate = 2e-4 * min(step / 24, (240 - step) / 216)
            line = {"event": "step", "step": step, "epoch": step / 80, "loss": loss, "learning_rate": rate}
            file.write(json.dumps(line | {"gradient_norm": 1.0, "tokens": 900, "seconds": 0.3}) + "\n")
            if step % 40 == 0:
                score = {main: 0.93 - 0.6 * math.exp(-step / 50)}
                file.write(json.dumps({"event": "evaluated", "step": step, "split": "dev", "metrics": score}) + "\n")
    return write_page(report, stored, folder / "journal.jsonl", folder / "report.html", audit=AUDIT)


AUDIT = {
    "status": "warn",
    "sections": [
        {"title": "Counts", "status": "ok", "summary": "570 examples in 2 split(s)",
         "rows": [{"split": "train", "examples": 150, "labels": 4}, {"split": "test", "examples": 420, "labels": 4}]},
        {"title": "Alignment certificate", "status": "ok",
         "summary": "1,204 of 1,204 entities survive tokenisation exactly, 0 repaired, 0 lost", "rows": []},
        {"title": "Exact duplicates", "status": "warn", "summary": "2 row(s) repeat an earlier text",
         "rows": [{"split": "train", "line": "support/train.jsonl:12", "again on line": "80, 131",
                   "text": "Nothing is wrong, I only wanted to say thank you. <b>not bold</b>"}]},
        {"title": "Leaks between splits", "status": "fail", "summary": "31 of 420 texts (7.4%) occur in train",
         "rows": [{"split": "test", "line": "support/test.jsonl:7", "in train": "support/train.jsonl:3"}]},
    ],
}  # fmt: skip


RUNS = {"entities": entity_run, "intents": intent_run, "pairs": pair_run, "many": many_run}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: make(folder / name) for name, make in RUNS.items()}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("width, dark", [(360, False), (1200, True)])
def test_it_is_quiet_and_fits(visit: Opened, pages: dict[str, Path], name: str, dark: bool, width: int) -> None:
    seen = visit(pages[name], width=width, dark=dark, zh=dark)
    assert seen.overflow() <= 0
    drawn = seen.page.locator("figure.chart svg").count()
    assert drawn == seen.page.locator("figure.chart").count(), "every chart is drawn"
    background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(19, 20, 21)") is dark
    seen.close()


def test_theme_and_language_switch_and_the_charts_follow(visit: Opened, pages: dict[str, Path]) -> None:
    seen = visit(pages["entities"])
    page = seen.page
    assert page.locator("#curves h2").inner_text() == "How it learned"
    before = page.locator("#standing-chart").inner_html()
    page.locator("[data-theme-toggle]").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.locator("#standing-chart").inner_html() != before, "charts take the colours of the theme"
    page.locator("[data-language]").click()
    assert page.locator("#curves h2").inner_text() == "学习过程"
    assert page.locator("#headline").inner_text().startswith("优于最好的基线。")
    assert "本模型" in page.locator("#standing-chart").inner_text()
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    assert page.locator("#error-search").get_attribute("placeholder") == "搜索文本或行号"
    page.locator("[data-language]").click()
    assert page.locator("#headline").inner_text().startswith("Better than its best baseline.")
    seen.close()


def test_labels_sort_by_click_and_by_keyboard(visit: Opened, pages: dict[str, Path]) -> None:
    seen = visit(pages["entities"])
    page = seen.page

    def column(index: int) -> list[str]:
        return page.locator(f"#labels-table tbody tr > :nth-child({index})").all_inner_texts()

    page.locator("#labels-table th button", has_text="F1").click()
    assert page.locator("#labels-table th").nth(1).get_attribute("aria-sort") == "descending"
    scores = [float(text) for text in column(2)]
    assert scores == sorted(scores, reverse=True)
    name = page.locator("#labels-table th button", has_text="Label")
    name.focus()
    page.keyboard.press("Enter")
    assert column(1) == sorted(column(1))
    page.keyboard.press("Enter")
    assert column(1) == sorted(column(1), reverse=True)
    seen.close()


def test_errors_are_filtered_searched_and_shown_a_few_at_a_time(visit: Opened, pages: dict[str, Path]) -> None:
    seen = visit(pages["entities"])
    page = seen.page
    shown = page.locator(".error:visible")
    assert shown.count() == 20
    page.locator("#error-more").click()
    assert shown.count() == 40
    page.locator("[data-filter=PERSON]").click()
    assert page.locator("[data-filter=PERSON]").get_attribute("aria-pressed") == "true"
    assert 0 < shown.count() <= 20
    for labels in shown.evaluate_all("nodes => nodes.map(node => node.dataset.labels)"):
        assert "PERSON" in json.loads(labels)
    page.locator("#error-search").fill("no such text anywhere")
    assert shown.count() == 0
    assert page.locator("#error-none").is_visible()
    page.locator("#error-search").fill("")
    page.locator('[data-filter=""]').click()
    assert shown.count() == 20
    source = shown.first.locator("code").inner_text()
    page.locator("#error-search").fill(source)
    assert shown.count() >= 1
    seen.close()


def test_hostile_texts_are_read_not_run(visit: Opened, pages: dict[str, Path]) -> None:
    seen = visit(pages["entities"])
    seen.page.locator("#error-search").fill("<script>alert(")
    text = seen.page.locator(".error:visible .annotated").first.inner_text()
    assert text.startswith("<script>alert('") and "␛[31m" in text and "\x1b" not in text
    seen.close()


def test_findings_open_and_the_page_works_from_the_keyboard(visit: Opened, pages: dict[str, Path]) -> None:
    seen = visit(pages["intents"])
    page = seen.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip-link"
    finding = page.locator(".finding").nth(2)
    assert not finding.locator("table").is_visible()
    finding.locator("summary").focus()
    page.keyboard.press("Enter")
    assert finding.locator("table").is_visible()
    assert "<b>not bold</b>" in finding.inner_text()
    seen.close()


def test_without_a_journal_an_audit_or_an_error_the_page_says_so(visit: Opened, tmp_path: Path) -> None:
    rows = [
        Prediction(id=str(i), text="so it is", gold="yes", predicted="yes", source=Source("a.csv", i + 2))
        for i in range(12)
    ]
    write_predictions(tmp_path / "p.jsonl", rows)
    judged = judge_split(rows, {}, kind="text_classification", replicates=50)
    report = build_report({"test": judged}, RunFacts(task="text_classification"))
    seen = visit(write_page(report, tmp_path / "p.jsonl", tmp_path / "none", tmp_path / "r.html"), width=360)
    empty = " ".join(seen.page.locator(".empty:visible").all_inner_texts())
    for words in ("No journal", "Not one error", "No audit was recorded", "Nothing recorded"):
        assert words in empty
    assert seen.overflow() <= 0
    seen.close()
