"""A task hears in time that its walltime ends, keeps what it has done, and its next attempt finds that."""

from __future__ import annotations

import signal

import pytest

from reconciler.core.wire import Ended

pytestmark = pytest.mark.schedulers

KEEPS = """
kept=$RECONCILER_CHECKPOINT/kept
trap 'echo $RECONCILER_ATTEMPT > $kept; exit 75' USR1
[ -e $kept ] && { echo "goes on from $(cat $kept)" >> $log; exit 0; }
echo begun >> $log
while :; do sleep 0.05; done
"""


async def test_a_task_keeps_what_it_has_done_when_it_hears_that_its_time_ends_and_the_next_attempt_goes_on(site):
    visit = await site.open()
    first = site.shell(KEEPS, walltime_s=3, warn_s=1, warn_signal="USR1", checkpoint="one", attempt=1)
    second = site.shell(KEEPS, walltime_s=3, warn_s=1, warn_signal="USR1", checkpoint="one", attempt=2)
    await visit.start(first)
    ended = (await visit.ended(first.eid)).exit

    await visit.start(second)
    resumed = (await visit.ended(second.eid)).exit

    assert (Ended.ITSELF, 75, True) == (ended.ended_by, ended.exit_code, ended.ended_at - ended.started_at < 3)
    assert (0, ["begun", "goes on from 1"]) == (resumed.exit_code, site.logged())


async def test_it_hears_that_once_and_goes_on_until_its_time_is_up(site):
    visit = await site.open()
    loop = "trap 'echo soon >> $log' USR2; trap 'echo now >> $log; exit 3' TERM; while :; do sleep 0.05; done"

    found = await visit.run(*site.shell(loop).argv, walltime_s=2, warn_s=1, warn_signal="USR2")

    assert (Ended.WALLTIME, 3, ["soon", "now"]) == (found.exit.ended_by, found.exit.exit_code, site.logged())


async def test_a_task_that_does_not_know_the_signal_is_ended_by_it(site):
    visit = await site.open()

    found = await visit.run("sleep", "60", walltime_s=2, warn_s=1, warn_signal="USR1")

    assert (Ended.ITSELF, signal.SIGUSR1) == (found.exit.ended_by, found.exit.signal)


async def test_it_is_not_warned_in_the_first_half_of_its_time(site):
    visit = await site.open()

    found = await visit.run("sleep", "60", walltime_s=2, warn_s=100, warn_signal="USR1")

    assert 1 <= found.exit.ended_at - found.exit.started_at < 2


async def test_who_is_told_to_end_is_not_warned_any_more(site):
    visit = await site.open()
    loop = "trap 'echo soon >> $log' USR1; trap '' TERM; echo begun >> $log; while :; do sleep 0.05; done"
    spec = site.shell(loop, walltime_s=3, warn_s=1, warn_signal="USR1", grace_s=4)
    await visit.start(spec)
    await site.until_logged(1)
    await visit.until(spec.eid, lambda found: found.claim)

    await visit.cancel(spec.eid)
    await visit.ended(spec.eid)

    assert ["begun"] == site.logged()
