"""A real Slurm that limits the memory of jobs: the system kills a process, which need not be the task itself."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.diagnosis import recorded
from reconciler.core.jobs import Demand, Verdict
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
from reconciler.core.wire import ExitRecord
from tests.conformance.conftest import Site
from tests.fakes.slurm_lab import SlurmLab

NEEDED = ("slurmctld", "slurmd", "munge", "slurmdbd", "slurm-wlm-mysql-plugin", "mariadb-server")
pytestmark = [pytest.mark.timeout(240), pytest.mark.mounts, *(pytest.mark.real(each) for each in NEEDED)]
ASKED = Resources(memory_mib=128)
HUNGRY = "x = bytearray(400 << 20)"
MANY = """
import subprocess, sys
child = [sys.executable, "-c", "import time; x = bytearray(60 << 20); time.sleep(5)"]
children = [subprocess.Popen(child) for _ in range(4)]
sys.exit(3 if any([each.wait() for each in children]) else 0)
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[SlurmLab]:
    """A cluster whose nodes give each job a control group of its own."""
    folder = Path(tempfile.mkdtemp(prefix="s-lab-"))
    (folder / "cgroup.conf").write_text("ConstrainRAMSpace=yes\n")
    number = str(100_000 + secrets.randbelow(10_000_000))  # groups are named by it, and are the machine's
    lab = SlurmLab(folder, nodes=1, accounting=True, TaskPlugin="task/cgroup", FirstJobId=number)
    lab.start()
    yield lab
    lab.close()
    shutil.rmtree(folder, ignore_errors=True)
    for group in sorted(Path("/sys/fs/cgroup").glob("*/slurm_n1/uid_*"), reverse=True):
        for each in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            each.rmdir()


def ended(record: ExitRecord | None) -> Attempt:
    assert record is not None
    attempt = Attempt(
        key=AttemptKey(SweepName("a-sweep"), TaskId("t"), 1),
        eid="g" * 15,
        source=SourceName("cluster"),
        digest=Digest(""),
        phase=Phase.RUNNING,
        home=HostIdentity(host="h", machine="m", boot="b"),
        resources=ASKED,
        intended_at=0.0,
    )
    return recorded(attempt, record)


async def test_a_task_that_takes_more_than_it_asked_for_was_out_of_memory(slurm: Site) -> None:
    visit, spec = await slurm.open(), slurm.python(HUNGRY, demand=Demand(resources=ASKED))
    await visit.start(spec)

    found = await visit.ended(spec.eid)

    assert found.exit is not None
    assert (9, 1) == (found.exit.signal, found.exit.oom_kills)
    assert FailureClass.OUT_OF_MEMORY is ended(found.exit).failure


async def test_a_task_that_fails_because_its_children_took_too_much_together_was_out_of_memory(slurm: Site) -> None:
    visit, spec = await slurm.open(), slurm.python(MANY, demand=Demand(resources=ASKED))
    await visit.start(spec)

    found = await visit.ended(spec.eid)

    assert found.exit is not None
    assert (3, True) == (found.exit.exit_code, found.exit.oom_kills > 0)
    assert FailureClass.OUT_OF_MEMORY is ended(found.exit).failure


async def test_a_task_that_fails_by_itself_was_not(slurm: Site) -> None:
    visit, spec = await slurm.open(), slurm.python("raise SystemExit(3)", demand=Demand(resources=ASKED))
    await visit.start(spec)

    found = await visit.ended(spec.eid)

    assert found.exit is not None
    assert (3, 0) == (found.exit.exit_code, found.exit.oom_kills)
    assert FailureClass.USER_ERROR is ended(found.exit).failure


async def test_the_accounting_tells_it_when_no_record_does(slurm: Site) -> None:
    visit, spec = await slurm.open(), slurm.python(HUNGRY, demand=Demand(resources=ASKED))
    await visit.start(spec)
    await visit.until(spec.eid, lambda found: found.exit)
    (record,) = slurm.root.glob(f"attempts/*/{spec.eid}/exit.json")
    record.unlink()

    found = await visit.until(spec.eid, lambda found: found.account)

    assert found.account is not None
    assert Verdict.OUT_OF_MEMORY is found.account.verdict
