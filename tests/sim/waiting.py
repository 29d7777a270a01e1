"""Makes the agent's code that waits into generators, so that one thread runs as many processes as there are.

Nothing is rewritten by hand: in the functions named here each call of a function that waits becomes a `yield from` of
it, and the waits themselves (`select`, `sigtimedwait`, reading orders …) are generators of `calls`.
"""

from __future__ import annotations

import ast
from types import CodeType

WAITING: dict[str, frozenset[str]] = {
    "main": frozenset({"main", "run", "select"}),
    "shim": frozenset(
        {"run", "_serve", "live", "_execute", "_ring", "supervise", "write_piece", "sigtimedwait", "read"}
    ),
    "supervise": frozenset({"supervise", "_until_end", "_hear", "_clear", "sigwaitinfo", "sigtimedwait"}),
    "pipes": frozenset({"write_piece", "poll"}),
}
"""By module: its functions that wait, and what they call that waits."""


def compiled(name: str, source: str) -> CodeType:
    """The code of one of the agent's modules."""
    tree = ast.parse(source, f"agent/{name}.py")
    waiting = WAITING.get(name, frozenset())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in waiting:
            _Waits(waiting).generic_visit(node)
    return compile(ast.fix_missing_locations(tree), f"agent/{name}.py", "exec", dont_inherit=True)


class _Waits(ast.NodeTransformer):
    def __init__(self, waiting: frozenset[str]) -> None:
        self._waiting = waiting

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        waits = called in self._waiting and ast.unparse(node.func) != "select.poll"  # which only makes what waits
        return ast.copy_location(ast.YieldFrom(value=node), node) if waits else node
