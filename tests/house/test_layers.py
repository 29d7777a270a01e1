"""What may import what, beyond the layers that import-linter holds: core and agent know the standard library only."""

from __future__ import annotations

import ast
import sys


def imports(file):
    """The modules that a file imports, "." for relative ones, with their lines."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield ("." if node.level else node.module or "", node.lineno)


def foreign(files, allowed):
    return [
        f"{file.name}:{line}: {module}"
        for file in files
        for module, line in imports(file)
        if not (module.split(".")[0] in sys.stdlib_module_names or module.startswith(allowed))
    ]


def test_the_agent_imports_the_standard_library_and_itself(repository):
    offences = foreign(repository.under("reconciler/agent"), (".", "reconciler.agent"))
    assert not offences, "\n".join(offences)


def test_the_core_imports_the_standard_library_and_itself(repository):
    offences = foreign(repository.under("reconciler/core"), ("reconciler.core",))
    assert not offences, "\n".join(offences)


def test_nothing_of_ours_imports_the_agent(repository):
    ours = [file for file in repository.under("reconciler") if not file.name.startswith("reconciler/agent/")]

    offences = [file.name for file in ours for module, _ in imports(file) if module.startswith("reconciler.agent")]
    assert not offences, "\n".join(offences)


def test_only_the_clock_reads_time(repository):
    readers = [
        f"{file.name}:{line}"
        for file in repository.under("reconciler")
        if file.name != "reconciler/clock.py" and not file.name.startswith("reconciler/agent/")
        for module, line in imports(file)
        if module == "time"
    ]

    offences = readers
    assert not offences, "\n".join(offences)


def test_a_protocol_has_at_most_five_methods(repository):
    protocols = [
        (f"{file.name}:{node.lineno} {node.name}", node)
        for file in repository.under("reconciler")
        for node in ast.walk(file.tree)
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).split("[")[0] == "Protocol" for base in node.bases)
    ]
    methods = {
        place: sum(isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) for child in node.body)
        for place, node in protocols
    }

    offences = [f"{place}: {count} methods" for place, count in methods.items() if count > 5]
    assert not offences, "\n".join(offences)
