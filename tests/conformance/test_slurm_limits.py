"""A real Slurm that enforces limits of accounts and QOS: what is full is no failure, and what is wrong is told."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.core.errors import Busy, Refused
from reconciler.core.wire import StartOutcome
from reconciler.dialects.slurm import SlurmDialect
from tests.conformance.conftest import Site
from tests.fakes.slurm_lab import SlurmLab

NEEDED = ("slurmctld", "slurmd", "munge", "slurmdbd", "slurm-wlm-mysql-plugin", "mariadb-server")
pytestmark = [pytest.mark.timeout(240), *(pytest.mark.real(each) for each in NEEDED)]
LAB = {"accounting": True}
PATIENCE_S = 90.0


@pytest.fixture(scope="module")
def limits(lab: SlurmLab) -> None:
    """Accounts and a QOS that bear little."""
    me = lab.run("id", "-un").strip()
    lab.run("sacctmgr", "-i", "add", "account", "few", "Description=few", "Organization=lab")
    lab.run("sacctmgr", "-i", "add", "user", me, "account=few")
    lab.run("sacctmgr", "-i", "modify", "user", me, "where", "account=few", "set", "MaxSubmitJobs=2", "MaxJobs=1")
    lab.run("sacctmgr", "-i", "add", "qos", "small", "GrpSubmitJobs=1")
    lab.run("sacctmgr", "-i", "modify", "user", me, "where", "account=root", "set", "qos+=small")


FULL = [({"account": "few"}, 2, "AssocMaxSubmitJobLimit"), ({"qos": "small"}, 1, "QOSGrpSubmitJobsLimit")]


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize(("options", "most", "word"), FULL)
async def test_a_limit_that_is_reached_is_told_as_busy_and_what_fits_later_is_taken(
    lab: SlurmLab, slurm: Site, options: dict[str, str], most: int, word: str
) -> None:
    slurm.dialect = SlurmDialect.of(options=options, poll_s=1.0)
    visit, specs = await slurm.open(), slurm.long(most + 1)
    await visit.start(*specs[:most])

    with pytest.raises(Busy, match=word):
        await visit.start(specs[most])
    await visit.cancel(*(spec.eid for spec in specs[:most]))
    for spec in specs[:most]:
        await visit.until(spec.eid, lambda found: found.job is None)

    assert {specs[most].eid: StartOutcome.ACCEPTED} == await visit.start(specs[most])


@pytest.mark.usefixtures("limits")
async def test_a_job_that_waits_for_a_limit_of_its_account_says_so(lab: SlurmLab, slurm: Site) -> None:
    slurm.dialect = SlurmDialect.of(options={"account": "few"}, poll_s=1.0)
    visit, specs = await slurm.open(), slurm.long(2)
    await visit.start(*specs)
    await slurm.until_logged(1)

    async with asyncio.timeout(PATIENCE_S):
        waits: set[tuple[str, bool]] = set()
        while not waits & {("AssocMaxJobsLimit", False)}:
            page = await visit.inspect(*(spec.eid for spec in specs))
            waits |= {(each.job.wait.word, each.job.wait.stuck) for each in page.values() if each.job and each.job.wait}
            await asyncio.sleep(0.3)


@pytest.mark.parametrize(("options", "words"), [({"account": "nosuch"}, "account"), ({"qos": "nosuch"}, "qos")])
async def test_an_account_or_a_qos_that_is_not_ours_is_refused_for_good_with_slurms_words_and_a_hint(
    lab: SlurmLab, slurm: Site, options: dict[str, str], words: str
) -> None:
    slurm.dialect = SlurmDialect.of(options=options, poll_s=1.0)
    visit = await slurm.open()

    with pytest.raises(Refused, match=f"Invalid {words}") as caught:
        await visit.start(*slurm.long(1))

    assert ("SubmissionRefused", True) == (caught.value.reason, "sacctmgr" in caught.value.hint)
