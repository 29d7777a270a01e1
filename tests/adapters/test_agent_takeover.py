"""What an agent does first in a root that holds much: it looks at all of it, a little at a time, and starts nothing."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from reconciler.agent.desk import Desk
from reconciler.agent.place import Root
from reconciler.agent.shapes import Order, Spec
from reconciler.agent.takeover import Takeover
from reconciler.dialects.process import ProcessDialect
from reconciler.links import local
from tests.conformance.conftest import Site


def eid_of(number: int) -> str:
    return "gaaaa" + "".join("abcdefghij"[int(digit)] for digit in f"{number:010d}")


def lay(folder: Path, *numbers: int, ended: bool = False) -> None:
    for number in numbers:
        eid = eid_of(number)
        (folder / eid[-2:] / eid).mkdir(parents=True)
        if ended:
            (folder / eid[-2:] / eid / "exit.json").touch()


def taken(takeover: Takeover, seconds: float) -> tuple[set[str], int]:
    """All that it gives away, and how many times it had to be asked."""
    found: set[str] = set()
    for asked in range(1, 1000):
        if takeover.go_on(found.add, seconds):
            return found, asked
    raise AssertionError("it is never over")


@pytest.mark.parametrize(("seconds", "several"), [(60.0, False), (0.0, True)])
def test_all_without_a_record_are_taken_over_in_one_go_or_in_many(
    tmp_path: Path, seconds: float, several: bool
) -> None:
    lay(tmp_path, 1, 2, 30)
    lay(tmp_path, 4, 50, ended=True)
    (tmp_path / "aa" / ".nfs0001").mkdir(parents=True)

    found, asked = taken(Takeover(str(tmp_path)), seconds)

    assert ({eid_of(1), eid_of(2), eid_of(30)}, several) == (found, asked > 1)


def test_nothing_lies_there_and_it_is_over(tmp_path: Path) -> None:
    assert (set(), 1) == taken(Takeover(str(tmp_path)), 0.0)


def test_a_root_that_cannot_be_listed_is_not_ruled(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Takeover(str(tmp_path / "none"))


def test_nothing_starts_before_all_that_runs_has_its_seat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Root(str(tmp_path / "root"), "aaaa")
    root.win_epoch("d", 0, [])
    lay(tmp_path / "root" / "attempts", 1, 2)
    spec = Spec(eid_of(7), "s", "t", 1, ["true"], {}, [], {}, None, "c", None, 0, "d", 1.0, {})
    os.makedirs(root.attempt(spec.eid))
    started: list[Order] = []
    desk = Desk(root, 1, [])
    monkeypatch.setattr(desk, "_assign", started.append)
    desk.pool.add(spec)

    desk.take_over(0.0)
    desk.go_on(0.0)
    too_early = (desk.pump(), len(started))
    desk.go_on(60.0)
    in_time = (desk.pump(), len(started))

    assert ((True, 0), (True, 1)) == (too_early, in_time)


async def test_an_agent_looks_on_at_what_lies_there_after_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    text = local.agent_text()
    hasty = text.replace(b"FIRST_S = 1.0", b"FIRST_S = 0.0")
    monkeypatch.setattr(local, "agent_text", lambda: hasty)
    folder = Path(tempfile.mkdtemp(prefix="s-"))
    site = Site(folder, local.LocalLink(python=sys.executable), ProcessDialect())
    lay(folder / "root" / "attempts", 1, 2, 30)

    ended = await (await site.open()).run("/bin/true")
    await site.aclose()
    shutil.rmtree(folder, ignore_errors=True)

    assert hasty != text
    assert ended.exit is not None
    assert 0 == ended.exit.exit_code
