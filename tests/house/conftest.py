"""What the house tests look at: every file of the repository, read once."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TEXT_SUFFIXES = {".py", ".md", ".yaml", ".yml", ".toml", ".json", ".jsonl", ".txt", ".csv", ".service", ".sh", ".cfg"}
MADE_BY_TOOLS = {"build", "dist", "__pycache__"}


@dataclass(frozen=True)
class File:
    """A text file of the repository; `name` is its path from the root."""

    name: str
    text: str = field(repr=False)

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.name)

    def keys(self, readers: Set[str]) -> set[str]:
        """The keys of JSON that it writes, or reads with functions of these names."""
        found: set[object] = set()
        for node in ast.walk(self.tree):
            match node:
                case ast.Dict(keys=written):
                    found |= {key.value for key in written if isinstance(key, ast.Constant)}
                case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=key), *_]):
                    found.add(key)
                case ast.Call(func=ast.Name(id=name), args=[_, ast.Constant(value=key)]) if name in readers:
                    found.add(key)
        return {str(key) for key in found}

    def functions(self) -> Iterator[tuple[str, int]]:
        """Each function's place and its length in lines, docstring included."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{self.name}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


@dataclass(frozen=True)
class Repository:
    """All text files, and the Python ones among them."""

    files: tuple[File, ...] = field(repr=False)

    @cached_property
    def python(self) -> tuple[File, ...]:
        return tuple(file for file in self.files if file.name.endswith(".py"))

    def under(self, folder: str) -> tuple[File, ...]:
        """The Python files in a folder and below."""
        return tuple(file for file in self.python if file.name.startswith(folder + "/"))

    def find(self, name: str) -> File | None:
        return next((file for file in self.files if file.name == name), None)


def _paths(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name != ".ci"
        if hidden or path.name in MADE_BY_TOOLS or path.is_symlink():
            continue
        if path.is_dir():
            yield from _paths(path)
        elif path.suffix in TEXT_SUFFIXES or path.name == "Makefile" or path.parent.name == ".ci":
            yield path


def _read() -> Repository:
    return Repository(
        tuple(File(str(path.relative_to(ROOT)), path.read_text(errors="replace")) for path in _paths(ROOT))
    )


@pytest.fixture(scope="session")
def repository() -> Repository:
    return _read()


@pytest.fixture(scope="session")
def spoken(repository: Repository) -> set[str]:
    """Every word that the agent's code could put into a message, or look for in one."""
    nodes = [node for file in repository.under("reconciler/agent") for node in ast.walk(file.tree)]
    words = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return words | {node.arg for node in nodes if isinstance(node, ast.keyword | ast.arg) and node.arg is not None}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how large things are, so that a drift is seen long before a limit is met."""
    code = _read().under("reconciler")
    files = [len(file.lines) for file in code if file.lines]
    functions = sorted(length for file in code for _, length in file.functions())
    if functions:
        terminalreporter.write_line(
            f"house: {len(files)} modules, median {statistics.median(files):.0f} lines, longest {max(files)}; "
            f"{len(functions)} functions, median {statistics.median(functions):.0f} lines, "
            f"95 % within {functions[len(functions) * 95 // 100]}, longest {functions[-1]}"
        )
