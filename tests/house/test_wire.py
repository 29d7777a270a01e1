"""The agent, which imports nothing of ours, speaks the shapes of core/wire.py: the same operations, fields, words."""

from __future__ import annotations

import ast
import dataclasses
import re

import pytest

from reconciler.core import model, wire

SHAPES = [model.HostIdentity, wire.AttemptSpec, wire.Claim, wire.ExitRecord, wire.Found, wire.Hello, wire.Probe]
ENUMERATIONS = [wire.CancelOutcome, wire.ClaimKind, wire.Ended, wire.Lock, wire.StartOutcome]
OPERATIONS = re.findall(r"^    (\w+) +\{", wire.__doc__ or "", re.MULTILINE)


@pytest.fixture(scope="module")
def spoken(repository):
    """Every word that the agent's code could put into a message, or look for in one."""
    words = set()
    for file in repository.under("reconciler/agent"):
        for node in ast.walk(file.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
            elif isinstance(node, ast.keyword | ast.arg):
                words.add(node.arg)
    return words


def unspoken(words, spoken):
    """The words that the agent does not know; none while there is no agent."""
    return [word for word in words if spoken and word not in spoken]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_the_agent_knows_each_field(shape, spoken):
    assert unspoken([field.name for field in dataclasses.fields(shape)], spoken) == []


@pytest.mark.parametrize("enumeration", ENUMERATIONS, ids=lambda enumeration: enumeration.__name__)
def test_the_agent_knows_each_word(enumeration, spoken):
    assert unspoken([member.value for member in enumeration], spoken) == []


def test_the_agent_answers_each_operation(spoken):
    assert len(OPERATIONS) == 8
    assert unspoken(OPERATIONS, spoken) == []
