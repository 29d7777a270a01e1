"""The agent speaks of folders in the words of core/wire_trees.py, as it does of attempts in those of core/wire.py."""

from __future__ import annotations

import re

from reconciler.agent import folders
from reconciler.core import wire_trees
from reconciler.core.trees import What

READERS = {"_text", "_integer", "_list", "_bytes"}


def test_the_operations_are_those_that_are_described():
    described = re.findall(r"^    (\w+) +\{", wire_trees.__doc__ or "", re.MULTILINE)

    assert list(folders.OPERATIONS) == described


def test_the_agent_knows_each_key_that_we_read_or_write(repository, spoken):
    keys = repository.find("reconciler/core/wire_trees.py").keys(READERS)

    assert {"changed", "seal", "left", "before"} <= keys
    assert [] == sorted(keys - spoken)


def test_the_agent_says_all_that_a_difference_may_be_but_for_untracked(spoken):
    assert [] == sorted({what.value for what in What if what is not What.UNTRACKED} - spoken)
