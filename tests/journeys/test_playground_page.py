"""The playground in a real browser: answers, history, copying, keyboard, languages, phone width, no other host."""

import io
import json
import os
import shlex
import time
from pathlib import Path

import pytest

from tunesmith.serve.running import Running
from tunesmith.serve.settings import ServeSettings

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        fix = "apt-get install -y chromium fonts-noto-cjk"
        if os.environ.get("CI") == "true":
            pytest.fail(f"no browser; run: {fix}")
        pytest.skip(f"no browser; to run this test: {fix}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        opened = tools.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def service(tiny_bundles, tiny_desk):
    """`service(kind, *keys)`: a ready service of that bundle, or of several as "desk", shared by the tests here."""
    made = {}

    def make(kind, *keys):
        if (kind, keys) not in made:
            settings = ServeSettings(port=0, drain_seconds=0.0)
            folder = tiny_desk if kind == "desk" else tiny_bundles(kind)
            made[kind, keys] = Running(folder, settings, keys=keys, log=io.StringIO())
        running = made[kind, keys]
        until = time.monotonic() + 60
        while not running.service.ready and time.monotonic() < until:
            time.sleep(0.02)
        return running

    yield make
    for running in made.values():
        running.ask_to_stop()
        running.wait()


@pytest.fixture
def visit(browser):
    """`visit(url, **context)`: a page that fails the test on any console error or request to another host."""
    contexts, trouble = [], []

    def make(url, **options):
        context = browser.new_context(**({"locale": "en-US", "viewport": {"width": 1200, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(url) else trouble.append(request.url))
        page.goto(url)
        return page

    yield make
    for context in contexts:
        context.close()
    allowed = "401 (Unauthorized)"
    assert [line for line in trouble if allowed not in line] == []


def ask(page, text):
    page.fill("#text", text)
    page.click("#run")
    page.wait_for_function("text => document.querySelector('#history li span')?.textContent === text", arg=text)


def test_a_search_shows_its_documents_in_order(visit, service):
    page = visit(service("documents").url)
    ask(page, "not good")
    answer = json.loads(page.text_content("#json"))["result"]["documents"]
    shown = page.locator("#answer ol.ranking li").evaluate_all(
        "nodes => nodes.map(node => node.firstChild.textContent)"
    )
    assert shown == [found["text"] for found in answer] and shown[0] == "not good"
    assert page.locator("#pair").is_hidden()
    assert page.text_content("#history li .said") == "not good"


def test_a_label_stands_above_its_entities(visit, service):
    page = visit(service("joint").url)
    ask(page, "Anna visited Rome")
    answer = json.loads(page.text_content("#json"))["result"]
    assert page.locator("#answer > *").first.text_content().startswith(answer["label"])
    shown = page.locator("#answer p.annotated").text_content()
    assert shown.replace("LOC", "").replace("PER", "") == "Anna visited Rome"
    assert page.text_content("#history li .said").startswith(f"{answer['label']}: ")


def test_it_answers_at_once_and_marks_entities_as_characters(visit, service):
    page = visit(service("entities").url)
    page.wait_for_selector("#answer mark.entity")
    ask(page, "😀 张三 visited <b>Beijing</b> & e\u0301")
    assert page.locator("#answer b").count() == 0, "a text is never markup"
    answer = json.loads(page.inner_text("#json") or page.text_content("#json"))
    marked = page.locator("#answer mark.entity").evaluate_all("nodes => nodes.map(node => node.firstChild.textContent)")
    assert marked == [entity["text"] for entity in answer["result"]["entities"]]
    assert page.locator("#answer tbody tr").count() == len(marked)
    assert "ms in all" in page.inner_text("#latency")
    assert page.inner_text("#count") == "32 characters"


def test_bars_show_labels_and_the_history_brings_answers_back(visit, service):
    page = visit(service("label").url)
    page.wait_for_selector("#answer .bar.chosen")
    assert page.locator("#answer .bar").count() == 3
    widths = page.locator("#answer .fill").evaluate_all(
        "nodes => nodes.map(node => node.getBoundingClientRect().width)"
    )
    assert widths == sorted(widths, reverse=True) and widths[0] > 0
    ask(page, "one text")
    ask(page, "another text")
    assert page.locator("#history li").count() == 3, "the first example and two questions"
    page.locator("#history button").nth(1).click()
    assert page.input_value("#text") == "one text"
    page.click("#forget")
    assert page.is_hidden("#history-box")


def test_several_labels_are_chips(visit, service):
    page = visit(service("labels").url)
    page.wait_for_selector("#answer .bar")
    ask(page, "good")
    assert page.locator("#answer .bar").count() == 3
    assert page.locator("#answer .verdict .chip").count() + page.locator("#answer .empty").count() >= 1


def test_a_path_is_shown_step_by_step_with_the_probability_of_each(visit, service):
    page = visit(service("path").url)
    page.wait_for_selector("#answer .way li")
    result = json.loads(page.text_content("#json"))["result"]
    steps = page.locator("#answer .way li span:first-child").all_inner_texts()
    assert "".join(steps) == result["label"] and len(steps) == len(result["levels"])
    shares = page.locator("#answer .way .number").all_inner_texts()
    assert shares == [f"{100 * level['confidence']:.1f} %" for level in result["levels"]]
    assert page.locator("#answer .bar").count() == 4
    assert page.locator("#answer .bar.chosen").count() == len(steps)


@pytest.mark.parametrize("kind", ["pair", "score"])
def test_pairs_have_two_fields(kind, visit, service):
    page = visit(service(kind).url)
    page.wait_for_selector("#answer .verdict")
    page.fill("#text", "good")
    page.fill("#pair", "not good")
    page.click("#run")
    page.wait_for_function("() => document.querySelector('#history li span')?.textContent === 'good / not good'")
    assert json.loads(page.text_content("#json"))["result"].keys() >= {"label" if kind == "pair" else "score"}


def test_a_question_has_a_field_of_its_own_and_its_answer_is_marked(visit, service):
    page = visit(service("answer").url)
    page.wait_for_selector("#answer .verdict, #answer .empty")
    assert page.inner_text("#pair-name") == "Question"
    page.fill("#text", "😀 the card was lost in 北京")
    page.fill("#pair", "where?")
    page.click("#run")
    page.wait_for_function("() => document.querySelector('#history li span')?.textContent.startsWith('where? / ')")
    answer = json.loads(page.text_content("#json"))["result"]
    marked = page.locator("#answer mark.entity").all_text_contents()
    assert marked == ([] if answer["answer"] is None else [answer["answer"]])
    page.click("[data-language]")
    assert page.inner_text("#pair-name") == "问题"


def test_of_several_models_one_is_chosen(visit, service):
    page = visit(service("desk").url)
    page.wait_for_selector("#answer .bar.chosen")
    names = page.locator("#adapter option").evaluate_all("nodes => nodes.map(node => node.value)")
    assert names == ["label", "entities", "pair"] and page.is_hidden("#pair")
    page.select_option("#adapter", "entities")
    page.wait_for_selector("#answer mark.entity")
    assert json.loads(page.text_content("#json"))["adapter"] == "entities"
    page.select_option("#adapter", "pair")
    assert page.is_visible("#pair") and page.inner_text("#task") != ""
    page.fill("#pair", "not good")
    page.click("#run")
    page.wait_for_selector("#answer .verdict")
    page.locator("#history button").last.click()
    assert page.input_value("#adapter") == "label" and page.is_hidden("#pair")
    assert '"adapter":"label"' in page.text_content("#curl")


def test_the_keyboard_is_enough(visit, service):
    page = visit(service("label").url)
    page.wait_for_selector("#answer .bar")
    page.locator("#forget").focus()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.type("typed by hand")
    page.keyboard.press("Control+Enter")
    page.wait_for_function("() => document.querySelector('#history').textContent.includes('typed by hand')")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "run"


def test_the_copied_curl_asks_the_same(visit, service):
    import httpx

    running = service("label")
    page = visit(running.url, permissions=["clipboard-read", "clipboard-write"])
    page.wait_for_selector("#answer .bar")
    ask(page, 'it\'s $HOME `whoami` "quoted" 北京')
    page.click("#copy-curl")
    page.wait_for_function("() => document.querySelector('#copied').textContent !== ''")
    words = shlex.split(page.evaluate("navigator.clipboard.readText()").replace("\\\n", " "))
    body = words[words.index("-d") + 1]
    assert json.loads(body) == {"text": 'it\'s $HOME `whoami` "quoted" 北京'}
    url = next(word for word in words if word.startswith("http"))
    said = httpx.post(url, content=body.encode(), headers={"Content-Type": "application/json"}).json()
    assert said["result"]["label"] == json.loads(page.text_content("#json"))["result"]["label"]


def test_mistakes_are_told_in_words(visit, service):
    page = visit(service("label").url)
    page.wait_for_selector("#answer .bar")
    page.fill("#text", "  ")
    page.click("#run")
    assert "Type a text first" in page.inner_text("#answer [role=alert]")


def test_a_text_over_the_limit_shows_the_refusal(browser, service):
    running = service("label")
    page = browser.new_page()  # the browser itself reports the 413 as a console error
    page.goto(running.url)
    page.wait_for_selector("#answer .bar")
    page.fill("#text", "x" * (running.service.settings.max_characters + 1))
    assert "over" in (page.get_attribute("#count", "class") or "")
    page.click("#run")
    page.wait_for_selector("#answer [role=alert]")
    assert "longer than" in page.inner_text("#answer")
    assert "request" in page.inner_text("#answer"), "the request id finds it in the log"
    page.close()


def test_chinese_dark_and_back(visit, service):
    page = visit(service("entities").url, locale="zh-CN", color_scheme="dark")
    page.wait_for_selector("#answer mark.entity")
    assert page.inner_text("#run") == "运行"
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("[data-language]")
    page.click("[data-theme-toggle]")
    assert page.inner_text("#run") == "Run"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    assert page.inner_text("#answer th >> nth=0") == "Entity"


def test_every_text_of_the_page_exists_in_both_languages(visit, service):
    page = visit(service("entities").url)
    page.wait_for_selector("#answer mark.entity")
    missing = page.evaluate(
        "[...document.querySelectorAll('[data-t]')].map(n => n.dataset.t).filter(k => Tunesmith.t(k) === k)"
    )
    assert missing == []
    texts = page.evaluate("JSON.parse(document.getElementById('texts').textContent)")
    assert all(set(entry) == {"en", "zh"} and all(entry.values()) for entry in texts.values())


@pytest.mark.parametrize("kind", ["entities", "label", "labels", "path", "written"])
def test_nothing_is_wider_than_a_phone(kind, visit, service):
    page = visit(service(kind).url, viewport={"width": 360, "height": 740})
    page.wait_for_selector("#after:not([hidden])")
    ask(page, "a-very-long-word-" * 20)
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_key_is_asked_for_and_kept_out_of_the_curl(visit, service):
    page = visit(service("label", "secret").url)
    page.wait_for_selector("#key-box:not([hidden])")
    page.fill("#key", "secret")
    page.keyboard.press("Tab")
    page.wait_for_selector("#answer .bar")
    curl = page.text_content("#curl")
    assert "$TUNESMITH_API_KEY" in curl and "secret" not in curl


def test_a_script_that_slips_in_does_not_run(visit, service):
    page = visit(service("label").url)
    page.wait_for_selector("#answer .bar")
    policy = page.get_attribute("meta[http-equiv]", "content")
    assert "'unsafe-inline'" not in policy and "connect-src 'self'" in policy
    assert policy.startswith("default-src 'none'")
