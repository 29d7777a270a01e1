"""A real Slurm, and submissions of which nobody knows what became: cut off before, in the middle of and after sbatch.

Whatever was taken is found in the queue under its name; whatever was not is given up by winning its claim. In neither
case anything is submitted again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.errors import ReconcilerError
from reconciler.core.jobs import Listing
from reconciler.core.wire import RevokeOutcome, StartOutcome
from reconciler.links.local import LocalLink
from tests.conformance.conftest import Site, Visit
from tests.fakes.slurm_lab import SlurmLab
from tests.fakes.slurm_troubles import elements, until

pytestmark = [pytest.mark.real(each) for each in ("slurmctld", "slurmd", "munge")]
QUIET_S = 2.0  # what was under way when the controller went on has arrived by then


@pytest.fixture
def still(lab: SlurmLab) -> Iterator[None]:
    """The controller stands still, until the test goes on with it."""
    lab.signal_controller(signal.SIGSTOP)
    yield
    lab.signal_controller(signal.SIGCONT)


@pytest.fixture
async def armed(lab: SlurmLab, slurm: Site) -> Site:
    """A site of which one process dies at the point that is written in its file `at`."""
    token, starter = slurm.folder / "token", slurm.folder / "python"
    token.touch()
    armed = f'RECONCILER_CRASH_AT="$(cat {slurm.folder}/at)" RECONCILER_CRASH_TOKEN={token}'
    starter.write_text(f'#!/bin/sh\n{armed} SLURM_CONF={lab.folder}/slurm.conf exec {sys.executable} "$@"\n')
    starter.chmod(0o700)
    slurm.link = LocalLink(python=str(starter))
    return slurm


def ours(lab: SlurmLab, slurm: Site) -> list[str]:
    """Jobs of this site: a controller that was killed comes back with what it knew a while ago, ended ones included."""
    names = tuple(folder.name for folder in slurm.root.glob("batches/*"))
    return [job for job, name in elements(lab).items() if name.endswith(names)]


async def go_on(lab: SlurmLab) -> None:
    lab.signal_controller(signal.SIGCONT)
    lab.until_it_answers()
    await asyncio.sleep(QUIET_S)


def sbatch_of(lab: SlurmLab) -> int | None:
    """The sbatch that waits for this cluster."""
    conf = f"SLURM_CONF={lab.folder}/slurm.conf".encode()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            ours = entry.name.isdigit() and conf in (entry / "environ").read_bytes().split(b"\0")
            if ours and (entry / "comm").read_text() == "sbatch\n":
                return int(entry.name)
    return None


async def submitting(lab: SlurmLab, visit: Visit, *specs) -> tuple[asyncio.Task[object], int]:
    """A submission that hangs, and its sbatch."""
    task = asyncio.ensure_future(visit.start(*specs))
    for _ in range(200):
        await asyncio.sleep(0.05)
        if (pid := sbatch_of(lab)) is not None:
            await asyncio.sleep(0.5)  # it has sent its request
            return task, pid
    raise AssertionError(f"no sbatch: {task}")


async def resolved_once(lab: SlurmLab, slurm: Site, visit: Visit, eid) -> str:
    """By whom: the job has run, or its claim was won and it never will. Nothing is there twice."""
    found = await visit.until(eid, lambda found: found.listing is Listing.CLEAN)
    if found.job is None:
        outcomes = await visit.ask(slurm.dialect.revoke([eid]))
        assert {eid: RevokeOutcome.REVOKED} == outcomes
        return "never"
    await visit.until(eid, lambda found: found.claim)
    await slurm.until_logged(1)
    assert 1 == len(ours(lab, slurm))
    return "runs"


async def test_of_a_killed_sbatch_it_is_not_said_that_it_submitted_nothing(
    lab: SlurmLab, slurm: Site, still: None
) -> None:
    visit, (spec,) = await slurm.open(), slurm.long(1)
    task, pid = await submitting(lab, visit, spec)
    os.kill(pid, signal.SIGKILL)

    outcomes = await task
    await go_on(lab)
    again = await visit.start(spec)

    assert ({}, False) == (outcomes, StartOutcome.ACCEPTED in again.values())  # it may have started by now
    assert await resolved_once(lab, slurm, visit, spec.eid) in ("runs", "never")
    assert len(slurm.logged()) <= 1


@pytest.mark.parametrize("whom", ["agent", "session"])
async def test_a_submission_goes_on_when_who_asked_for_it_is_killed(
    lab: SlurmLab, slurm: Site, still: None, whom: str
) -> None:
    visit, (spec,) = await slurm.open(), slurm.long(1)
    task, _ = await submitting(lab, visit, spec)
    (visit.signal_agent if whom == "agent" else visit.signal_session)(signal.SIGKILL)
    with pytest.raises(ReconcilerError):
        await task
    again = await slurm.open()

    meanwhile = await again.start(spec)
    await go_on(lab)

    assert {} == meanwhile
    assert await resolved_once(lab, slurm, again, spec.eid) in ("runs", "never")
    assert len(ours(lab, slurm)) <= 1
    assert len(slurm.logged()) <= 1


CUT = {"submit.won": "never", "batch.submitted": "runs", "batch.answering": "runs", "batch.answered": "runs"}


@pytest.mark.parametrize(("point", "becomes"), CUT.items())
async def test_whoever_dies_around_sbatch_leaves_what_is_resolved_without_a_second_one(
    lab: SlurmLab, armed: Site, point: str, becomes: str
) -> None:
    (armed.folder / "at").write_text(point)
    visit, (spec,) = await armed.open(), armed.long(1)
    with contextlib.suppress(ReconcilerError):
        assert {} == await visit.start(spec)
    again = await armed.open()

    told = await again.start(spec)

    assert (point == "batch.answered") >= (StartOutcome.ACCEPTED in told.values())
    assert becomes == await resolved_once(lab, armed, again, spec.eid)


async def test_an_answer_that_was_lost_is_not_asked_for_again_however_often_somebody_comes(
    lab: SlurmLab, slurm: Site
) -> None:
    """sbatch gives up when the controller has not answered for so long; the job comes all the same."""
    visit, specs = await slurm.open(), slurm.long(3)
    lab.signal_controller(signal.SIGSTOP)
    try:
        outcomes = await visit.start(*specs)
        more = [await (await slurm.open()).start(*specs) for _ in range(3)]
    finally:
        lab.signal_controller(signal.SIGCONT)
    newest = await slurm.open()
    until(lambda: len(ours(lab, slurm)) == 3, 20)

    seen = await newest.inspect(*(spec.eid for spec in specs))

    assert [{}] * 4 == [outcomes, *more]
    assert [True] * 3 == [found.job is not None for found in seen.values()]
    assert 3 == len(await slurm.until_logged(3))


async def test_a_controller_that_dies_with_a_submission_in_its_hands_leaves_one_run_or_none(
    lab: SlurmLab, slurm: Site, still: None
) -> None:
    visit, (spec,) = await slurm.open(), slurm.long(1)
    task, _ = await submitting(lab, visit, spec)
    lab.kill_controller()
    lab.start_controller()
    lab.until_it_answers()

    with contextlib.suppress(ReconcilerError):
        await task
    await visit.start(spec)
    await asyncio.sleep(QUIET_S)

    assert len(ours(lab, slurm)) <= 1
    assert await resolved_once(lab, slurm, visit, spec.eid) in ("runs", "never")
