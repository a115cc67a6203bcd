"""Read off the code: which refusals there are, what each says, and what it tells to do."""

import ast
import importlib
import itertools
import re
from collections.abc import Iterator

from tunesmith.core import errors

CODE = re.compile(r"TS-[A-Z]+-\d{3}")
EXITS = {
    kind.__name__: str(kind.exit_code)
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.TunesmithError)
}


def codes_in(tree: ast.Module) -> Iterator[tuple[str, str, str, str]]:
    """(code, exit code, message, fix) of every code in a file, read off the smallest expression that holds them."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value)):
            continue
        holder = parents[node]
        while not isinstance(holder, ast.Call | ast.Tuple | ast.stmt):
            holder = parents[holder]
        around = holder
        while not isinstance(around, ast.FunctionDef | ast.Module):
            around = parents[around]
        called = holder.func.id if isinstance(holder, ast.Call) and isinstance(holder.func, ast.Name) else ""
        helper = functions.get(called)
        exits = EXITS.get(called) or _exit_of(helper) or _exit_of(around)
        if not exits and node.value.startswith(("TS-DATA", "TS-TASK")):
            exits = str(errors.DataError.exit_code)
        choice = parents[node]
        branch = choice.orelse is node if isinstance(choice, ast.IfExp) else None
        message = _message_in(holder)
        said = _handed_over(message, around, tree) or _texts(message, around, tree, branch)
        scope = next((place for place in (holder, helper, around) if _fixes_in(place)), None)
        fixes = _fixes_in(scope)
        told = _texts(fixes[0], around if scope is holder else scope, tree, branch) if len(fixes) == 1 else [""]
        yield from ((node.value, exits, text, fix) for text, fix in itertools.product(said, told))


def _exit_of(tree: ast.AST | None) -> str:
    """The exit code of the error that a function names, if it names one kind."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} if tree else set()
    kinds = names & (EXITS.keys() - {"TunesmithError"})
    return EXITS[kinds.pop()] if len(kinds) == 1 else ""


def _message_in(holder: ast.AST) -> ast.expr | None:
    """The message that stands beside a code."""
    parts = holder.args if isinstance(holder, ast.Call) else holder.elts if isinstance(holder, ast.Tuple) else []
    said = (part for part in parts if (text := _shown(part, None, None)) and not CODE.fullmatch(text))
    # A helper may take its file first, which is no message: by the convention of this package it is called `path`.
    named = (part for part in parts if isinstance(part, ast.Name | ast.Attribute) and ast.unparse(part) != "path")
    return next(itertools.chain(said, named), None)


def _fixes_in(tree: ast.AST | None) -> list[ast.expr]:
    """The remedies that an expression or a function gives."""
    everything = ast.walk(tree) if isinstance(tree, ast.FunctionDef | ast.ClassDef) else [tree]
    calls = (node for node in everything if isinstance(node, ast.Call))
    return [word.value for call in calls for word in call.keywords if word.arg == "fix"]


def _texts(
    part: ast.expr | None, scope: ast.AST | None, tree: ast.Module | None, branch: bool | None = None
) -> list[str]:
    """What an expression can say: of a choice the side that `branch` names, or both; of a name what it was set to."""
    match part:
        case None:
            return [""]
        case ast.IfExp():
            sides = [part.body, part.orelse] if branch is None else [part.orelse if branch else part.body]
            return [text for side in sides for text in _texts(side, scope, tree)]
        case ast.BinOp(op=ast.Add()):
            halves = (_texts(part.left, scope, tree), _texts(part.right, scope, tree))
            return ["".join(pair) for pair in itertools.product(*halves)]
        case ast.Name() if values := _assigned(part.id, scope, tree):
            return [text for value in values for text in _texts(value, None, None)]
        case ast.Constant() | ast.JoinedStr():
            return [_shown(part, scope, tree)]
        case _:
            return [f"`{{{ast.unparse(part)}}}`"]


def _assigned(name: str, scope: ast.AST | None, tree: ast.Module | None) -> list[ast.expr]:
    """The values that a name is given: in a function, as a default, at the top of the file, or at its source."""
    if tree is None:
        return []
    for inside in (ast.walk(scope) if isinstance(scope, ast.FunctionDef) else [], tree.body):
        values = []
        for node in inside:
            match node:
                case ast.Assign(targets=[ast.Name(id=own)], value=value) if own == name:
                    values.append(value)
                case ast.AnnAssign(target=ast.Name(id=own), value=ast.expr() as value) if own == name:
                    values.append(value)
                case ast.arguments(kwonlyargs=words, kw_defaults=defaults):
                    values += [value for word, value in zip(words, defaults, strict=True) if value and word.arg == name]
                case ast.ImportFrom(module=str(module), names=names) if module.startswith("tunesmith"):
                    found = getattr(importlib.import_module(module), name, None)
                    values += [ast.Constant(found) for own in names if own.name == name and isinstance(found, str)]
        if values:
            top = [_assigned(value.id, None, tree) if isinstance(value, ast.Name) else [value] for value in values]
            return list(itertools.chain.from_iterable(top))
    return []


def _handed_over(name: ast.expr | None, function: ast.AST, tree: ast.Module) -> list[str]:
    """The texts that calls of a function give for one of its parameters."""
    places = [argument.arg for argument in function.args.args] if isinstance(function, ast.FunctionDef) else []
    if not isinstance(name, ast.Name) or name.id not in places:
        return []
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    given = (call.args[places.index(name.id)] for call in calls if call.func.id == function.name)
    return [text for part in given for text in _texts(part, None, tree)]


def _shown(part: ast.expr, scope: ast.AST | None, tree: ast.Module | None) -> str:
    """A text of the code, with what is filled in as `{...}`; of a choice its first side."""
    match part:
        case ast.IfExp():
            return _shown(part.body, scope, tree)
        case ast.JoinedStr():
            return "".join(_shown(piece, scope, tree) for piece in part.values).replace("``", "")
        case ast.FormattedValue(value=ast.Name(id=name)) if len(found := _assigned(name, scope, tree)) == 1:
            return _texts(found[0], None, None)[0]
        case ast.FormattedValue():
            return f"`{{{ast.unparse(part.value)}}}`"
        case ast.Constant(value=str(text)):
            return text
        case _:
            return ""
