"""A real Slurm that loses jobs, gives their numbers to strangers, and comes back with what it had given up."""

from __future__ import annotations

import pytest

from reconciler.core.jobs import Listing
from reconciler.core.wire import CancelOutcome, Found, RevokeOutcome
from tests.conformance.conftest import Site, Visit
from tests.fakes.slurm_lab import SlurmLab
from tests.fakes.slurm_troubles import SOMEBODY, closed, elements, forget, keep, put_back, state_of, stranger, until

pytestmark = [pytest.mark.real(each) for each in ("slurmctld", "slurmd", "munge")]


def number_of(lab: SlurmLab) -> str:
    """Of the one array in the queue."""
    (number,) = {job.partition("_")[0] for job in elements(lab)}
    return number


def gone(found: Found) -> bool:
    return found.listing is Listing.CLEAN and found.job is None


async def running(slurm: Site, visit: Visit) -> tuple[Found, str]:
    """One that runs, and the number of its array."""
    (spec,) = slurm.long(1)
    await visit.start(spec)
    await slurm.until_logged(1)
    found = await visit.until(spec.eid, lambda found: found.claim)
    assert found.claim is not None
    return found, found.claim.job.partition("_")[0]


async def test_of_a_waiting_job_that_was_forgotten_whoever_has_its_number_now_is_nothing(
    lab: SlurmLab, slurm: Site
) -> None:
    visit, (spec, other) = await slurm.open(), slurm.long(2)
    with closed(lab):
        await visit.start(spec, other)
        number = number_of(lab)
        forget(lab, next_id=number)
        theirs = stranger(lab)

        found = await visit.inspect(spec.eid, other.eid)
        revoked = await visit.ask(slurm.dialect.revoke([spec.eid]))
        cancelled = await visit.cancel(other.eid)

    assert number == theirs
    assert [True, True] == [gone(each) for each in found.values()]
    assert ({spec.eid: RevokeOutcome.REVOKED}, {other.eid: CancelOutcome.REVOKED}) == (revoked, cancelled)
    assert {f"{number}_0": SOMEBODY} == elements(lab)


async def test_a_job_that_comes_back_after_it_was_given_up_runs_nothing(lab: SlurmLab, slurm: Site) -> None:
    visit, (spec,) = await slurm.open(), slurm.long(1)
    with closed(lab):
        await visit.start(spec)
        number = number_of(lab)
        lab.run("scontrol", "hold", number)  # a controller that is started anew may open what is closed
    saved = keep(lab)
    forget(lab, next_id="1")
    assert gone(await visit.until(spec.eid, gone))
    revoked = await visit.ask(slurm.dialect.revoke([spec.eid]))
    put_back(lab, saved)
    back = number_of(lab)
    lab.run("scontrol", "release", number)

    until(lambda: f"{number}_0" not in elements(lab))
    told = lab.run("scontrol", "show", "job", f"{number}_0")

    assert (number, {spec.eid: RevokeOutcome.REVOKED}) == (back, revoked)
    assert "ExitCode=97:0" in told
    assert [] == slurm.logged()


async def test_the_end_of_a_stranger_who_has_the_number_of_what_ran_is_not_ours(lab: SlurmLab, slurm: Site) -> None:
    visit = await slurm.open()
    before, number = await running(slurm, visit)
    forget(lab, next_id=number)
    theirs = stranger(lab, script="true")
    until(lambda: state_of(lab, theirs) == "COMPLETED")

    found = (await visit.inspect(before.eid))[before.eid]

    assert (number, before.claim) == (theirs, found.claim)
    assert (True, None) == (gone(found), found.account)


async def test_to_cancel_what_ran_and_was_forgotten_ends_no_stranger_of_its_number(lab: SlurmLab, slurm: Site) -> None:
    visit = await slurm.open()
    before, number = await running(slurm, visit)
    forget(lab, next_id=number)
    theirs = stranger(lab)
    until(lambda: state_of(lab, theirs) == "RUNNING")

    outcomes = await visit.cancel(before.eid)

    assert number == theirs
    assert CancelOutcome.SIGNALLED not in outcomes.values()
    assert {f"{number}_0": SOMEBODY} == elements(lab)
    assert 1 == len(slurm.logged())
