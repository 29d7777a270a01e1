"""What a real Slurm says that it bears, to the daemon and to visitors alike; its accounting may hang."""

from __future__ import annotations

import getpass
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core import jobs
from reconciler.core.model import InstanceId, Resources, SweepName
from reconciler.core.wire_commands import inquire
from reconciler.dialects.base import Opinion, Tried
from reconciler.dialects.slurm import SlurmDialect
from reconciler.dialects.slurm_trial import SlurmTrials
from tests.fakes.slurm_lab import SlurmLab

NEEDED = ("slurmctld", "slurmd", "munge", "slurmdbd", "slurm-wlm-mysql-plugin", "mariadb-server")
pytestmark = [pytest.mark.timeout(240), *(pytest.mark.real(each) for each in NEEDED)]


@pytest.fixture(scope="module")
def lab() -> Iterator[SlurmLab]:
    """An account of which little may be there, and one without a limit; and a QOS that allows least."""
    folder = Path(tempfile.mkdtemp(prefix="s-site-"))
    lab = SlurmLab(folder, accounting=True, MaxArraySize="7", MinJobAge="11")
    lab.start()
    me = getpass.getuser()
    for words in (
        ("add", "account", "few", "Description=few", "Organization=lab"),
        ("add", "user", me, "account=few"),
        ("modify", "user", me, "where", "account=few", "set", "MaxSubmitJobs=5"),
        ("add", "qos", "least", "MaxSubmitJobsPerUser=2"),
        ("modify", "user", me, "where", "account=few", "set", "qos+=least"),
    ):
        lab.run("sacctmgr", "-i", *words)
    yield lab
    lab.close()
    shutil.rmtree(folder, ignore_errors=True)


async def surveyed(lab: SlurmLab, **options: str) -> jobs.Site | None:
    """As a visitor asks, who rules nothing there."""
    root = lab.folder / "visited"
    session = await lab.link().open(instance=InstanceId(""), root=str(root), slots=0, gpus=())
    try:
        question = SlurmDialect.of(options=options).survey()
        return question.parse(await session.ask(question.request))
    finally:
        await session.aclose()
        assert not root.exists()


async def test_a_cluster_tells_its_limits(lab: SlurmLab) -> None:
    site = await surveyed(lab, account="few")

    assert site is not None
    assert (f"Slurm {lab.version}", 7, 5, 11, 2, True, "main") == (
        site.version, site.batch_max, site.jobs_max, site.forgets_s, site.kill_wait_s, site.accounted,
        site.partition,
    )  # fmt: skip


async def test_a_qos_may_allow_less(lab: SlurmLab) -> None:
    site = await surveyed(lab, account="few", qos="least")

    assert site is not None
    assert 2 == site.jobs_max


async def test_an_account_without_a_limit_has_none(lab: SlurmLab) -> None:
    site = await surveyed(lab, account="root")

    assert site is not None
    assert site.jobs_max is None


async def test_an_accounting_that_hangs_keeps_nobody_from_hearing_the_rest(lab: SlurmLab) -> None:
    lab.signal_accounting(signal.SIGSTOP)
    try:
        site = await surveyed(lab, account="few")
    finally:
        lab.signal_accounting(signal.SIGCONT)

    assert site is not None
    assert (7, None, True) == (site.batch_max, site.jobs_max, site.accounted)


async def test_an_array_of_the_size_that_was_told_is_taken_and_a_larger_one_is_not(lab: SlurmLab) -> None:
    site = await surveyed(lab)
    assert site is not None
    most = site.batch_max
    assert most is not None

    taken = lab.run("sbatch", "--parsable", "--hold", f"--array=0-{most - 1}", "--wrap=true")
    lab.run("scancel", taken.strip())

    with pytest.raises(AssertionError, match="Invalid job array specification"):
        lab.run("sbatch", "--parsable", "--hold", f"--array=0-{most}", "--wrap=true")


async def tried(lab: SlurmLab, *, tasks: int = 1, **options: str) -> Tried:
    """What the cluster thinks of a submission with these options."""
    root = lab.folder / "visited"
    session = await lab.link().open(instance=InstanceId(""), root=str(root), slots=0, gpus=())
    try:
        demand = jobs.Demand(resources=Resources(), options=tuple(sorted(options.items())))
        trials = SlurmTrials(options={})
        question = inquire({"trial": trials.command(SweepName("s"), demand, tasks, str(root))})
        return trials.read(question.parse(await session.ask(question.request))["trial"], demand)
    finally:
        await session.aclose()


@pytest.mark.parametrize("name", ["account", "qos"])
async def test_an_account_or_a_qos_that_nobody_knows_is_refused_where_it_is_written(lab: SlurmLab, name: str) -> None:
    told = await tried(lab, **{name: "nosuch"})

    assert (Opinion.REFUSED, ("spec", "schedulerOptions", "slurm", name)) == (told.opinion, told.at)


async def test_an_account_that_is_full_takes_it_later(lab: SlurmLab) -> None:
    told = await tried(lab, account="few", tasks=6)

    assert Opinion.LATER is told.opinion, told
    assert "" == lab.run("squeue", "--noheader")
