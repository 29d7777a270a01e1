"""The agent speaks of folders in the words of core/wire_trees.py, as it does of attempts in those of core/wire.py."""

from __future__ import annotations

import ast
import re

import pytest

from reconciler.agent import folders
from reconciler.core import wire_trees
from reconciler.core.trees import What

READERS = {"_text", "_integer", "_list", "_bytes"}


@pytest.fixture(scope="module")
def spoken(repository):
    """Every word that the agent's code could put into a message, or look for in one."""
    nodes = [node for file in repository.under("reconciler/agent") for node in ast.walk(file.tree)]
    words = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return words | {node.arg for node in nodes if isinstance(node, ast.keyword | ast.arg)}


def test_the_operations_are_those_that_are_described():
    described = re.findall(r"^    (\w+) +\{", wire_trees.__doc__ or "", re.MULTILINE)

    assert list(folders.OPERATIONS) == described


def test_the_agent_knows_each_key_that_we_read_or_write(repository, spoken):
    keys = set()
    for node in ast.walk(repository.find("reconciler/core/wire_trees.py").tree):
        match node:
            case ast.Dict(keys=written):
                keys |= {key.value for key in written if isinstance(key, ast.Constant)}
            case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=key), *_]):
                keys.add(key)
            case ast.Call(func=ast.Name(id=name), args=[_, ast.Constant(value=key)]) if name in READERS:
                keys.add(key)

    assert {"changed", "seal", "left", "before"} <= keys
    assert [] == sorted(keys - spoken)


def test_the_agent_says_all_that_a_difference_may_be_but_for_untracked(spoken):
    assert [] == sorted({what.value for what in What if what is not What.UNTRACKED} - spoken)
