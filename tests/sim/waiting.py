"""Makes the agent's code that waits into generators, so that one thread runs as many processes as there are.

Nothing is rewritten by hand: in the functions named here each call of a function that waits becomes a `yield from` of
it, and the waits themselves (`select`, `sigtimedwait`, reading orders …) are generators of `waits`. Between any two of
their statements a process may also be stopped for a while, or lose its turn (`waits.preempted`): that is where another
agent, another shim or a kill comes in.
"""

from __future__ import annotations

import ast
from types import CodeType

WAITING: dict[str, frozenset[str]] = {
    "main": frozenset({"main", "run", "select", "data", "_work", "pump", "_requests", "_answer", "operation"})
    | {"_start", "start", "_cancel", "cancel", "_revoke", "revoke", "_acknowledge", "acknowledge"},
    "desk": frozenset(
        {"pump", "_assign", "start", "_start", "cancel", "_cancel", "revoke", "_revoke", "acknowledge", "win"}
    ),
    "shim": frozenset(
        {"run", "_serve", "live", "_prepare", "_stage", "_execute", "_publish", "_release", "_ring", "win"}
    )
    | {"supervise", "write_piece", "sigtimedwait", "read"},
    "supervise": frozenset({"supervise", "_until_end", "_hear", "_clear", "sigwaitinfo", "sigtimedwait"}),
    "pipes": frozenset({"write_piece", "poll"}),
    "place_stepwise": frozenset({"win"}),
}
"""By module: its functions that wait, and what they call that may wait."""

STEPWISE = {"place_stepwise": "place"}
"""Modules that are there twice: for constructors as they are, for those who may be stopped in between as generators."""
BORROWED = {("desk", "place"): "place_stepwise", ("shim", "place"): "place_stepwise"}
"""Who imports which: importer and name → where `win` comes from."""


def compiled(name: str, source: str) -> CodeType:
    """The code of one of the agent's modules."""
    tree = ast.parse(source, f"agent/{name}.py")
    waiting = WAITING.get(name, frozenset())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in waiting:
            _Waits(waiting).generic_visit(node)
            node.body = _preemptible(node.body)
    return compile(ast.fix_missing_locations(tree), f"agent/{name}.py", "exec", dont_inherit=True)


def _preemptible(body: list[ast.stmt]) -> list[ast.stmt]:
    """With a place to be stopped before each statement."""
    found: list[ast.stmt] = []
    for statement in body:
        for field in ("body", "orelse", "finalbody"):
            if isinstance(getattr(statement, field, None), list) and not isinstance(statement, ast.FunctionDef):
                setattr(statement, field, _preemptible(getattr(statement, field)))
        if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
            found += ast.parse("if _preempted(): yield 0.0").body
        found.append(statement)
    return found


class _Waits(ast.NodeTransformer):
    def __init__(self, waiting: frozenset[str]) -> None:
        self._waiting = waiting

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called not in self._waiting:
            return node
        awaited = ast.Call(func=ast.Name(id="_awaited", ctx=ast.Load()), args=[node], keywords=[])
        return ast.copy_location(ast.YieldFrom(value=awaited), node)
