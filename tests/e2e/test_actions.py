"""What a person asks of a running daemon."""

from __future__ import annotations

from typing import Any


def test_retry_lets_a_failed_task_run_again(world: Any) -> None:
    flag = world.root / "flag"
    world.commit(s=world.manifest("s", "{x: [1]}", command=f"test -e {flag}"))
    world.start()
    world.wait(lambda: world.counts("s").get("failed") == 1)

    flag.touch()
    assert 0 == world.run("retry", "s").returncode
    world.succeeded("s", 1)

    assert [2] == list(world.runs().values())


def test_assume_dead_ends_a_task_only_by_name_and_only_a_running_one(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1]}", command="sleep 30"))
    world.start()
    world.wait(lambda: world.counts("s").get("running") == 1)
    (task,) = (line.split()[1] for line in world.log.read_text().splitlines())

    assert 0 == world.run("retry", "s", task, "--assume-dead").returncode
    world.wait(lambda: sum(world.runs().values()) == 2)

    world.commit(s=world.manifest("s", "{x: [1]}", command="sleep 30", extra="  state: Cancelled\n"))
    world.wait(lambda: world.counts("s").get("cancelled") == 1)
    assert 1 == world.run("retry", "s", task, "--assume-dead").returncode


def test_reconcile_looks_at_the_repository_now(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1]}"))
    world.start()
    world.succeeded("s", 1)

    done = world.run("reconcile", "s")

    assert 0 == done.returncode, done.stderr
