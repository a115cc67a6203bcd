"""Shared assets: vendored files are what they claim, texts are complete, and JSON cannot leave its block."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from tunesmith.web import loading
from tunesmith.web.loading import asset, json_for_script

WEB = Path(loading.__file__).parent
VENDORED = re.findall(r"^\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \|$", asset("vendor/VENDORED.md"), flags=re.MULTILINE)


def test_every_vendored_file_has_the_recorded_hash() -> None:
    assert {name for name, _ in VENDORED} == {path.name for path in (WEB / "vendor").glob("*.js")}
    for name, expected in VENDORED:
        assert hashlib.sha256((WEB / "vendor" / name).read_bytes()).hexdigest() == expected, name


def test_no_inlined_file_can_end_its_element() -> None:
    for path in (*WEB.rglob("*.js"), *WEB.rglob("*.css")):
        text = path.read_text(encoding="utf-8").lower()
        assert "</script" not in text and "</style" not in text and "<!--" not in text, path.name


def test_assets_stay_in_their_folder() -> None:
    for name in ("../judge/page.py", "/etc/passwd", "nothing.css"):
        with pytest.raises(FileNotFoundError):
            asset(name)


def test_every_text_is_there_in_both_languages() -> None:
    texts = json.loads(asset("texts.json"))
    for key, both in texts.items():
        assert set(both) == {"en", "zh"} and all(both.values()), key
        assert re.search(r"[\u4e00-\u9fff]", both["zh"]) or key in {"col.f1", "ui.language"}, key
    used: set[str] = set()
    for name in ("templates/_frame.html.j2", "templates/report.html.j2", "templates/audit.html.j2"):
        used |= set(re.findall(r"""\bt\("([a-z_.]+)"\)""", asset(name)))
        used |= set(re.findall(r"""data-t(?:-label|-placeholder)?="([a-z_.]+)\"""", asset(name)))
    used |= set(re.findall(r"""\bt\("([a-z_.]+)"\)""", asset("report.js")))
    assert used and not used - set(texts), used - set(texts)


@pytest.mark.parametrize("value", ["</script>", "<!--", "\u2028\u2029", "&amp;", {"<b>": ["</SCRIPT >"]}])
def test_json_in_a_page_cannot_leave_its_block(value: object) -> None:
    written = json_for_script(value)
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == value


def test_colours_of_the_two_dark_modes_are_the_same() -> None:
    css = asset("style.css")
    automatic = re.search(r':root:not\(\[data-theme="light"\]\) \{(.*?)\}', css, flags=re.DOTALL)
    chosen = re.search(r':root\[data-theme="dark"\] \{(.*?)\}', css, flags=re.DOTALL)
    assert automatic and chosen
    assert automatic[1].split() == chosen[1].split()


def channel(value: int) -> float:
    share = value / 255
    return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    red, green, blue = (channel(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("selector", [r":root \{", r':root\[data-theme="dark"\] \{'])
def test_texts_can_be_read(selector: str) -> None:
    block = re.search(selector + r"(.*?)\n\}", asset("style.css"), flags=re.DOTALL)
    assert block
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block[1]))
    pairs = [("ink", "paper"), ("ink", "surface"), ("muted", "surface"), ("muted", "sunken"), ("accent", "surface")]
    pairs += [("accent-ink", "accent"), *((tone, f"{tone}-soft") for tone in ("good", "warn", "bad"))]
    pairs += [(f"edge-{i}", f"hue-{i}") for i in range(10)]
    poor = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert all(value >= 4.5 for value in poor.values()), {pair: v for pair, v in poor.items() if v < 4.5}
