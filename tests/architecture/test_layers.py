"""Imports point down, without circles, not sideways; only the command line imports late."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "tunesmith"
LEVELS = {
    "core": 0, "web": 0,
    "models": 1, "prepare": 1,
    "tasks": 2, "methods": 2,
    "tune": 3, "judge": 3,
    "bundle": 4,
    "run": 5, "serve": 5,
    "cli": 7,
}  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))


def module(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path) -> list[tuple[str, bool, int]]:
    """(imported module of ours, whether inside a function, line)."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module else []
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found += [(name, id(node) in inside, node.lineno) for name in names if name.startswith("tunesmith")]
    return found


def room(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LEVELS else None


def test_every_folder_has_a_level() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= LEVELS.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_down(file: Path) -> None:
    own = room(module(file))
    if own is None:
        return
    for name, _, line in imports(file):
        other = room(name)
        if other is None or other == own:
            continue
        assert LEVELS[other] < LEVELS[own], f"{file.name}:{line} {own} imports {other}, which is not below it"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_command_line_imports_its_own_rooms_late(file: Path) -> None:
    if room(module(file)) in ("cli", None):
        return
    late = [f"{file.name}:{line} {name}" for name, inside, line in imports(file) if inside]
    assert not late


def test_there_is_no_circle() -> None:
    modules = {module(file) for file in FILES}
    graph = {}
    for file in FILES:
        targets = set()
        for name, _, _ in imports(file):
            target = name if name in modules else name.rpartition(".")[0]
            targets |= {target} & modules
        graph[module(file)] = targets - {module(file)}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' -> '.join((*path[path.index(name) :], name))}"
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*path, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


@pytest.mark.parametrize("file", [f for f in FILES if f.name == "__init__.py"], ids=lambda f: f.parent.name)
def test_package_files_hold_a_purpose_and_no_imports(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{file} does not say what the room is for"
    if file.parent == PACKAGE:
        return
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 10
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
