"""The questions that `check` asks. They change nothing, and disturb no daemon and no source root.

On this machine the agent is tried in a folder of its own, because opening a real root would take it away from its
daemon; other machines are visited, which wins nothing and makes nothing there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.app import App
from reconciler.cli.failures import parts
from reconciler.cli.faraway import VISITOR
from reconciler.cli.farchecks import Whose, far_findings
from reconciler.cli.findings import Finding, Level, failure
from reconciler.cli.output import plural
from reconciler.cli.schedulers import PROGRAMS, scheduler_findings
from reconciler.cli.trials import try_out
from reconciler.core.errors import ReconcilerError, StoreError
from reconciler.core.model import Commit, InstanceId
from reconciler.core.settings import Config, SourceConfig

if TYPE_CHECKING:
    from reconciler.controller.survey import Manifest
    from reconciler.repository import Repository

GIT_OLDEST = (2, 28)
DISK_MIB = 1024
AGENT_S = 20.0
NOBODY = InstanceId("aaaa")


async def look_around(app: App) -> AsyncIterator[Finding]:
    """One answer after the other; without a configuration there is less to ask."""
    yield Finding(subject="python", message=platform.python_version())
    yield _git()
    try:
        config = app.config
    except ReconcilerError as error:
        for each in parts(error):
            yield failure("configuration", each)
        return
    yield Finding(subject="configuration", message=config.file or "the default, for this repository on this machine")
    whose, wrong = _whose(app)
    for finding in (*_state(config), *wrong, _daemon(app)):
        yield finding
    found, manifests = await _repository(config, app)
    for finding in found:
        yield finding
    for asked in [asyncio.ensure_future(_source(source, app, whose)) for source in config.sources]:
        for finding in await asked:
            yield finding
    for finding in await try_out(config, [manifest.loaded for manifest in manifests]):
        yield finding


def _git() -> Finding:
    try:
        told = subprocess.run(["git", "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(subject="git", level=Level.FAIL, message=f"cannot be run: {error}", hint="install git")
    match = re.search(r"(\d+)\.(\d+)", told)
    if match is None or (int(match[1]), int(match[2])) < GIT_OLDEST:
        return Finding(subject="git", level=Level.FAIL, message=told.strip() or "no version", hint="2.28 is the oldest")
    return Finding(subject="git", message=told.removeprefix("git version").strip())


def _state(config: Config) -> Iterator[Finding]:
    from reconciler.store.database import filesystem, is_network

    directory = Path(config.state_dir)
    there = _existing(directory)
    if not os.access(there, os.W_OK | os.X_OK):
        hint = "choose another folder with `state: {dir: …}`, or change its owner"
        yield Finding(subject="state", level=Level.FAIL, message=f"{there} cannot be written", hint=hint)
        return
    kind = filesystem(there, Path("/proc/self/mountinfo").read_text())
    if is_network(kind):
        hint = "SQLite needs a local disk: choose one with `state: {dir: …}`"
        yield Finding(subject="state", level=Level.FAIL, message=f"{directory} is on {kind}", hint=hint)
        return
    made = "" if directory.exists() else ", made by the first `run`"
    yield Finding(subject="state", message=f"{directory} ({kind or 'unknown file system'}{made})")


def _daemon(app: App) -> Finding:
    if app.daemon_runs():
        return Finding(subject="daemon", message="runs")
    return Finding(subject="daemon", level=Level.WARN, message="does not run", hint="start it with `reconciler run`")


async def _repository(config: Config, app: App) -> tuple[list[Finding], tuple[Manifest, ...]]:
    """Fetched into a mirror that is thrown away: the daemon's own is the daemon's. Also its good manifests."""
    from reconciler.repository import Repository

    with tempfile.TemporaryDirectory(prefix="reconciler-check-") as folder:
        mirror = Path(folder) / "mirror.git"
        try:
            with contextlib.closing(Repository(config.repository, mirror, clock=app.clock)) as repository:
                head = await repository.fetch()
                await repository.verify(head.commit)
                told = _head(config, head.commit, len(repository.listing(head.commit).manifests))
                found, manifests = await _manifests(config, repository, head.commit, app)
        except ReconcilerError as error:
            return [failure("repository", error)], ()
    return [told, *found], manifests


def _head(config: Config, commit: str, manifests: int) -> Finding:
    wanted = config.repository
    told = f"{wanted.url}, branch {wanted.branch} at {commit[:12]}, {plural(manifests, 'manifest')} in {wanted.path}"
    if not manifests:
        hint = "`reconciler init` writes a first one"
        return Finding(subject="repository", level=Level.WARN, message=told, hint=hint)
    return Finding(subject="repository", message=told)


async def _manifests(
    config: Config, repository: Repository, commit: Commit, app: App
) -> tuple[list[Finding], tuple[Manifest, ...]]:
    """What is wrong with manifests: with the files of a checkout on this machine, before they are committed."""
    from reconciler.controller.survey import AtCommit, Surveyor, Tree, projects_of
    from reconciler.repository import WorkingTree

    checkout = Path(config.repository.url)
    tree: Tree = AtCommit(repository, commit)
    if (checkout / ".git").exists():
        tree = WorkingTree(checkout, config.repository.path)
    surveyor = Surveyor(max_tasks=config.max_tasks_per_sweep, projects=projects_of(config), clock=app.clock)
    survey = await surveyor.survey(tree)
    errors = [error for several in survey.broken.values() for broken in several for error in broken.errors]
    return [failure("manifest", error) for error in errors], tuple(survey.sweeps.values())


async def _source(source: SourceConfig, app: App, whose: Whose) -> list[Finding]:
    """All sources are asked side by side."""
    subject = f"source {source.name}"
    if source.host is not None:
        return await far_findings(source, app.clock, whose)
    found = [_room(subject, source), _disk(subject, source), await _agent(subject)]
    return [*found, *await _scheduler(subject, source)]


async def _scheduler(subject: str, source: SourceConfig) -> list[Finding]:
    """A machine without the programs of any is not asked for one."""
    from reconciler.links.choice import link_to

    here = [name for several in PROGRAMS.values() for name in several if shutil.which(name)]
    if not here and not source.scheduled:
        return []
    try:
        async with asyncio.timeout(AGENT_S * 4):
            session = await link_to(source).open(instance=VISITOR, root=source.root, slots=0, gpus=())
            try:
                return await scheduler_findings(source, session, here)
            finally:
                await session.aclose()
    except ReconcilerError as error:
        return [failure(subject, error)]
    except TimeoutError:
        message = "its scheduler has not answered in time"
        return [Finding(subject=subject, level=Level.FAIL, message=message, hint="is its controller overloaded?")]


def _whose(app: App) -> tuple[Whose, Sequence[Finding]]:
    """Whose state this is, and what keeps it from being read."""
    from reconciler.store.whole import instance_of

    wrong: list[Finding] = []
    whose = Whose()
    try:
        whose = Whose(instance=instance_of(app.state_dir))
        if whose.instance is not None:
            with app.reader():
                pass
    except StoreError as error:
        waits = error.reason == "OlderState"  # the daemon mends that by itself
        wrong.append(replace(failure("state", error), level=Level.WARN if waits else Level.FAIL))
        whose = replace(whose, unread=not waits)
    return whose, wrong


def _room(subject: str, source: SourceConfig) -> Finding:
    cpus = len(os.sched_getaffinity(0))
    memory_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    what = "jobs at most" if source.scheduled else "slots"
    told = f"{source.slots} {what}, {cpus} CPUs, {memory_mib} MiB of memory"
    if source.slots > cpus and not source.scheduled:
        hint = "more slots than CPUs make each task slower"
        return Finding(subject=subject, level=Level.WARN, message=told, hint=hint)
    return Finding(subject=subject, message=told)


def _disk(subject: str, source: SourceConfig) -> Finding:
    there = _existing(Path(source.root).expanduser())
    if not os.access(there, os.W_OK | os.X_OK):
        hint = "choose another folder with `root: …`"
        return Finding(subject=subject, level=Level.FAIL, message=f"{there} cannot be written", hint=hint)
    free_mib = shutil.disk_usage(there).free >> 20
    told = f"root {source.root}, {free_mib} MiB free"
    if free_mib < DISK_MIB:
        return Finding(subject=subject, level=Level.WARN, message=told, hint="tasks may fill the disk")
    return Finding(subject=subject, message=told)


async def _agent(subject: str) -> Finding:
    from reconciler.links.local import LocalLink

    with tempfile.TemporaryDirectory(prefix="reconciler-check-") as folder:
        try:
            link = LocalLink(open_timeout_s=AGENT_S)
            session = await link.open(instance=NOBODY, root=f"{folder}/root", slots=1, gpus=())
            python = session.hello.python
            await session.aclose()
        except ReconcilerError as error:
            return failure(subject, error)
    return Finding(subject=subject, message=f"the agent answers, on Python {python}")


def _existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that there is."""
    return next(each for each in (path, *path.parents) if each.exists())
