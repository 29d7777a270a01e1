"""A real Slurm, and what people do to our jobs there: they hold, drain, cancel, requeue and push aside.

Nobody's decision is undone, nothing runs twice for it, and what it has not hit goes on.
"""

from __future__ import annotations

import pytest

from reconciler.core.jobs import JobState, Listing
from reconciler.core.wire import Ended, Found, RevokeOutcome
from tests.conformance.conftest import Site, Visit
from tests.fakes.slurm_lab import SlurmLab
from tests.fakes.slurm_troubles import closed, elements, state_of, until

pytestmark = [pytest.mark.real(each) for each in ("slurmctld", "slurmd", "munge")]
LAB = {
    "PreemptType": "preempt/partition_prio",
    "PreemptMode": "REQUEUE",
    "PartitionName": "urgent Nodes=ALL PriorityTier=10 MaxTime=INFINITE State=UP DefMemPerCPU=10",
}


def waits(found: Found) -> bool:
    return found.job is not None and found.job.state is JobState.WAITING


def gone(found: Found) -> bool:
    return found.listing is Listing.CLEAN and found.job is None


async def started(slurm: Site, visit: Visit, count: int) -> dict[str, Found]:
    """So many that run, by the id of their jobs."""
    specs = slurm.long(count)
    await visit.start(*specs)
    await slurm.until_logged(count)
    found = [await visit.until(spec.eid, lambda found: found.claim) for spec in specs]
    return {each.claim.job: each for each in found if each.claim is not None}


# ---------------------------------------------------------------------------------------------- those that wait


@pytest.mark.parametrize(("verb", "why"), [("hold", "JobHeldAdmin"), ("uhold", "JobHeldUser")])
async def test_what_somebody_holds_waits_stuck_and_runs_once_when_it_is_released(
    lab: SlurmLab, slurm: Site, verb: str, why: str
) -> None:
    visit, (spec,) = await slurm.open(), slurm.long(1)
    with closed(lab):
        await visit.start(spec)
        (job,) = elements(lab)
        lab.run("scontrol", verb, job.partition("_")[0])

    found = await visit.until(spec.eid, lambda found: found.job and found.job.why == why)
    assert (found.job and found.job.wait and found.job.wait.stuck, []) == (True, slurm.logged())

    lab.run("scontrol", "release", job.partition("_")[0])
    assert [spec.task] == await slurm.until_logged(1)


async def test_while_nodes_are_drained_jobs_wait_and_what_runs_goes_on(lab: SlurmLab, slurm: Site) -> None:
    visit = await slurm.open()
    ((job, before),) = (await started(slurm, visit, 1)).items()
    lab.run("scontrol", "update", "nodename=n[1-2]", "state=drain", "reason=test")
    (spec,) = slurm.long(1)
    await visit.start(spec)

    found = await visit.until(spec.eid, waits)
    running = (await visit.inspect(before.eid))[before.eid]
    logged = len(slurm.logged())
    lab.run("scontrol", "update", "nodename=n[1-2]", "state=resume")

    assert found.job is not None
    assert (JobState.RUNNING, 1) == (running.job and running.job.state, logged)
    assert 2 == len(await slurm.until_logged(2))
    assert 2 == len(elements(lab)), job


async def test_a_waiting_element_that_somebody_cancels_is_gone_and_the_others_wait(lab: SlurmLab, slurm: Site) -> None:
    visit, specs = await slurm.open(), slurm.long(3)
    with closed(lab):
        await visit.start(*specs)
        job = sorted(elements(lab))[1]
        lab.run("scancel", job)

        found = await visit.until(specs[1].eid, gone)
        rest = await visit.inspect(specs[0].eid, specs[2].eid)
        outcomes = await visit.ask(slurm.dialect.revoke([specs[1].eid]))

    assert (None, [True, True]) == (found.claim, [waits(each) for each in rest.values()])
    assert {specs[1].eid: RevokeOutcome.REVOKED} == outcomes
    assert sorted([specs[0].task, specs[2].task]) == sorted(await slurm.until_logged(2))


async def test_of_a_waiting_array_that_somebody_cancels_all_are_gone_and_can_be_given_up(
    lab: SlurmLab, slurm: Site
) -> None:
    visit, specs = await slurm.open(), slurm.long(3)
    with closed(lab):
        await visit.start(*specs)
        (array,) = {job.partition("_")[0] for job in elements(lab)}
        lab.run("scancel", array)

        for spec in specs:
            assert (await visit.until(spec.eid, gone)).claim is None
        outcomes = await visit.ask(slurm.dialect.revoke([spec.eid for spec in specs]))

    assert {RevokeOutcome.REVOKED} == set(outcomes.values())
    assert ({}, []) == (elements(lab), slurm.logged())


# ---------------------------------------------------------------------------------------------- those that run


async def test_of_a_running_array_that_somebody_cancels_each_leaves_its_record(lab: SlurmLab, slurm: Site) -> None:
    visit = await slurm.open()
    found = await started(slurm, visit, 3)
    (array,) = {job.partition("_")[0] for job in found}
    lab.run("scancel", array)

    ended = [await visit.ended(each.eid) for each in found.values()]

    assert [Ended.CANCEL] * 3 == [each.exit.ended_by for each in ended if each.exit]
    assert 3 == len(slurm.logged())


async def test_what_was_told_never_to_be_requeued_is_not_when_an_administrator_asks(lab: SlurmLab, slurm: Site) -> None:
    visit = await slurm.open()
    ((job, found),) = (await started(slurm, visit, 1)).items()

    with pytest.raises(AssertionError, match="presently disabled"):
        lab.run("scontrol", "requeue", job)

    assert "RUNNING" == state_of(lab, job)
    assert 1 == len(slurm.logged())
    assert (await visit.inspect(found.eid))[found.eid].exit is None


async def test_what_is_requeued_into_a_hold_by_force_loses_its_claim_when_it_is_released(
    lab: SlurmLab, slurm: Site
) -> None:
    visit = await slurm.open()
    ((job, before),) = (await started(slurm, visit, 1)).items()
    lab.run("scontrol", "update", f"jobid={job}", "requeue=1")
    lab.run("scontrol", "requeuehold", job)

    held = await visit.until(before.eid, lambda found: waits(found) and found.exit)
    lab.run("scontrol", "release", job)
    lab.run("scontrol", "update", f"jobid={job}", "starttime=now")
    again = await visit.until(before.eid, gone)

    assert (before.claim, before.claim) == (held.claim, again.claim)
    assert held.exit == again.exit
    assert 1 == len(slurm.logged())


async def test_what_a_more_urgent_job_pushes_aside_leaves_a_record_and_does_not_run_again(
    lab: SlurmLab, slurm: Site
) -> None:
    visit = await slurm.open()
    ((job, before),) = (await started(slurm, visit, 1)).items()
    urgent = lab.run(
        "sbatch", "--parsable", "-p", "urgent", "-J", "somebody", "-o", "/dev/null", "-N2", "--exclusive",
        "--wrap", "sleep 3",
    ).strip()  # fmt: skip

    ended = await visit.ended(before.eid)
    until(lambda: state_of(lab, urgent) == "RUNNING")
    found = await visit.until(before.eid, gone)

    assert ended.exit is not None
    assert (Ended.CANCEL, 15) == (ended.exit.ended_by, ended.exit.signal)
    assert (ended.exit, 1) == (found.exit, len(slurm.logged()))
    assert "PREEMPTED" == state_of(lab, job)
