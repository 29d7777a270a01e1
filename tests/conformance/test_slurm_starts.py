"""Nodes of a real Slurm that cannot start what we submit, and those that start it in another way than the login."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from reconciler.core.jobs import JobState, Listing
from reconciler.core.wire import Ended, RevokeOutcome
from reconciler.dialects.slurm import SlurmDialect
from reconciler.links.local import LocalLink
from tests.conformance.conftest import Site
from tests.fakes.slurm_lab import SlurmLab

NO_ROOT = (
    "JobLaunchFailure, its node could not open the file for what the job says",
    "NonZeroExitCode, its node does not have the source's `root`",  # a newer Slurm makes the folder of that file
    "NonZeroExitCode, exit code 1",  # 20.11 tells no more
)
pytestmark = [pytest.mark.real(each) for each in ("slurmctld", "slurmd", "munge")]


def _link(lab: SlurmLab, python: Path) -> LocalLink:
    """An agent whose Python is this one."""
    login = lab.folder / f"login.{python.name}"
    login.write_text(f'#!/bin/sh\nSLURM_CONF={lab.folder}/slurm.conf exec {python} "$@"\n')
    login.chmod(0o755)
    return LocalLink(python=str(login))


async def test_a_job_starts_with_the_python_that_its_source_names_for_nodes(slurm: Site) -> None:
    python = slurm.folder / "my python"
    python.symlink_to("/usr/bin/python3")
    slurm.dialect = SlurmDialect.of(options={}, poll_s=1.0, python=str(python))
    visit = await slurm.open()

    ended = await visit.run("/bin/true")

    assert ended.exit is not None
    assert (Ended.ITSELF, 0) == (ended.exit.ended_by, ended.exit.exit_code)


async def test_a_node_without_the_login_s_python_takes_its_own(lab: SlurmLab, slurm: Site) -> None:
    python = slurm.folder / "python-of-the-login"
    python.symlink_to(sys.executable)
    slurm.link = _link(lab, python)
    visit = await slurm.open()
    python.unlink()

    ended = await visit.run("/bin/true")

    assert ended.exit is not None
    assert 0 == ended.exit.exit_code


async def test_a_node_without_python_says_so_and_nothing_is_claimed(slurm: Site) -> None:
    slurm.dialect = SlurmDialect.of(options={}, poll_s=1.0, python="/no/such/python")
    visit, (spec,) = await slurm.open(), slurm.long(1)
    await visit.start(spec)

    found = await visit.until(spec.eid, lambda found: found.said)

    assert (Listing.CLEAN, None, None) == (found.listing, found.job, found.claim)
    assert found.said.startswith("Slurm says FAILED on n")
    assert ", NonZeroExitCode, exit code 127: There is no Python on n" in found.said
    assert found.said.endswith(" Tried: /no/such/python")
    assert {spec.eid: RevokeOutcome.REVOKED} == await visit.ask(slurm.dialect.revoke([spec.eid]))


async def test_a_node_that_does_not_have_the_root_is_told_apart(lab: SlurmLab, slurm: Site) -> None:
    visit, (spec,) = await slurm.open(), slurm.long(1)
    lab.run("scontrol", "update", "partition=main", "state=down")
    try:
        await visit.start(spec)
        await visit.until(spec.eid, lambda found: found.job and found.job.state is JobState.WAITING)
        os.rename(slurm.root, slurm.folder / "unmounted")
    finally:
        lab.run("scontrol", "update", "partition=main", "state=up")
    try:
        await _over(lab)
    finally:
        if slurm.root.exists():  # a newer Slurm makes the folder that a log should be in
            os.rename(slurm.root, slurm.folder / "of the node")
        os.rename(slurm.folder / "unmounted", slurm.root)

    found = await visit.until(spec.eid, lambda found: found.said)

    assert any(words in found.said for words in NO_ROOT)
    assert found.claim is None


async def _over(lab: SlurmLab) -> None:
    """Nothing waits or runs any more."""
    async with asyncio.timeout(40):
        while lab.run("squeue", "-h"):  # noqa: ASYNC110 - another program makes it so
            await asyncio.sleep(0.2)
