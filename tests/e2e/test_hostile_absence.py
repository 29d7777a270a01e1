"""Absence is not desire: what cannot be read, was rewritten, or would remove very much cancels nothing by itself."""

from __future__ import annotations

import time
from typing import Any

import pytest

SLEEP = "sleep 300"


@pytest.fixture
def running(world: Any) -> Any:
    """A world in which two sweeps have a running task each."""
    world.commit(a=world.manifest("a", "{x: [1]}", command=SLEEP), b=world.manifest("b", "{x: [1]}", command=SLEEP))
    world.start()
    world.wait(lambda: runs_of(world, "a") == 1 and runs_of(world, "b") == 1)
    return world


def runs_of(world: Any, name: str) -> int:
    return int(sum(world.sweep(name).get("sources", {}).values())) and int(world.counts(name).get("running", 0))


def active(world: Any, name: str) -> int:
    """Attempts that take a slot, desired or not."""
    return int(sum(world.sweep(name).get("sources", {}).values()))


def condition(world: Any, name: str, kind: str) -> dict[str, Any]:
    return next((each for each in world.sweep(name).get("conditions", []) if each["type"] == kind), {"status": "none"})


def blocked(world: Any, kind: str, *names: str) -> bool:
    return all(condition(world, name, kind)["status"] == "True" for name in names)


def plan_of(world: Any) -> str:
    """The plan that waits for approval, as `plan` names it to people."""
    text = world.run("plan").stdout
    assert "reconciler approve " in text, text
    return str(text.partition("reconciler approve ")[2].partition("`")[0])


def test_an_unreachable_repository_cancels_nothing_and_is_told(running: Any) -> None:
    running.repository.rename(running.root / "away")

    running.wait(lambda: "[NotFound]" in running.run("status").stdout)
    assert (1, 1) == (active(running, "a"), active(running, "b"))

    (running.root / "away").rename(running.repository)
    running.commit(c=running.manifest("c", "{x: [1]}"))
    running.succeeded("c", 1)
    assert "[NotFound]" not in running.run("status").stdout


def test_a_broken_manifest_cancels_nothing_and_is_told(running: Any) -> None:
    running.commit(a=running.manifest("a", "{x: [1]}", command=SLEEP).replace("command:", "comand:"))

    running.wait(lambda: blocked(running, "Invalid", "a"))

    assert "comand" in condition(running, "a", "Invalid")["message"]
    assert (1, 1) == (active(running, "a"), active(running, "b"))
    assert 1 == running.counts("a")["desired"]


def test_while_a_manifest_cannot_even_be_named_none_is_deleted(running: Any) -> None:
    running.commit(a="kind: Sweep\nmetadata: [\n", b=None)
    running.wait(lambda: "[Syntax]" in running.run("status").stdout)
    time.sleep(1.5)
    assert (1, 1) == (active(running, "a"), active(running, "b"))
    assert 1 == running.counts("b")["desired"]

    running.commit(a=running.manifest("a", "{x: [1]}", command=SLEEP))
    running.wait(lambda: running.counts("b").get("desired", 0) == 0)
    assert 1 == active(running, "a")


def test_a_rewritten_history_freezes_cancellations_until_the_next_commit(running: Any) -> None:
    running.commit(c=running.manifest("c", "{x: [1]}", command=SLEEP, extra="  deletionPolicy: Cancel\n"))
    running.wait(lambda: active(running, "c") == 1)
    running.git("reset", "--quiet", "--hard", "HEAD~1")
    running.commit(d=running.manifest("d", "{x: [1]}"))

    running.succeeded("d", 1)
    running.wait(lambda: blocked(running, "HistoryRewritten", "c"))
    assert 1 == active(running, "c")

    running.commit()
    running.wait(lambda: active(running, "c") == 0)
    assert (1, 1) == (active(running, "a"), active(running, "b"))


def test_a_rewritten_history_can_be_approved(running: Any) -> None:
    running.commit(c=running.manifest("c", "{x: [1]}", command=SLEEP, extra="  deletionPolicy: Cancel\n"))
    running.wait(lambda: active(running, "c") == 1)
    running.git("reset", "--quiet", "--hard", "HEAD~1")
    running.wait(lambda: blocked(running, "HistoryRewritten", "c"))

    assert 0 == running.run("approve", plan_of(running)).returncode

    running.wait(lambda: active(running, "c") == 0)


def test_a_mass_deletion_waits_for_approval(running: Any) -> None:
    cancel = "  deletionPolicy: Cancel\n"
    files = {name: running.manifest(name, "{x: [1]}", command=SLEEP, extra=cancel) for name in "abcd"}
    running.commit(**files)
    running.wait(lambda: all(runs_of(running, name) == 1 for name in "abcd"))

    running.commit(a=None, b=None, c=None)
    running.wait(lambda: blocked(running, "PruneBlocked", "a", "b", "c"))
    assert [1, 1, 1, 1] == [active(running, name) for name in "abcd"]

    wrong = running.run("approve", "nonsense")
    assert (1, True) == (wrong.returncode, "hint:" in wrong.stderr)
    assert 0 == running.run("approve", plan_of(running)).returncode
    running.wait(lambda: [active(running, name) for name in "abcd"] == [0, 0, 0, 1])


def test_what_is_removed_while_removals_wait_waits_with_them(running: Any) -> None:
    cancel = "  deletionPolicy: Cancel\n"
    files = {name: running.manifest(name, "{x: [1]}", command=SLEEP, extra=cancel) for name in "abcd"}
    running.commit(**files, e=running.manifest("e", "{x: [1]}"))
    running.wait(lambda: all(runs_of(running, name) == 1 for name in "abcd"))
    running.commit(a=None, b=None, c=None)
    running.wait(lambda: blocked(running, "PruneBlocked", "a", "b", "c"))
    plan = plan_of(running)

    running.commit(d=None)
    running.wait(lambda: blocked(running, "PruneBlocked", "d"))
    assert [1, 1, 1, 1] == [active(running, name) for name in "abcd"]

    assert 1 == running.run("approve", plan).returncode  # it is another plan now
    assert 0 == running.run("approve", plan_of(running)).returncode
    running.wait(lambda: [active(running, name) for name in "abcd"] == [0, 0, 0, 0])


def test_a_mass_deletion_that_is_taken_back_goes_on_as_if_nothing_had_been(running: Any) -> None:
    files = {name: running.manifest(name, "{x: [1]}", command=SLEEP) for name in "abc"}
    running.commit(**files)
    running.wait(lambda: runs_of(running, "c") == 1)
    running.commit(a=None, b=None, c=None)
    running.wait(lambda: blocked(running, "PruneBlocked", "a", "b", "c"))

    running.commit(**files)
    running.wait(lambda: not any(blocked(running, "PruneBlocked", name) for name in "abc"))
    running.wait(lambda: [runs_of(running, name) for name in "abc"] == [1, 1, 1])

    assert [1, 1, 1] == sorted(running.runs().values())
    running.commit(a=None)
    running.wait(lambda: running.counts("a").get("desired", 0) == 0)


def test_more_running_tasks_than_the_limit_are_not_cancelled_by_one_edit(world: Any) -> None:
    world.configure(slots=6, extra="prune: {maxTasks: 3}\n")
    world.commit(s=world.manifest("s", "{x: [1, 2, 3, 4, 5, 6]}", command=SLEEP))
    world.start()
    world.wait(lambda: runs_of(world, "s") == 6)

    world.commit(s=world.manifest("s", "{x: [1, 2]}", command=SLEEP))
    world.wait(lambda: blocked(world, "PruneBlocked", "s"))
    assert 6 == active(world, "s")
    world.commit(t=world.manifest("t", "{x: [1]}"))
    world.wait(lambda: world.counts("t").get("waiting") == 1)
    assert 6 == active(world, "s")

    assert 0 == world.run("approve", plan_of(world)).returncode
    world.wait(lambda: active(world, "s") == 2)
    world.succeeded("t", 1)
