"""A real Slurm takes a task's place for work of a higher priority: it hears TERM, and has a grace to keep things."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.wire import Ended, ExitRecord
from reconciler.dialects.slurm import SlurmDialect
from tests.conformance.conftest import Site
from tests.fakes.slurm_lab import SlurmLab

pytestmark = [pytest.mark.real(each) for each in ("slurmctld", "slurmd", "munge")]
LAB = {
    "nodes": 1,
    "cpus": 2,
    "PreemptType": "preempt/partition_prio",
    "PreemptMode": "REQUEUE",
    "SlurmctldParameters": "preempt_send_user_signal",
    "KillWait": "15",
    "PartitionName": "low Nodes=ALL PriorityTier=1 MaxTime=INFINITE State=UP\n"
    "PartitionName=patient Nodes=ALL PriorityTier=1 GraceTime=300 MaxTime=INFINITE State=UP\n"
    "PartitionName=high Nodes=ALL PriorityTier=9 PreemptMode=OFF MaxTime=INFINITE State=UP",
}

KEEPS = """
kept=$RECONCILER_CHECKPOINT/kept
trap 'sleep 1; echo $RECONCILER_ATTEMPT > $kept; exit 75' %s
[ -e $kept ] && { echo "goes on from $(cat $kept)" >> $log; exit 0; }
echo begun >> $log
while :; do sleep 0.05; done
"""


async def _preempted(lab: SlurmLab, slurm: Site, script: str, **options: Any) -> tuple[ExitRecord, ExitRecord]:
    """The ends of two attempts: one that was preempted, and the next one."""
    visit = await slurm.open()
    first = slurm.shell(script, checkpoint="one", attempt=1, **options)
    second = slurm.shell(script, checkpoint="one", attempt=2, **options)
    await visit.start(first)
    await slurm.until_logged(1)
    await visit.until(first.eid, lambda found: found.claim)

    lab.run("sbatch", "--partition=high", "--cpus-per-task=2", "--output=/dev/null", "--wrap", "sleep 1")
    ended = await visit.until(first.eid, lambda found: found.exit, 60)
    await visit.start(second)
    resumed = await visit.until(second.eid, lambda found: found.exit, 60)

    assert ended.exit is not None
    assert resumed.exit is not None
    return ended.exit, resumed.exit


async def test_a_task_that_is_preempted_hears_term_and_has_its_grace(lab: SlurmLab, slurm: Site) -> None:
    slurm.dialect = SlurmDialect.of(options={"partition": "low"}, poll_s=1.0)

    ended, resumed = await _preempted(lab, slurm, KEEPS % "TERM", grace_s=10.0)

    assert (Ended.CANCEL, 75) == (ended.ended_by, ended.exit_code)
    assert (0, ["begun", "goes on from 1"]) == (resumed.exit_code, slurm.logged())


async def test_where_the_site_warns_before_it_preempts_the_task_hears_its_signal(lab: SlurmLab, slurm: Site) -> None:
    slurm.dialect = SlurmDialect.of(options={"partition": "patient"}, poll_s=1.0)

    ended, resumed = await _preempted(
        lab, slurm, KEEPS % "USR2", walltime_s=3600, warn_s=300, warn_signal="USR2", grace_s=10.0
    )

    assert (Ended.ITSELF, 75) == (ended.ended_by, ended.exit_code)
    assert (0, ["begun", "goes on from 1"]) == (resumed.exit_code, slurm.logged())
