"""Find the shared style, scripts and templates, and put a page together as one file that asks no other host anything.

The policy of a page allows the scripts and styles that a template asked for, each by its sha256, and nothing else: a
script that slipped in through a text would not run even if escaping failed.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

_POLICY_MARK = "@content-policy@"


@cache
def asset(name: str) -> str:
    """The text of a file below `web/` (`style.css`, `vendor/d3.min.js`).

    Raises:
        FileNotFoundError: there is no such file, or the name leads out of the folder.
    """
    if ".." in name.split("/") or name.startswith("/"):
        raise FileNotFoundError(name)
    return files("tunesmith.web").joinpath(name).read_text(encoding="utf-8")


def page(template: str, context: Mapping[str, Any], *, connect: str = "'none'") -> str:
    """One self-contained HTML page from a file of `web/templates` (or `web/`); every value of `context` is escaped.

    A template has `{{ style("style.css") }}`, `{{ script("page.js") }}` and `{{ module("report.js") }}`, which inline
    files, `{{ data("id", value) }}`, which writes a JSON block for a script to read, and `{{ policy }}` for the
    Content-Security-Policy `<meta>`, which must stand before anything that a user wrote. `connect` is what its scripts
    may call: `'none'`, or `'self'` for a page that is served.
    """
    inlined = _Inlined()
    html = (
        _environment()
        .get_template(template)
        .render(
            dict(context)
            | {
                "policy": _POLICY_MARK,
                "style": inlined.style,
                "script": inlined.script,
                "module": inlined.module,
                "data": _data_block,
            }
        )
    )
    return html.replace(_POLICY_MARK, inlined.policy(connect), 1)


def json_for_script(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """JSON that cannot end the script element it stands in, whatever texts it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


class _Inlined:
    """The files one page inlines, with their hashes."""

    def __init__(self) -> None:
        self._scripts: list[str] = []
        self._styles: list[str] = []

    def style(self, name: str) -> Markup:
        text = asset(name)
        self._styles.append(_hash(text))
        return Markup(f"<style>{text}</style>")

    def script(self, name: str) -> Markup:
        if name in STYLES_WRITTEN_BY:
            self._styles.append(STYLES_WRITTEN_BY[name])
        return self._script(asset(name), "")

    def module(self, name: str) -> Markup:
        return self._script(asset(name), ' type="module"')

    def _script(self, text: str, kind: str) -> Markup:
        self._scripts.append(_hash(text))
        return Markup(f"<script{kind}>{text}</script>")

    def policy(self, connect: str) -> Markup:
        return Markup(
            "; ".join(
                (
                    "default-src 'none'",
                    f"script-src {' '.join(self._scripts) or _NONE}",
                    f"style-src {' '.join(self._styles) or _NONE}",
                    f"connect-src {connect}",
                    "base-uri 'none'",
                    "form-action 'none'",
                )
            )
        )


_NONE = "'none'"
STYLES_WRITTEN_BY = {"vendor/plot.umd.min.js": "'sha256-jSYQUrW7J0b3jPqhZP9C2Xh1PyJKHKXd4s0fpGGKrww='"}
"""The `<style>` element that a vendored library writes into its charts, by its hash (web/vendor/VENDORED.md)."""


def _data_block(identifier: str, value: Any) -> Markup:  # noqa: ANN401 - any JSON value
    return Markup(f'<script type="application/json" id="{identifier}">{json_for_script(value)}</script>')


def _hash(body: str) -> str:
    digest = hashlib.sha256(body.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _template(name: str) -> str:
    try:
        return asset(f"templates/{name}")
    except FileNotFoundError:
        return asset(name)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
