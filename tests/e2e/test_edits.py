"""Editing the manifest is the only control that a sweep needs."""

from __future__ import annotations

import time
from typing import Any

SLEEP = "sleep 60"


def test_a_commit_makes_tasks_run_until_git_and_the_world_agree(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1, 2, 3]}"))
    world.start()

    world.succeeded("s", 3)

    assert [1, 1, 1] == sorted(world.runs().values())


def test_added_values_run_only_the_new_points(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1, 2]}"))
    world.start()
    world.succeeded("s", 2)

    world.commit(s=world.manifest("s", "{x: [1, 2, 3, 4]}"))
    world.succeeded("s", 4)

    assert [1, 1, 1, 1] == sorted(world.runs().values())


def test_removed_values_are_cancelled_and_finished_results_stay(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1, 2, 3]}", command=SLEEP))
    world.start()
    world.wait(lambda: world.counts("s").get("running") == 3)

    world.commit(s=world.manifest("s", "{x: [1]}", command=SLEEP))
    world.wait(lambda: world.counts("s").get("desired") == 1 and world.sweep("s")["sources"].get("local") == 1)

    assert 1 == world.counts("s")["running"]


def test_a_point_that_returns_is_adopted_and_not_run_again(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1, 2]}"))
    world.start()
    world.succeeded("s", 2)

    world.commit(s=world.manifest("s", "{x: [1]}"))
    world.succeeded("s", 1)
    world.commit(s=world.manifest("s", "{x: [1, 2]}"))
    world.succeeded("s", 2)

    assert [1, 1] == sorted(world.runs().values())


def test_paused_starts_nothing_and_active_goes_on(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1, 2]}", extra="  state: Paused\n"))
    world.start()
    world.wait(lambda: world.counts("s").get("waiting") == 2)
    time.sleep(0.5)
    assert not world.runs()

    world.commit(s=world.manifest("s", "{x: [1, 2]}"))
    world.succeeded("s", 2)


def test_cancelled_cancels_all_and_active_again_runs_them(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1, 2]}", command=SLEEP))
    world.start()
    world.wait(lambda: world.counts("s").get("running") == 2)

    world.commit(s=world.manifest("s", "{x: [1, 2]}", command=SLEEP, extra="  state: Cancelled\n"))
    world.wait(lambda: world.counts("s").get("cancelled") == 2)
    world.commit(s=world.manifest("s", "{x: [1, 2]}", command=SLEEP))
    world.wait(lambda: world.counts("s").get("running") == 2)

    assert [2, 2] == sorted(world.runs().values())
    world.commit(s=world.manifest("s", "{x: [1, 2]}", command=SLEEP, extra="  state: Cancelled\n"))
    world.wait(lambda: world.counts("s").get("cancelled") == 2)


def test_parallelism_limits_what_runs_and_can_be_raised(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1, 2, 3, 4]}", command=SLEEP, extra="  parallelism: 1\n"))
    world.start()
    world.wait(lambda: world.counts("s").get("running") == 1)
    time.sleep(0.5)
    assert 1 == world.counts("s")["running"]

    world.commit(s=world.manifest("s", "{x: [1, 2, 3, 4]}", command=SLEEP, extra="  parallelism: 3\n"))
    world.wait(lambda: world.counts("s").get("running") == 3)
    world.commit(s=None, t=world.manifest("t", "{x: [1]}"))  # Drain: what runs goes on, so cancel it first
    world.commit(s=world.manifest("s", "{x: [1, 2, 3, 4]}", command=SLEEP, extra="  state: Cancelled\n"))
    world.wait(lambda: not world.sweep("s")["sources"])


def test_a_changed_command_runs_again_what_failed_and_keeps_what_succeeded(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1, 2]}", command='grep -q ": 1" $RECONCILER_PARAMETERS'))
    world.start()
    world.wait(lambda: world.counts("s").get("succeeded") == 1 and world.counts("s").get("failed") == 1)

    world.commit(s=world.manifest("s", "{x: [1, 2]}", command="true # mended"))
    world.succeeded("s", 2)

    assert [1, 2] == sorted(world.runs().values())


def test_a_deleted_manifest_drains(world: Any) -> None:
    go = world.root / "go"
    waits = f"until [ -e {go} ]; do sleep 0.05; done"
    world.commit(s=world.manifest("s", "{x: [1, 2]}", command=waits, extra="  parallelism: 1\n"))
    world.start()
    world.wait(lambda: world.counts("s").get("running") == 1)

    world.commit(s=None)
    world.wait(lambda: world.counts("s").get("desired", 0) == 0)
    go.touch()
    world.wait(lambda: not world.sweep("s").get("sources"))

    assert [1] == list(world.runs().values())


def test_a_renamed_file_changes_nothing(world: Any) -> None:
    text = world.manifest("s", "{x: [1, 2]}")
    world.commit(s=text)
    world.start()
    world.succeeded("s", 2)

    world.commit(s=None, moved=text)
    time.sleep(1.5)
    world.succeeded("s", 2)

    assert [1, 1] == sorted(world.runs().values())


def test_a_broken_manifest_keeps_the_last_good_spec_and_harms_no_other_sweep(world: Any) -> None:
    world.commit(s=world.manifest("s", "{x: [1]}"))
    world.start()
    world.succeeded("s", 1)

    world.commit(s="kind: Sweep\nmetadata: {name: s}\nspec: {comand: [x]}\n", t=world.manifest("t", "{x: [1]}"))
    world.succeeded("t", 1)

    assert 1 == world.counts("s")["succeeded"]
    assert "Invalid" in {condition["type"] for condition in world.sweep("s")["conditions"]}


def test_a_failed_task_is_retried_within_its_limit(world: Any) -> None:
    retry = "  retry: {limit: 2, backoff: {duration: 1s, factor: 1}}\n"
    world.commit(s=world.manifest("s", "{x: [1]}", command="exit 3", extra=retry))
    world.start()

    world.wait(lambda: world.counts("s").get("failed") == 1)

    assert [3] == list(world.runs().values())
