"""A daemon that meets a lost, damaged or older state: what it says, and what it does not do."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import state_damage

from reconciler.agent import system
from reconciler.core import identity
from reconciler.core.model import InstanceId, SweepName, TaskKey


def root(world: Any) -> Path:
    return Path(world.state / "sources/local")


def instance(world: Any) -> InstanceId:
    return InstanceId((root(world) / "OWNER").read_text().strip())


def revoke(world: Any, sweep: str, parameters: dict[str, Any], number: int) -> None:
    """As the agent does, when somebody gives up an attempt that has not started."""
    task = identity.task_id(SweepName(sweep), parameters, 0)
    eid = identity.eid(instance(world), TaskKey(SweepName(sweep), task), number)
    here = system.identity()
    claim = {"kind": "revoked", "at": time.time(), "epoch": 1, **here._asdict()}
    directory = root(world) / "attempts" / eid[-2:] / eid
    directory.mkdir(parents=True)
    (directory / "claim").write_text(json.dumps(claim))


def once(world: Any) -> tuple[int, str]:
    """What a daemon says that finds nothing to do."""
    done = world.run("run", "--once")
    return done.returncode, done.stderr


def test_a_number_that_was_given_up_before_is_passed_over(world: Any) -> None:
    world.commit(other=world.manifest("other", "{x: [1]}"))
    world.start()
    world.succeeded("other", 1)
    for number in (1, 2):
        revoke(world, "s", {"x": 1}, number)

    world.commit(s=world.manifest("s", "{x: [1]}"))
    world.succeeded("s", 1)

    (task,) = world.tasks("s")
    told = json.loads(world.run("task", "s", task, "-o", "json").stdout)
    assert ["cancelled", "cancelled", "succeeded"] == [attempt["phase"] for attempt in told["attempts"]]
    assert 1 == world.runs()[f"s {task}"]


def two_sources(world: Any) -> None:
    text = world.config.read_text()
    world.config.write_text(
        text.replace(
            "{local: {scheduler: process, slots: 4}}",
            "{a: {scheduler: process, slots: 3}, b: {scheduler: process, slots: 2}}",
        )
    )


def test_a_state_that_is_put_back_from_a_copy_runs_nothing_again_on_another_source(world: Any) -> None:
    two_sources(world)
    world.commit(other=world.manifest("other", "{x: [1]}"))
    world.start()
    world.succeeded("other", 1)
    world.kill()
    copy = state_damage.keep(world.state)
    fails = f"mkdir {world.root}/$RECONCILER_TASK 2>/dev/null && exit 3; sleep 0.1"
    retry = "  retry: {limit: 5, backoff: {duration: 1s, factor: 1}}\n"
    world.commit(s=world.manifest("s", "{x: {range: {start: 0, stop: 12, step: 1}}}", command=fails, extra=retry))
    world.start()
    world.succeeded("s", 12)
    world.kill()

    state_damage.put_back(copy, world.state)
    world.start()
    world.wait(lambda: world.counts("s").get("succeeded", 0) > 0)
    world.kill()  # what was found there is written down
    world.start()
    world.succeeded("s", 12)

    assert {2} == {runs for task, runs in world.runs().items() if task.startswith("s ")}


def test_beside_a_lost_state_no_daemon_begins_anew(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1, 2]}"))
    assert 0 == world.run("run", "--once").returncode
    (world.state / "state.db").unlink()

    code, said = once(world)

    assert (1, True, True) == (code, "[StateLost]" in said, "hint: `reconciler rebuild`" in said)
    assert not (world.state / "state.db").exists()
    assert 0 == world.run("rebuild").returncode
    assert 0 == world.run("run", "--once").returncode
    assert {1} == set(world.runs().values())


def test_after_a_kill_a_page_that_nobody_has_asked_for_is_found_to_be_torn(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: {range: {start: 0, stop: 500, step: 1}}}", extra="  state: Paused\n"))
    world.start()
    world.wait(lambda: world.counts("s").get("waiting") == 500)
    assert 0 == world.stop()
    world.start()
    world.wait((world.state / "http").exists)
    world.kill()
    file = world.state / "state.db"
    data = file.read_bytes()
    file.write_bytes(data[:-4096] + b"\xff" * 4096)
    (world.state / "state.db-wal").unlink()

    code, said = once(world)

    assert (1, True, True) == (code, "[CorruptState]" in said, "hint: `reconciler rebuild`" in said), said


@pytest.mark.parametrize("words", [("rebuild",), ("rebuild", "--force")])
def test_nothing_is_rebuilt_beside_a_daemon(world: Any, words: tuple[str, ...]) -> None:
    world.commit(s=world.manifest("s", "{x: [1]}"))
    world.start()
    world.succeeded("s", 1)

    done = world.run(*words)

    assert (75, True) == (done.returncode, "[AlreadyRunning]" in done.stderr)
    assert "would be rebuilt" in world.run("rebuild", "--dry-run").stdout
