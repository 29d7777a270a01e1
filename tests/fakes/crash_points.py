"""Every named crash point of the source, read from the source itself: whoever adds one adds it to every list.

A name stands in a call of `crashpoint("part.step")`; or it is made of a label, as in
`crashpoint(f"store.{label}.begun")`, and then there is one for each label with which that function is called:
`transaction("intend")`, `win(…, "claim")`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CODE = Path(__file__).parent.parent.parent / "reconciler"
POINT = "crashpoint"
LABELLED = {"transaction": "transaction", "soft_transaction": "transaction", "win": "win"}  # a call, whose points

# Only a scheduler's sources pass these: the simulator does, tests/adapters/test_agent_scheduled.py kills agents there,
# and no daemon on a source of this machine comes to them.
SCHEDULERS_OWN = ("apply.revoked", "store.sent.", "store.unsent.", "batch.", "submit.", "listing.", "withdraw.")

# No daemon passes these, but the agent of somebody who pushes code: tests/adapters/test_push.py kills it there.
PUSHERS_OWN = ("push.",)

# Only code that comes to another machine, is linked, was changed there or is not needed any more passes these:
# tests/adapters/test_project_crashes.py kills both ends there.
CODE_OWN = (
    "transfer.", "bundle.", "objects.", "code.", "worktree.withdrawn", "worktree.linked", "worktree.removed"
)  # fmt: skip


@dataclass(frozen=True, order=True)
class Point:
    """One point, and where its name or its label stands."""

    name: str
    place: str


def points(files: Iterable[tuple[str, ast.Module]]) -> list[Point]:
    """All points of these files, by name. A name that stands in two places is there twice."""
    trees = list(files)
    calls = [(name, call) for name, tree in trees for call in _calls(tree)]
    found = [
        Point(_text(call), f"{name}:{call.lineno}") for name, call in calls if _callee(call) == POINT and _text(call)
    ]
    patterns = {function: list(_patterns(tree, function)) for _, tree in trees for function in _makers(tree)}
    for name, call in calls:
        label = _label(call)
        if label is not None:
            for pattern in patterns[LABELLED[_callee(call)]]:
                found.append(Point(pattern.replace("*", label), f"{name}:{call.lineno}"))
    return sorted(found)


def of_the_source() -> list[Point]:
    """All points of the package, as it lies beside the tests."""
    paths = sorted(CODE.rglob("*.py"))
    return points((str(path.relative_to(CODE.parent)), ast.parse(path.read_text())) for path in paths)


def killable() -> list[str]:
    """The points at which a real daemon on this machine can be killed."""
    return [
        point.name for point in of_the_source() if not point.name.startswith(SCHEDULERS_OWN + PUSHERS_OWN + CODE_OWN)
    ]


def unlabelled(tree: ast.Module) -> list[int]:
    """The lines of calls that have crash points and do not say in a word which they are."""
    handed_on = {id(call) for maker in _functions(tree) if maker.name in LABELLED for call in _calls(maker)}
    wanting = [call for call in _calls(tree) if _callee(call) in LABELLED and id(call) not in handed_on]
    return [call.lineno for call in wanting if _label(call) is None]


def without_point(tree: ast.Module, steps: frozenset[str]) -> list[str]:
    """Calls of `steps` ("rename", "win") in functions that pass no point: `line what`."""
    return [
        f"{call.lineno} {ast.unparse(call.func)}"
        for function in _functions(tree)
        for call in _calls(function)
        if _callee(call) in steps and not _passes(function)
    ]


def _passes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(_callee(call) == POINT or _label(call) is not None for call in _calls(function))


def _makers(tree: ast.Module) -> Iterator[str]:
    return (function.name for function in _functions(tree) if function.name in LABELLED.values())


def _patterns(tree: ast.Module, name: str) -> Iterator[str]:
    """The names that a function makes of its label, each with a `*` in the label's place."""
    for function in _functions(tree):
        if function.name == name:
            yield from (_pattern(call.args[0]) for call in _calls(function) if _callee(call) == POINT)


def _pattern(made: ast.expr) -> str:
    match made:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=pieces):
            return "".join(_pattern(piece) for piece in pieces)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _pattern(left) + _pattern(right)
        case _:
            return "*"


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _callee(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _label(call: ast.Call) -> str | None:
    """The label of a labelled call: its last argument, a word."""
    if _callee(call) in LABELLED and call.args:
        match call.args[-1]:
            case ast.Constant(value=str(label)) if len(call.args) == (3 if _callee(call) == "win" else 1):
                return label
    return None


def _text(call: ast.Call) -> str:
    match call.args:
        case [ast.Constant(value=str(text))]:
            return text
        case _:
            return ""
