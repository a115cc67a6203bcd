"""What the documents name exists: keys, options, files, links; their configurations are accepted, their code parses."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from tunesmith.cli.main import app
from tunesmith.core.example import Example
from tunesmith.prepare.reading import detect, read
from tunesmith.run.config import parsed
from tunesmith.run.explain import meanings

ROOT = Path(__file__).parents[2]
WRITTEN = [
    *sorted(ROOT.glob("*.md")),
    *(file for file in sorted((ROOT / "docs").rglob("*.md")) if "reference" not in file.parts),
    ROOT / "samples" / "README.md",
]
NAMES = [file.relative_to(ROOT).as_posix() for file in WRITTEN]
every_document = pytest.mark.parametrize("file", WRITTEN, ids=NAMES)


def blocks(file: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL)


def commands() -> dict[str, set[str]]:
    """The options of every verb; `config show` is a verb of two words, `runs` alone means `runs list`."""
    found: dict[str, set[str]] = {}

    def walk(command: object, name: str) -> None:
        if isinstance(command, typer.core.TyperGroup):
            for word, child in command.commands.items():
                walk(child, f"{name} {word}".strip())
        else:
            assert isinstance(command, typer.core.TyperCommand)
            found[name] = {
                flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)
            }

    walk(typer.main.get_command(app), "")
    return found | {"runs": found["runs list"]}


def named_commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """(verb, options) of every command line a document shows, in code or in a console."""
    for line in re.findall(r"tunesmith ((?:config (?=[a-z])|runs (?=list|show|diff))?[a-z]+)\b([^`\n#]*)", text):
        yield line[0], re.findall(r"(?<!\S)(--[a-z-]+)", line[1])


@every_document
def test_every_verb_and_option_exists(file: Path) -> None:
    known = commands()
    inline = re.findall(r"`(tunesmith [^`]+)`", file.read_text(encoding="utf-8"))
    text = "\n".join([*inline, *blocks(file, "console"), *blocks(file, "bash")])
    for verb, options in named_commands(text):
        assert verb in known or verb == "config show", f"no verb {verb!r}"
        unknown = set(options) - known.get(verb, set()) - {"--help"}
        assert not unknown, f"tunesmith {verb} has no {unknown}"


@every_document
def test_every_key_in_backticks_exists(file: Path) -> None:
    known = {key for key, _ in meanings()}
    short = {re.sub(r"^(task|method|regularizers|trackers)\.[a-z_]+\.", r"\1.", key) for key in known}
    formats = {"data.encoding", "data.separator", "data.text", "data.pair", "data.score", "data.label", "data.group"}
    pattern = r"`((?:data|task|method|train|regularizers|trackers)\.[a-z_.]+?)(?: = [^`]*)?`"
    for key in re.findall(pattern, file.read_text(encoding="utf-8")):
        if not key.endswith((".py", ".toml", ".csv", ".jsonl", ".kind")):
            assert key in known | short | formats | {"task.loss", "task.count", "data.time"}, key


@every_document
def test_every_configuration_is_accepted(file: Path) -> None:
    for block in blocks(file, "toml"):
        table = tomllib.loads(block)
        if "project" in table:
            continue
        if "split" in table:
            table = {"data": table}
        if "draws" not in table.setdefault("data", {}):
            table["data"].setdefault("train", "train.jsonl")
        if table.get("regularizers", [{}])[0].get("kind") != "confidence_penalty":
            parsed(table, folder=file.parent)


@every_document
def test_every_row_of_data_is_read(file: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(file, "json")):
        row = json.loads(block)
        data = tmp_path / f"{number}.jsonl"
        data.write_text(f"{json.dumps(row)}\n" * 3, encoding="utf-8")
        given = {"task": "token_classification"} if "entities" in row else {}
        given |= {"task": "retrieval"} if "article" in row else {}
        finding = detect(data, given=given)
        assert all(
            isinstance(example, Example) and (example.gold or example.pair) for example in read(data, finding.format)
        )


@every_document
def test_code_parses_and_links_lead_somewhere(file: Path) -> None:
    for block in blocks(file, "python"):
        ast.parse(block)
    text = file.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http:", "https:")):
            assert (file.parent / target).exists(), target
    named = re.findall(r"`((?:src|docs|tests|examples|samples|recipes|scripts|benchmarks)/[\w./-]+)`", text)
    assert all((ROOT / path).exists() for path in named if "NAME" not in path and "confidence_penalty" not in path), (
        named
    )


def test_decisions_fit_on_forty_lines() -> None:
    for file in (ROOT / "docs" / "decisions").glob("0*.md"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 40, file.name
