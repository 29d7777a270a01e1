"""A sweep whose tasks hear in time that their walltime ends, keep what they have done, and go on in another attempt."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import World

KEEPS = (
    'kept=$RECONCILER_CHECKPOINT/kept; trap "echo \\$RECONCILER_ATTEMPT >> $kept; exit 75" USR2; '
    "[ -e $kept ] && exit 0; while :; do sleep 0.05; done"
)
EXTRA = "  resources: {walltime: 4s}\n  checkpoint: {signal: USR2, before: 2s, grace: 1s}\n"


@pytest.mark.timeout(90)
def test_a_task_that_is_warned_goes_on_where_it_was_and_no_retry_is_counted(world: World) -> None:
    world.commit(s=world.manifest("s", "{x: [1]}", command=KEEPS, extra=EXTRA))
    world.start()

    world.succeeded("s", 1, 60)

    (task,) = world.tasks("s")
    told = json.loads(world.run("task", "s", task, "-o", "json").stdout)
    attempts = [line.split()[-1] for line in world.log.read_text().splitlines()]
    assert (["1", "2"], ["failed", "succeeded"]) == (attempts, [each["phase"] for each in told["attempts"]])
    assert (0, "Resume") == (told["failures"], told["attempts"][0]["reason"])
