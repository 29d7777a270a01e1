"""How many elements of an array a real Slurm runs at once, told anew while they wait."""

from __future__ import annotations

import pytest

from reconciler.core.jobs import JobState
from reconciler.core.model import Eid
from tests.conformance.conftest import Site, Visit
from tests.fakes.slurm_lab import SlurmLab

pytestmark = [pytest.mark.real(each) for each in ("slurmctld", "slurmd", "munge")]
LAB = {"nodes": 1, "cpus": 8}


async def _limit(visit: Visit, eid: Eid) -> int | None:
    job = (await visit.inspect(eid))[eid].job
    return None if job is None else job.limit


async def test_an_array_that_waits_is_limited_and_let_go_again(lab: SlurmLab, slurm: Site) -> None:
    visit, specs = await slurm.open(), slurm.long(6)
    last = specs[-1].eid
    lab.run("scontrol", "update", "partition=main", "state=down")
    try:
        await visit.start(*specs)
        before = await _limit(visit, last)
        told = await visit.ask(slurm.dialect.restrict({specs[2].eid: 2}))
        limited = await _limit(visit, last)
    finally:
        lab.run("scontrol", "update", "partition=main", "state=up")
    await visit.until(last, lambda found: found.job and found.job.why == "JobArrayTaskLimit")
    states = [(await visit.inspect(spec.eid))[spec.eid].job for spec in specs]

    await visit.ask(slurm.dialect.restrict({last: 0}))
    await slurm.until_logged(6)

    assert (0, {specs[2].eid}, 2) == (before, set(told), limited)
    assert 2 == [job.state for job in states if job].count(JobState.RUNNING)


async def test_a_stranger_of_the_same_number_keeps_his_limit(lab: SlurmLab, slurm: Site) -> None:
    visit, (spec,) = await slurm.open(), slurm.long(1)
    await visit.start(spec)
    await slurm.until_logged(1)
    lab.empty()
    stranger = lab.run(
        "sbatch", "--parsable", "--hold", "-J", "somebody", "-o", "/dev/null", "--array=0-9%7", "--wrap", "sleep 300"
    ).strip()
    (jobid,) = slurm.root.glob("batches/*/jobid")
    jobid.write_text(jobid.read_text().replace(f'"{int(stranger) - 1}', f'"{stranger}'))

    told = await visit.ask(slurm.dialect.restrict({spec.eid: 2}))

    assert ([], f"{stranger}_[0-9%7]") == (sorted(told), lab.run("squeue", "-h", "-o", "%i", "-j", stranger).strip())
