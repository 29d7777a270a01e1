"""A real Slurm that keeps accounts: ends that nobody recorded, told by slurmdbd, which may lag, or know of another's.

The shim of each job is killed with all that it has started, or its record is taken away, so that Slurm alone knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.evidence import Scheduled, evidence
from reconciler.core.jobs import JobState, Listing, Verdict
from reconciler.core.model import (
    Attempt,
    AttemptKey,
    Digest,
    FailureClass,
    HostIdentity,
    Phase,
    Resources,
    SourceName,
    SweepName,
    TaskId,
)
from reconciler.core.resolve import resolve
from reconciler.core.wire import AttemptSpec, Found
from reconciler.dialects.slurm import SlurmDialect
from tests.conformance.conftest import Site, Visit
from tests.fakes.slurm_lab import SlurmLab

NEEDED = ("slurmctld", "slurmd", "munge", "slurmdbd", "slurm-wlm-mysql-plugin", "mariadb-server")
pytestmark = [pytest.mark.timeout(240), *(pytest.mark.real(each) for each in NEEDED)]
LAB = {"accounting": True, "AccountingStoreFlags": "job_comment"}
PATIENCE_S = 60.0  # Slurm looks every 30 s for jobs whose time is up
HERE = HostIdentity(host="h", machine="m", boot="b")


class AccountsAlone:
    """The dialect, which does not ask the controller what it remembers of ends: only the accounting tells."""

    def __init__(self, dialect: SlurmDialect) -> None:
        self._dialect = dialect

    def __getattr__(self, name):
        return getattr(self._dialect, name)

    def inspect(self, eids):
        exchange = self._dialect.inspect(eids)
        body = dict(exchange.request.body)
        kept = ("sacct", "sinfo")
        body["histories"] = [
            each if each["argv"][0] in kept else {**each, "argv": ["false"]} for each in body["histories"]
        ]
        return replace(exchange, request=replace(exchange.request, body=body))


async def started(site: Site, visit: Visit, script: str = "sleep 300", **options: str) -> AttemptSpec:
    """One attempt that runs."""
    spec = site.shell(f"echo $RECONCILER_TASK >> $log; {script}")
    dialect = site.dialect = SlurmDialect.of(options=options, poll_s=1.0)
    await visit.start(spec)
    await visit.until(spec.eid, lambda found: found.claim)
    site.dialect = AccountsAlone(dialect)
    return spec


def shim(site: Site, spec: AttemptSpec) -> int:
    """Its pid."""
    (claim,) = site.root.glob(f"attempts/*/{spec.eid}/claim")
    return int(json.loads(claim.read_text())["pid"])


def vanish(site: Site, spec: AttemptSpec) -> None:
    """Kill its shim and all that it has started: nobody writes a record any more."""
    family = [shim(site, spec)]
    for pid in family:
        family += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    for pid in family:
        os.kill(pid, signal.SIGKILL)


async def without_record(site: Site, visit: Visit, spec: AttemptSpec) -> None:
    """It has ended, and what it has written down is lost."""
    await visit.until(spec.eid, lambda found: found.exit, PATIENCE_S)
    (record,) = site.root.glob(f"attempts/*/{spec.eid}/exit.json")
    record.unlink()


async def job_of(visit: Visit, spec: AttemptSpec) -> str:
    claim = (await visit.inspect(spec.eid))[spec.eid].claim
    assert claim is not None
    return claim.job


async def until_kept(lab: SlurmLab, number: str, columns: str, *rows: str) -> None:
    """The accounting has exactly these rows of jobs with that id."""
    until = time.monotonic() + PATIENCE_S
    while (kept := lab.run("sacct", "-nXP", "--duplicates", "-j", number, "-o", columns).splitlines()) != list(rows):
        assert time.monotonic() < until, kept
        await asyncio.sleep(0.3)


async def accounted(visit: Visit, spec: AttemptSpec) -> Found:
    return await visit.until(spec.eid, lambda found: found.account and found.job is None, PATIENCE_S)


def concluded(found: Found) -> Attempt:
    """What becomes of the attempt when the queue has not had it for long enough."""
    attempt = Attempt(
        key=AttemptKey(SweepName("a-sweep"), TaskId("t"), 1),
        eid=found.eid,
        source=SourceName("cluster"),
        digest=Digest(""),
        phase=Phase.QUEUED,
        home=HERE,
        resources=Resources(),
        intended_at=0.0,
    )
    told = evidence(attempt, found, HERE, Scheduled(gone={found.eid}, clock=0.0))
    resolved = resolve(attempt, told, 1.0)
    assert isinstance(resolved, Attempt)
    return resolved


# ---------------------------------------------------------------------------------------------- ends


async def test_a_job_that_was_cancelled_is_told_with_who_has_done_it(lab: SlurmLab, slurm: Site) -> None:
    visit = await slurm.open()
    spec = await started(slurm, visit)
    lab.run("scancel", await job_of(visit, spec))
    await without_record(slurm, visit, spec)

    found = await accounted(visit, spec)

    assert found.account is not None
    assert (Verdict.CANCELLED, f"CANCELLED by {os.getuid()}") == (found.account.verdict, found.account.raw)
    assert FailureClass.CANCELLED_EXTERNALLY is concluded(found).failure


async def test_a_job_whose_time_was_up_has_timed_out(lab: SlurmLab, slurm: Site) -> None:
    visit = await slurm.open()
    spec = await started(slurm, visit)
    lab.run("scontrol", "update", f"jobid={await job_of(visit, spec)}", "endtime=now+1")
    await without_record(slurm, visit, spec)

    found = await accounted(visit, spec)

    assert found.account is not None
    assert Verdict.TIMEOUT is found.account.verdict
    assert (Phase.FAILED, FailureClass.TIMEOUT) == (concluded(found).phase, concluded(found).failure)


async def test_a_job_whose_node_fails_is_accounted_and_believed_only_when_the_node_is_heard_again(
    lab: SlurmLab, slurm: Site
) -> None:
    visit = await slurm.open()
    spec = await started(slurm, visit, nodelist="n2")
    lab.kill_node("n2")
    lab.run("scontrol", "update", "nodename=n2", "state=down", "reason=test")
    try:
        unheard = await visit.until(spec.eid, lambda found: found.account and not found.account.ceased)
    finally:
        vanish(slurm, spec)
        lab.start_node("n2")
        lab.until_idle()
    heard = await visit.until(spec.eid, lambda found: found.account and found.account.ceased)

    assert unheard.account is not None
    assert Verdict.NODE_FAILURE is unheard.account.verdict
    assert Phase.RUNNING is concluded(unheard).phase
    assert FailureClass.NODE_FAILURE is concluded(heard).failure


async def test_a_job_whose_shim_is_killed_is_lost_and_its_usage_is_known_all_the_same(
    lab: SlurmLab, slurm: Site
) -> None:
    visit = await slurm.open()
    block = "x = bytearray(200 << 20)\nwhile True: pass"
    spec = await started(slurm, visit, f"exec python3 -c '{block}'")
    await asyncio.sleep(4.0)  # the accounting looks once a second
    vanish(slurm, spec)

    found = await accounted(visit, spec)

    assert found.account is not None
    assert Verdict.FAILED is found.account.verdict
    ended = concluded(found)
    assert (Phase.LOST, None) == (ended.phase, ended.exit_code)
    assert ended.max_rss_mib is not None
    assert 200 <= ended.max_rss_mib < 400


async def test_a_task_does_not_outlive_its_shim_for_its_job_would_count_as_ended(lab: SlurmLab, slurm: Site) -> None:
    visit = await slurm.open()
    spec = await started(slurm, visit, "while true; do echo alive >> $log; sleep 0.1; done")
    os.kill(shim(slurm, spec), signal.SIGKILL)
    await accounted(visit, spec)

    written = len(slurm.logged())
    await asyncio.sleep(1.0)

    assert written == len(slurm.logged())


async def test_a_completed_job_without_our_record_is_no_success(lab: SlurmLab, slurm: Site) -> None:
    visit = await slurm.open()
    spec = await started(slurm, visit, "exit 0")
    await without_record(slurm, visit, spec)

    found = await accounted(visit, spec)

    assert found.account is not None
    assert Verdict.COMPLETED is found.account.verdict
    assert Phase.LOST is concluded(found).phase


async def test_of_a_job_that_was_requeued_the_start_that_has_the_claim_counts(lab: SlurmLab, slurm: Site) -> None:
    visit = await slurm.open()
    spec = await started(slurm, visit)
    number = await job_of(visit, spec)
    await asyncio.sleep(1.5)  # starts are kept apart by the second in which they were submitted
    lab.run("scontrol", "update", f"jobid={number}", "requeue=1")
    lab.run("scontrol", "requeue", number)
    await without_record(slurm, visit, spec)
    await visit.until(spec.eid, lambda found: found.job and found.job.state is JobState.WAITING)
    await asyncio.sleep(2.0)  # sooner its node starts nothing of it: it has just ended it
    with contextlib.suppress(AssertionError):  # until it has ended: Slurm may put it off once more
        for _ in range(20):
            lab.run("scontrol", "update", f"jobid={number}", "starttime=now")
            await asyncio.sleep(0.5)
    await until_kept(lab, number, "State", "REQUEUED", "FAILED")
    found = await accounted(visit, spec)

    assert found.account is not None
    assert (Verdict.PREEMPTED, 0) == (found.account.verdict, found.account.restarts)
    assert 1 == len(slurm.logged())


# ---------------------------------------------------------------------------------------------- lagging and failing


async def test_an_accounting_that_is_away_says_nothing_and_tells_the_end_when_it_is_back(
    lab: SlurmLab, slurm: Site
) -> None:
    visit = await slurm.open()
    spec = await started(slurm, visit)
    assert lab.accounts is not None
    lab.accounts.stop_daemon()
    try:
        vanish(slurm, spec)
        away = await visit.until(spec.eid, lambda found: found.listing is Listing.CLEAN and found.job is None)
    finally:
        lab.accounts.start_daemon()
    back = await accounted(visit, spec)

    assert (None, Phase.RUNNING) == (away.account, concluded(away).phase)
    assert back.account is not None
    assert Verdict.FAILED is back.account.verdict


async def test_an_accounting_that_hangs_costs_a_look_its_patience_and_nothing_else(lab: SlurmLab, slurm: Site) -> None:
    visit = await slurm.open()
    spec = await started(slurm, visit)
    vanish(slurm, spec)
    lab.signal_accounting(signal.SIGSTOP)
    try:
        found = await visit.until(spec.eid, lambda found: found.job is None, PATIENCE_S)
    finally:
        lab.signal_accounting(signal.SIGCONT)

    assert (Listing.CLEAN, None) == (found.listing, found.account)
    assert (await accounted(visit, spec)).account is not None


@pytest.mark.parametrize("lines", ["echo garbage; echo '1|2|3'", "echo sacct: error: no >&2; exit 1", "kill -9 $$"])
async def test_an_accounting_that_answers_nonsense_says_nothing(lab: SlurmLab, slurm: Site, lines: str) -> None:
    programs = slurm.folder / "bin"
    programs.mkdir()
    (programs / "sacct").write_text(f"#!/bin/sh\n{lines}\n")
    (programs / "sacct").chmod(0o755)
    slurm.link = lab.link(PATH=f"{programs}:{os.environ['PATH']}")
    visit = await slurm.open()
    spec = await started(slurm, visit)
    vanish(slurm, spec)

    found = await visit.until(spec.eid, lambda found: found.job is None)

    assert (Listing.CLEAN, None) == (found.listing, found.account)
    assert Phase.RUNNING is concluded(found).phase


# ---------------------------------------------------------------------------------------------- ids that come again


async def test_a_controller_that_has_forgotten_everything_is_made_up_for_by_the_accounting(
    lab: SlurmLab, slurm: Site
) -> None:
    visit = await slurm.open()
    spec = await started(slurm, visit)
    number = await job_of(visit, spec)
    lab.run("scancel", number)
    await without_record(slurm, visit, spec)
    await accounted(visit, spec)

    lab.lose_state(FirstJobId="50000")
    slurm.dialect = SlurmDialect.of(options={}, poll_s=1.0)
    found = (await visit.inspect(spec.eid))[spec.eid]

    assert "" == lab.run("squeue", "-h", "--states=all")
    assert (None, Listing.CLEAN) == (found.job, found.listing)
    assert found.account is not None
    assert (Verdict.CANCELLED, number) == (found.account.verdict, found.account.job)


async def test_a_stranger_that_gets_our_old_id_is_not_taken_for_ours_nor_ended(lab: SlurmLab, slurm: Site) -> None:
    visit = await slurm.open()
    spec = await started(slurm, visit)
    number = await job_of(visit, spec)
    lab.lose_state(FirstJobId=number.partition("_")[0])
    words = ("--parsable", "-J", "somebody", "-o", "/dev/null", "--array=0-0", "--wrap", "sleep 300")
    stranger = lab.run("sbatch", *words).strip()
    assert number == f"{stranger}_0"

    found = (await visit.inspect(spec.eid))[spec.eid]
    await visit.cancel(spec.eid)

    assert found.job is None
    assert "somebody" == lab.run("squeue", "-h", "-o", "%j", "-j", stranger).strip()


async def test_the_end_of_a_stranger_with_our_old_id_is_none_of_ours(lab: SlurmLab, slurm: Site) -> None:
    assert lab.accounts is not None
    visit = await slurm.open()
    lab.accounts.stop_daemon()
    try:
        spec = await started(slurm, visit)
        number = await job_of(visit, spec)
        lab.run("scancel", number)
        await without_record(slurm, visit, spec)
        lab.empty()
        lab.renew_nodes()  # else they may end whatever gets its number
        lab.kill_controller()  # and what it had kept for the accounting goes with its state
    finally:
        lab.accounts.start_daemon()
    lab.lose_state(FirstJobId=number.partition("_")[0])
    lab.run("sbatch", "-J", "somebody", "-o", "/dev/null", "--array=0-0", "--wrap", "exit 0")
    await until_kept(lab, number, "JobID,State,JobName", f"{number}|COMPLETED|somebody")

    found = (await visit.inspect(spec.eid))[spec.eid]

    assert (Listing.CLEAN, None) == (found.listing, found.account)
