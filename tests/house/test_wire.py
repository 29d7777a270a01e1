"""The agent, which imports nothing of ours, speaks the shapes of core/wire*.py: the same operations, keys, words."""

from __future__ import annotations

import re

import pytest

from reconciler.core import wire

ENUMERATIONS = [wire.CancelOutcome, wire.ClaimKind, wire.Ended, wire.Lock, wire.RevokeOutcome, wire.StartOutcome]
READERS = {"_text", "_texts", "_integer", "_number", "_flag"}
OPERATIONS = re.findall(r"^    (\w+) +\{", wire.__doc__ or "", re.MULTILINE)


def unspoken(words, spoken):
    """The words that the agent does not know; none while there is no agent."""
    return [word for word in words if spoken and word not in spoken]


def test_the_agent_knows_each_key_that_we_read_or_write(repository, spoken):
    keys = repository.find("reconciler/core/wire_json.py").keys(READERS)

    assert {"eid", "argv", "machine", "exit_code", "memory_mib"} <= keys
    assert unspoken(sorted(keys), spoken) == []


@pytest.mark.parametrize("enumeration", ENUMERATIONS, ids=lambda enumeration: enumeration.__name__)
def test_the_agent_knows_each_word(enumeration, spoken):
    assert unspoken([member.value for member in enumeration], spoken) == []


def test_the_agent_answers_each_operation(spoken):
    assert len(OPERATIONS) == 23
    assert unspoken(OPERATIONS, spoken) == []
