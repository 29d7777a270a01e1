"""Never lost, never twice: whatever is killed and whenever, each task runs exactly once."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Any

import pytest

TASKS = 200
KILLS = 20


@pytest.mark.timeout(180)
def test_a_daemon_killed_twenty_times_runs_every_task_exactly_once(world: Any) -> None:
    dice = random.Random(7)
    world.commit(s=world.manifest("s", f"{{x: {{range: {{start: 0, stop: {TASKS}, step: 1}}}}}}", command="sleep 0.2"))
    for _ in range(KILLS):
        world.start()
        time.sleep(dice.uniform(0.1, 1.2))
        world.kill()
    world.start()
    world.succeeded("s", TASKS, timeout_s=90)

    assert TASKS == len(world.runs())
    assert {1} == set(world.runs().values())


def test_tasks_outlive_a_stopped_daemon_and_are_adopted(world: Any) -> None:
    go = world.root / "go"
    world.commit(s=world.manifest("s", "{x: [1, 2]}", command=f"until [ -e {go} ]; do sleep 0.05; done"))
    world.start()
    world.wait(lambda: world.counts("s").get("running") == 2)

    assert 0 == world.stop()
    go.touch()
    time.sleep(1)  # they end while nobody is there
    world.start()
    world.succeeded("s", 2)

    assert [1, 1] == sorted(world.runs().values())


def test_a_killed_shim_is_noticed_and_its_task_runs_again_only_when_nothing_of_it_lives(world: Any) -> None:
    go = world.root / "go"
    extra = "  retry: {limit: 1, backoff: {duration: 1s}}\n"
    world.commit(s=world.manifest("s", "{x: [1]}", command=f"until [ -e {go} ]; do sleep 0.05; done", extra=extra))
    world.start()
    world.wait(lambda: world.counts("s").get("running") == 1)

    os.kill(world.claims()[0]["pid"], signal.SIGKILL)
    time.sleep(1)
    assert 1 == world.counts("s")["running"]
    go.touch()
    world.succeeded("s", 1)

    assert [2] == list(world.runs().values())


def test_a_killed_task_is_noticed_and_classified(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1]}", command="kill -9 $$"))
    world.start()

    world.wait(lambda: world.counts("s").get("failed") == 1)

    assert [1] == list(world.runs().values())
