"""Whether the system has killed processes of a job for want of memory: as its control group tells, if it has one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.agent import memory

OLDER = ("4:memory:/slurm/job_1\n3:cpuset:/\n0::/\n", "memory/slurm/job_1", "memory.oom_control")
NEWER = ("0::/slurm/job_1\n", "slurm/job_1", "memory.events")
ALONE = f"{os.getpid()}\n"


def group(folder: Path, kind: tuple[str, str, str], members: str = ALONE, counter: str = "low 0\noom_kill 2\n") -> Path:
    """Makes such a system; returns its counter."""
    lines, path, name = kind
    (folder / "own").write_text(lines)
    (folder / path).mkdir(parents=True)
    (folder / path / "cgroup.procs").write_text(members)
    (folder / path / name).write_text(counter)
    return folder / path / name


def own(folder: Path) -> memory.Group | None:
    return memory.own(str(folder), str(folder / "own"))


@pytest.mark.parametrize("kind", [OLDER, NEWER], ids=["older", "newer"])
def test_what_was_killed_since_the_start_is_counted(tmp_path: Path, kind: tuple[str, str, str]) -> None:
    counter = group(tmp_path, kind)
    found = own(tmp_path)
    assert 0 == memory.killed_since(found)
    counter.write_text("oom_kill 5\n")
    assert 3 == memory.killed_since(found)


@pytest.mark.parametrize("members", ["1\n" + ALONE, "", ALONE + "99999999\n"], ids=["before", "none", "behind"])
def test_a_group_in_which_others_are_tells_nothing_of_us(tmp_path: Path, members: str) -> None:
    group(tmp_path, NEWER, members)
    assert own(tmp_path) is None


@pytest.mark.parametrize("counter", ["", "oom_kill\n", "oom_kill many\n", "oom 3\n"])
def test_a_group_without_a_counter_tells_nothing(tmp_path: Path, counter: str) -> None:
    group(tmp_path, OLDER, counter=counter)
    assert own(tmp_path) is None


@pytest.mark.parametrize("lines", ["", "nonsense\n", "0::/elsewhere\n"])
def test_where_there_are_no_groups_nothing_is_told(tmp_path: Path, lines: str) -> None:
    assert own(tmp_path) is None
    (tmp_path / "own").write_text(lines)
    assert own(tmp_path) is None


def test_a_counter_that_goes_away_tells_of_no_kills(tmp_path: Path) -> None:
    counter = group(tmp_path, NEWER)
    found = own(tmp_path)
    counter.unlink()
    assert 0 == memory.killed_since(found)
    assert 0 == memory.killed_since(None)
