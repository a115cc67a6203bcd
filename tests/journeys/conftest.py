"""The command line as a person meets it, words in, exit code and two streams out; and pages in a real browser."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tunesmith.cli import main as door

SAMPLES = Path(__file__).parents[2] / "samples"
CHROMIUM = Path("/usr/bin/chromium")
APT = "apt-get install -y chromium fonts-noto-cjk"


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def tunesmith(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Call the command line in this process."""

    def call(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["tunesmith", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            door.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Outcome(int(leaving.value.code or 0), out, err)

    return call


class Visit:
    """An opened page with everything it complained about or asked for."""

    def __init__(
        self, browser: Browser, file: Path, *, width: int = 1200, dark: bool = False, zh: bool = False
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            locale="zh-CN" if zh else "en-US",
        )
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("figure.chart svg")

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def close(self) -> None:
        own = self.page.url.partition("#")[0]
        self.context.close()
        assert self.complaints == []
        assert {url.partition("#")[0] for url in self.requests} == {own}, "a page asks no host for anything"


@pytest.fixture(scope="module")  # while it is open, an event loop runs: no longer than the pages of one file
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        message = f"no browser at {CHROMIUM}: {APT}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser) -> Callable[..., Visit]:
    """`visit(file, width=1200, dark=False, zh=False)`: a page of ours, opened; `.close()` checks that it was quiet."""

    def opened(file: Path, *, width: int = 1200, dark: bool = False, zh: bool = False) -> Visit:
        return Visit(browser, file, width=width, dark=dark, zh=zh)

    return opened
