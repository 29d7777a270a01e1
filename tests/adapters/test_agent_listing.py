"""What the agent reads in a listing of Slurm: who is there, one by one or in the row of all that have not begun."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.agent import batch
from reconciler.agent.command import command_of, pattern_of
from reconciler.agent.place import Root
from reconciler.agent.scheduled import look_at
from reconciler.core.model import Eid
from reconciler.core.wire_commands import Command, command_to_json
from reconciler.dialects.slurm import SlurmDialect

EIDS = [f"gaaaa{letter * 10}" for letter in "abcdefgh"]
BEID = "b" + "a" * 14


def command(*argv: str) -> Any:
    return command_of(command_to_json(Command(argv=argv)))


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """One batch of eight, none of which has claimed anything."""
    root = Root(str(tmp_path / "root"), "aaaa")
    root.win_epoch("d", 0, [])
    for eid in EIDS:
        Path(root.attempt(eid)).mkdir(parents=True)
    (tmp_path / "root/batches").mkdir()
    batch.write(root, batch.Batch(BEID, f"s.{BEID}", "aaaa", 1, time.time(), EIDS))
    return root


@pytest.mark.parametrize(
    ("rows", "asked"),
    [
        (["1_[0-7]|1|0-7|PENDING|Priority"], False),
        (["1_[0-7%2]|1|0-7%2|PENDING|Priority"], False),
        (["1_[1,3-7]|1|1,3-7|PENDING|Priority", "1_0|2|0|RUNNING|None", "1_2|3|2|RUNNING|None"], False),
        (["1_[1-7:2]|1|1-7:2|PENDING|None", "1_[0-6:2]|1|0-6:2|PENDING|None"], False),
        (["1_[1-7]|1|1-7|PENDING|Priority"], True),
        (["1_[0-5,7]|1|0-5,7|PENDING|Priority"], True),
        (["1|1|N/A|PENDING|Priority"], True),
        ([], True),
    ],
)
def test_the_scheduler_is_asked_a_second_time_only_about_those_that_it_does_not_list(
    root: Root, rows: list[str], *, asked: bool
) -> None:
    body: Any = SlurmDialect.of(options={}).inspect([Eid(eid) for eid in EIDS]).request.body
    listing = command("printf", "%s\\n", *(f"{row}|s.{BEID}" for row in rows))

    told: Any = look_at(root, EIDS, listing, pattern_of(body["row"]), [], command("echo", "{names}"))

    assert asked == (told["unstarted"] is not None)
    assert told["unstarted"] is None or f"s.{BEID}\n" == told["unstarted"]["out"]
