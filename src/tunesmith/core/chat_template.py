"""Rendering a conversation with the Jinja template of a checkpoint, character for character as transformers does.

A template is data that a stranger wrote. It runs in jinja2's immutable sandbox: it sees messages and names of control
tokens as plain strings, reaches no file, no module and no attribute that begins with an underscore, and its size is
limited. `strftime_now` reads the clock, as in transformers: a template that writes the date renders anew every day.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NoReturn

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from tunesmith.core.conversation import Message
from tunesmith.core.errors import DataError, ModelFileError, Place

MAX_TEMPLATE: Final = 256 * 1024
"""Characters; the longest templates in use have about 20,000."""
PLAIN: Final = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% else %}{{ message['content'] + ('\n\n' if message['role'] == 'system' else '\n') }}{% endif %}"
    "{% endfor %}"
)
"""For a checkpoint without a template: `system`, a blank line, `prompt`, a line break, `answer`, the end token."""


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A template with the control tokens that it may name."""

    source: str
    """Jinja"""
    control: Mapping[str, str] = field(default_factory=dict)
    """`bos_token`, `eos_token`, ... to their texts"""
    file: str = "chat_template"
    """where it was read, for messages"""

    def __post_init__(self) -> None:
        """Refuse what is too large to be one.

        Raises:
            ModelFileError: more than `MAX_TEMPLATE` characters.
        """
        if len(self.source) > MAX_TEMPLATE:
            raise self._unusable(f"the chat template has more than {MAX_TEMPLATE} characters")

    def render(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = False, place: Place | None = None
    ) -> str:
        """The conversation as one text; with `add_generation_prompt` it ends where the next answer begins.

        `place` is where the conversation stands, for messages.

        Raises:
            DataError: the template itself refuses the conversation, for example because it takes no system message.
            ModelFileError: the template is no Jinja, or fails.
        """
        try:
            return _compiled(self.source).render(
                **self.control,
                messages=[{"role": message.role, "content": message.content} for message in messages],
                tools=None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
            )
        except _Refused as refused:
            raise DataError(
                f"the chat template refuses the conversation: {refused}",
                code="TS-CHAT-006",
                place=place or Place(file=self.file),
                fix="change the conversation to what the template takes; many take no system message.",
            ) from None
        except TemplateSyntaxError as error:
            raise self._unusable(f"the chat template is no Jinja: {error.message} at line {error.lineno}") from None
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise self._unusable(f"the chat template fails: {error}") from None

    def _unusable(self, message: str) -> ModelFileError:
        return ModelFileError(
            message,
            code="TS-CHAT-007",
            place=Place(file=self.file, key="chat_template"),
            fix="use the tokenizer_config.json (or chat_template.jinja) that the model was trained with.",
        )


class _Refused(TemplateError):
    """A template called `raise_exception`."""


class _Generation(Extension):
    """`{% generation %} ... {% endgeneration %}` marks answers for transformers; here it writes what it encloses."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The statements between the two tags."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _PlainNamespace(Namespace):
    """`namespace()` in which a template's own values never stand under a name that Python itself asks for."""

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401 - any value of the template
        return object.__getattribute__(self, name) if name.startswith("_") else super().__getattribute__(name)


def _raise(message: str) -> NoReturn:
    raise _Refused(message)


def _as_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON without the HTML escapes of jinja2's own filter."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


@lru_cache(maxsize=16)
def _compiled(source: str) -> Template:
    sandbox = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    sandbox.filters["tojson"] = _as_json
    sandbox.globals |= {
        "raise_exception": _raise,
        "strftime_now": _now,
        "namespace": _PlainNamespace,
    }
    del sandbox.globals["lipsum"]  # text of any length
    return sandbox.from_string(source)
