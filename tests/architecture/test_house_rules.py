"""Rules that keep every file readable: no drawers, no probing, no kwargs, documented names, one idea a file."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "tunesmith"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def public(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")


@each_file
def test_a_file_is_one_idea(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 300, "split it: more than 300 lines"
    assert file.stem not in {"utils", "helpers", "common", "misc", "tools"}, "a drawer: name the noun that is missing"


@each_file
def test_public_names_are_documented(file: Path) -> None:
    tree = parsed(file)
    assert ast.get_docstring(tree), "say what the file is"
    for node in tree.body:
        if public(node):
            assert ast.get_docstring(node), f"{node.name} is not documented"
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            silent = [item.name for item in node.body if public(item) and not ast.get_docstring(item)]
            overridden = {"forward", "backward", "wrap", "trains", "learning_rate", "term", "count", "sniff", "read"}
            assert not [name for name in silent if name not in overridden], f"{node.name}: {silent} not documented"


@each_file
def test_objects_are_not_probed(file: Path) -> None:
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"hasattr", "eval", "exec", "print"}, f"line {node.lineno}: {node.func.id}"


@each_file
def test_signatures_are_explicit(file: Path) -> None:
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.args.kwarg is None, f"{node.name} takes **{node.args.kwarg.arg}" if node.args.kwarg else ""


@each_file
def test_nothing_unpickles_or_runs_remote_code(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for word in ("import pickle", "torch.load(", "import joblib", "trust_remote_code=True", "yaml.load("):
        assert word not in text, word
