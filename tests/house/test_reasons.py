"""Each reason that the code gives is documented, and each documented one is given somewhere.

A reason is a CamelCase word that is passed as `reason` (by name, or by position to whatever has such a parameter:
errors, records, functions), stored under that name, or a member of the enumerations whose members are reasons.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator

import pytest

CAMEL_CASE = re.compile(r"[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*")
ENUMERATIONS = {"Reason", "FailureClass"}


@pytest.fixture(scope="module")
def code(repository):
    return repository.under("reconciler")


@pytest.fixture(scope="module")
def documented(code):
    """The table REASONS of the core; None while there is none."""
    for file in code:
        for node in file.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == "REASONS" for target in targets):
                module = importlib.import_module(file.name.removesuffix(".py").replace("/", "."))
                return {str(reason): text for reason, text in module.REASONS.items()}
    return None


def test_each_reason_is_documented(code, documented):
    if documented is None:
        return
    positions = reason_positions(code)
    given = {reason: place for file in code for reason, place in reasons_given(file, positions)}

    missing = [f"{place}: {reason}" for reason, place in sorted(given.items()) if reason not in documented]
    assert not missing, "not in REASONS:\n" + "\n".join(missing)


def test_each_documented_reason_is_given_somewhere(code, documented):
    words = {word for file in code for word in literals_outside_the_table(file)}

    unknown = [reason for reason in documented or {} if reason not in words]
    assert not unknown, "documented, but nothing gives them:\n" + "\n".join(unknown)


def test_each_reason_has_a_meaning(documented):
    empty = [reason for reason, entry in (documented or {}).items() if len(entry.meaning.split()) < 3]
    assert not empty, "\n".join(empty)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("Hold(reason='TooHot', message='x')", "TooHot"),
        ("Hold(reason='TooHot' if hot else 'TooCold', message='x')", "TooCold"),
        ("class Wrong(ReconcilerError): ...\nraise Wrong('TooHot', 'x')", "TooHot"),
        ("class Wrong(NamedTuple):\n    at: int\n    reason: str\nWrong(1, 'TooHot')", "TooHot"),
        ("def stop(task, reason): ...\nstop(1, 'TooHot')", "TooHot"),
        ("HOT = 'TooHot'\nHold(reason=HOT)", "TooHot"),
        ("reason = 'TooHot'", "TooHot"),
        ("{'reason': 'TooHot'}", "TooHot"),
        ("class Reason(StrEnum):\n    HOT = 'TooHot'", "TooHot"),
    ],
)
def test_a_reason_is_found_however_it_is_given(repository, code, reason):
    file = type(repository.files[0])("example.py", code)
    positions = reason_positions((*repository.under("reconciler/core"), file))

    assert reason in {word for word, _ in reasons_given(file, positions)}


# ------------------------------------------------------------------------------------------------ how they are found


def reasons_given(file, positions: dict[str, int]) -> Iterator[tuple[str, str]]:
    """The reasons that a file gives, each with its place."""
    constants = _constants(file)
    for node in ast.walk(file.tree):
        for value in _reason_values(node, positions):
            for word in _words(value, constants):
                yield word, f"{file.name}:{node.lineno}"


def _reason_values(node: ast.AST, positions: dict[str, int]) -> Iterator[ast.expr]:
    """The expressions in a node that stand where a reason stands."""
    match node:
        case ast.Call(func=function, args=arguments, keywords=keywords):
            yield from (keyword.value for keyword in keywords if keyword.arg == "reason")
            position = positions.get(ast.unparse(function).split(".")[-1], len(arguments))
            yield from arguments[position : position + 1]
        case ast.Dict(keys=keys, values=values):
            yield from (value for key, value in zip(keys, values, strict=True) if _is(key, "reason"))
        case ast.Assign(targets=targets, value=value) if any(_named(target) == "reason" for target in targets):
            yield value
        case ast.AnnAssign(target=target, value=ast.expr() as value) if _named(target) == "reason":
            yield value
        case ast.ClassDef(name=name, body=body) if name in ENUMERATIONS:
            yield from (child.value for child in body if isinstance(child, ast.Assign))


def reason_positions(code) -> dict[str, int]:
    """Where `reason` stands among the positional arguments of what the code defines, by name."""
    classes = [node for file in code for node in ast.walk(file.tree) if isinstance(node, ast.ClassDef)]
    functions = [
        node
        for file in code
        for node in ast.walk(file.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    positions = {}
    for node in functions:
        names = [
            argument.arg for argument in node.args.posonlyargs + node.args.args if argument.arg not in ("self", "cls")
        ]
        if "reason" in names and node.name != "__init__":
            positions[node.name] = names.index("reason")
    for node in classes:
        names = _class_parameters(node)
        if "reason" in names:
            positions[node.name] = names.index("reason")
    inherit = True
    while inherit:  # until no class learns it from its base any more
        heirs = {
            node.name: positions[base] for node in classes for base in map(_named, node.bases) if base in positions
        }
        inherit = not heirs.keys() <= positions.keys()
        positions = heirs | positions
    return positions


def _class_parameters(node: ast.ClassDef) -> list[str]:
    """The names of a class's positional arguments: of its __init__, else its fields."""
    for child in node.body:
        if isinstance(child, ast.FunctionDef) and child.name == "__init__":
            return [argument.arg for argument in child.args.args[1:]]
    if any("kw_only=True" in ast.unparse(decorator) for decorator in node.decorator_list):
        return []
    return [_named(child.target) for child in node.body if isinstance(child, ast.AnnAssign)]


def _constants(file) -> dict[str, ast.expr]:
    """The module's own constants, by name."""
    return {_named(node.targets[0]): node.value for node in file.tree.body if isinstance(node, ast.Assign)}


def _words(value: ast.expr, constants: dict[str, ast.expr]) -> Iterator[str]:
    """The CamelCase words that an expression may be."""
    match value:
        case ast.Constant(value=str(word)) if CAMEL_CASE.fullmatch(word):
            yield word
        case ast.IfExp(body=one, orelse=other):
            yield from _words(one, constants)
            yield from _words(other, constants)
        case ast.BoolOp(values=values):
            for each in values:
                yield from _words(each, constants)
        case ast.Name(id=name) if name in constants:
            yield from _words(constants[name], {})


def literals_outside_the_table(file) -> Iterator[str]:
    for node in file.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not any(isinstance(target, ast.Name) and target.id == "REASONS" for target in targets):
            yield from (
                child.value
                for child in ast.walk(node)
                if isinstance(child, ast.Constant) and isinstance(child.value, str)
            )


def _named(node: ast.AST | None) -> str:
    """The last name of `a`, `x.a`; "" of anything else."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is(node: ast.expr | None, word: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == word
