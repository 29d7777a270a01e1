"""A real Slurm, and what only a scheduler does to tasks: arrays, holds, doubt, dead nodes, refusals.

What it loses, and what it gives out again, is in test_slurm_reuse.py; submissions of which nobody knows what became, in
test_slurm_doubt.py; what people do to our jobs, in test_slurm_people.py.
"""

from __future__ import annotations

import signal
import time

import pytest

from reconciler.core.errors import Busy, Refused
from reconciler.core.jobs import JobState, Listing, Verdict
from reconciler.core.wire import CancelOutcome, Ended, RevokeOutcome, StartOutcome
from reconciler.dialects.slurm import SlurmDialect
from tests.conformance.conftest import Site
from tests.fakes.slurm_lab import SlurmLab
from tests.fakes.slurm_troubles import die

pytestmark = [pytest.mark.real(each) for each in ("slurmctld", "slurmd", "munge")]

# ---------------------------------------------------------------------------------------------- the queue


async def test_a_batch_is_one_array_under_a_name_that_ends_with_its_id(lab: SlurmLab, slurm: Site) -> None:
    visit, specs = await slurm.open(), slurm.long(5)

    await visit.start(*specs)

    (name,) = {line.split()[-1] for line in lab.run("squeue", "-h", "-r", "-o", "%F %j").splitlines()}
    (batch,) = (slurm.root / "batches").iterdir()
    assert name.endswith(batch.name)
    assert 5 == len(lab.run("squeue", "-h", "-r").splitlines())


async def test_taking_back_one_that_waits_leaves_the_others_of_its_array_waiting(lab: SlurmLab, slurm: Site) -> None:
    visit, specs = await slurm.open(), slurm.long(4)
    lab.run("scontrol", "update", "partition=main", "state=down")
    try:
        await visit.start(*specs)
        outcomes = await visit.ask(slurm.dialect.revoke([specs[1].eid]))
    finally:
        lab.run("scontrol", "update", "partition=main", "state=up")

    assert {specs[1].eid: RevokeOutcome.REVOKED} == outcomes
    rest = [spec.task for spec in specs if spec is not specs[1]]
    assert sorted(rest) == sorted(await slurm.until_logged(3))


async def test_cancelling_one_that_runs_leaves_the_others_running(lab: SlurmLab, slurm: Site) -> None:
    visit, specs = await slurm.open(), slurm.long(3)
    await visit.start(*specs)
    await slurm.until_logged(3)

    outcomes = await visit.cancel(specs[2].eid)
    ended = await visit.ended(specs[2].eid)

    assert {specs[2].eid: CancelOutcome.SIGNALLED} == outcomes
    assert ended.exit is not None
    assert Ended.CANCEL is ended.exit.ended_by
    states = [(await visit.inspect(spec.eid))[spec.eid].job for spec in specs[:2]]
    assert [JobState.RUNNING] * 2 == [job and job.state for job in states]


async def test_a_cancel_by_somebody_else_is_recorded_by_the_shim(lab: SlurmLab, slurm: Site) -> None:
    visit, (spec,) = await slurm.open(), slurm.long(1)
    await visit.start(spec)
    await slurm.until_logged(1)
    found = await visit.until(spec.eid, lambda found: found.claim)

    assert found.claim is not None
    lab.run("scancel", found.claim.job)

    ended = await visit.ended(spec.eid)
    assert ended.exit is not None
    assert (Ended.CANCEL, 15) == (ended.exit.ended_by, ended.exit.signal)


async def test_a_job_that_somebody_holds_waits_and_can_be_taken_back(lab: SlurmLab, slurm: Site) -> None:
    visit, (spec,) = await slurm.open(), slurm.long(1)
    lab.run("scontrol", "update", "partition=main", "state=down")
    try:
        await visit.start(spec)
        (number,) = lab.run("squeue", "-h", "-o", "%F").split()
        lab.run("scontrol", "hold", number)
    finally:
        lab.run("scontrol", "update", "partition=main", "state=up")

    found = await visit.until(spec.eid, lambda found: found.job and found.job.why.startswith("JobHeld"))
    outcomes = await visit.ask(slurm.dialect.revoke([spec.eid]))

    assert found.job is not None
    assert JobState.WAITING is found.job.state
    assert {spec.eid: RevokeOutcome.REVOKED} == outcomes
    assert "" == lab.run("squeue", "-h")


# ---------------------------------------------------------------------------------------------- doubt


async def test_a_submission_that_timed_out_is_unknown_and_found_in_the_queue(lab: SlurmLab, slurm: Site) -> None:
    visit, (spec,) = await slurm.open(), slurm.long(1)
    lab.signal_controller(signal.SIGSTOP)
    try:
        outcomes = await visit.start(spec)
    finally:
        lab.signal_controller(signal.SIGCONT)

    found = await visit.until(spec.eid, lambda found: found.job)

    assert {} == outcomes
    assert (Listing.CLEAN, ["x"]) == (found.listing, ["x" for _ in await slurm.until_logged(1)])
    assert StartOutcome.ACCEPTED not in (await visit.start(spec)).values()  # nobody submits it again
    assert 1 == len(lab.run("squeue", "-h", "-r").splitlines())


async def test_a_controller_that_is_down_has_taken_nothing_and_its_listing_is_no_news(
    lab: SlurmLab, slurm: Site
) -> None:
    visit, (spec, other) = await slurm.open(), slurm.long(2)
    await visit.start(other)
    lab.kill_controller(signal.SIGTERM)
    try:
        with pytest.raises(Busy, match="Unable to contact"):
            await visit.start(spec)
        found = (await visit.inspect(other.eid))[other.eid]
    finally:
        lab.start_controller()
        lab.until_it_answers()

    assert (Listing.FAILED, None) == (found.listing, found.job)
    assert {spec.eid: StartOutcome.ACCEPTED} == await visit.start(spec)


async def test_a_job_that_is_requeued_by_force_runs_once(lab: SlurmLab, slurm: Site) -> None:
    visit, (spec,) = await slurm.open(), slurm.long(1)
    await visit.start(spec)
    await slurm.until_logged(1)
    found = await visit.until(spec.eid, lambda found: found.claim)
    assert found.claim is not None

    lab.run("scontrol", "update", f"jobid={found.claim.job}", "requeue=1")
    lab.run("scontrol", "requeue", found.claim.job)
    await visit.until(spec.eid, lambda found: found.job and found.job.state is JobState.WAITING)
    lab.run("scontrol", "update", f"jobid={found.claim.job}", "starttime=now")
    again = await visit.until(spec.eid, lambda found: found.exit and found.job is None)

    assert 1 == len(slurm.logged())
    assert again.claim is not None
    assert 0 == again.claim.restarts


# ---------------------------------------------------------------------------------------------- ends without a record


async def test_a_node_that_fails_is_accounted_only_when_it_is_heard_again(lab: SlurmLab, slurm: Site) -> None:
    visit, (spec,) = await slurm.open(), slurm.long(1)
    await visit.start(spec)
    await slurm.until_logged(1)
    (node,) = lab.run("squeue", "-h", "-t", "R", "-o", "%N").split()
    lab.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        found = await visit.until(spec.eid, lambda found: found.listing is Listing.CLEAN and found.job is None)
    finally:
        lab.until_idle()  # its slurmd registers again, and is believed

    assert found.exit is not None or found.account is not None
    if found.account is not None:
        assert Verdict.NODE_FAILURE is found.account.verdict


async def test_what_died_with_its_node_has_ended_for_certain_only_when_the_node_is_heard_again(
    lab: SlurmLab, slurm: Site
) -> None:
    visit, (spec,) = await slurm.open(), slurm.long(1)
    await visit.start(spec)
    await slurm.until_logged(1)
    (node,) = lab.run("squeue", "-h", "-t", "R", "-o", "%N").split()
    die(lab, node)
    try:
        silent = await visit.until(spec.eid, lambda found: found.account, 60.0)
    finally:
        lab.start_node(node)
        lab.until_idle()
    heard = (await visit.inspect(spec.eid))[spec.eid]

    assert (silent.exit, heard.exit) == (None, None)
    assert [(Verdict.NODE_FAILURE, False), (Verdict.NODE_FAILURE, True)] == [
        (found.account.verdict, found.account.ceased) for found in (silent, heard) if found.account is not None
    ]


REFUSED = {"partition": "nosuch", "constraint": "nosuch"}


@pytest.mark.parametrize(("name", "value"), REFUSED.items())
async def test_what_the_cluster_will_never_take_is_refused_with_its_words(
    lab: SlurmLab, slurm: Site, name: str, value: str
) -> None:
    slurm.dialect = SlurmDialect.of(options={name: value}, poll_s=1.0)
    visit, (spec,) = await slurm.open(), slurm.long(1)

    with pytest.raises(Refused) as caught:
        await visit.start(spec)

    assert "SubmissionRefused" == caught.value.reason
    slurm.dialect = SlurmDialect.of(options={}, poll_s=1.0)
    assert {spec.eid: StartOutcome.ACCEPTED} == await visit.start(spec)


async def test_a_thousand_are_one_submission_and_one_row_in_a_listing(lab: SlurmLab, slurm: Site) -> None:
    visit, specs = await slurm.open(), [slurm.spec("true") for _ in range(1000)]
    lab.run("scontrol", "update", "partition=main", "state=down")
    try:
        began = time.monotonic()
        outcomes = await visit.start(*specs)
        found = await visit.inspect(*(spec.eid for spec in specs))
        revoked = await visit.ask(slurm.dialect.revoke([spec.eid for spec in specs]))
        took_s = time.monotonic() - began
    finally:
        lab.run("scontrol", "update", "partition=main", "state=up")

    assert {StartOutcome.ACCEPTED} == set(outcomes.values())
    assert {JobState.WAITING} == {each.job.state for each in found.values() if each.job}
    assert {RevokeOutcome.REVOKED} == set(revoked.values())
    assert "" == lab.run("squeue", "-h")
    assert took_s > 0
