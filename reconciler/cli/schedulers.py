"""Which scheduler is really there: the one of the configuration, another one, or none.

A controller must answer: programs alone are on many machines that belong to no cluster.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from reconciler.cli.findings import Finding, Level
from reconciler.cli.output import plural
from reconciler.core.jobs import Site, site_to_json
from reconciler.core.pace import missed
from reconciler.core.settings import SourceConfig
from reconciler.core.wire_commands import Command, Ran
from reconciler.dialects import slurm_site
from reconciler.dialects.base import Surveyed
from reconciler.dialects.choice import dialect_of

if TYPE_CHECKING:
    from reconciler.links.base import Session

PROGRAMS = {"slurm": ("sbatch", "squeue", "scancel"), "pbs": ("qsub", "qstat", "qdel")}


async def scheduler_findings(source: SourceConfig, session: Session, programs: Collection[str]) -> list[Finding]:
    """What is found over a visitor's session. programs: of schedulers, on the PATH there. Raises as `Session.ask`."""
    subject, dialect = f"source {source.name}", dialect_of(source)
    wrong = list(missing(subject, source.scheduler, programs))
    if wrong:
        return wrong
    if isinstance(dialect, Surveyed):
        return list(_judged(subject, source, await surveyed(dialect, session)))
    if not source.scheduled and "sbatch" in programs:
        question = slurm_site.presence()
        return list(_overlooked(subject, source, question.parse(await session.ask(question.request))))
    return list(_unspoken(subject, source, programs))


async def surveyed(dialect: Surveyed, session: Session) -> Site | None:
    """What the cluster there bears; None when no controller answers. Raises as `Session.ask`."""
    question = slurm_site.presence(slurm_site.ASK_S)
    if question.parse(await session.ask(question.request)) is None:
        return None
    question = dialect.survey()
    return question.parse(await session.ask(question.request))


def scheduler_here() -> Site | None:
    """The cluster that this machine belongs to, if a controller answers. Without an agent, and without waiting long."""
    if shutil.which("scontrol") is None:
        return None
    asked = slurm_site.commands()
    ran = {"config": _ran(asked["config"])}
    if ran["config"].rc == 0:
        ran["partitions"] = _ran(asked["partitions"])
    return slurm_site.read(ran, {})


def pbs_here() -> bool:
    """Whether the programs of a PBS are there, which are not spoken to. Slurm brings some of that name, too."""
    return all(shutil.which(name) for name in PROGRAMS["pbs"]) and shutil.which("sbatch") is None


def _ran(command: Command) -> Ran:
    kept = {name: word for name, word in os.environ.items() if not any(re.match(each, name) for each in command.drop)}
    try:
        done = subprocess.run(
            command.argv,
            env={**kept, **command.env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=slurm_site.PRESENT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Ran(rc=None, err=str(error))
    return Ran(rc=done.returncode, out=done.stdout, err=done.stderr)


def missing(subject: str, scheduler: str, programs: Collection[str]) -> Iterator[Finding]:
    """The programs by which this scheduler is spoken to, if they are not there."""
    lacking = [name for name in PROGRAMS.get(scheduler, ()) if name not in programs]
    if lacking:
        hint = "add them to the PATH of logins without a terminal, or correct `scheduler`"
        message = f"the programs of {scheduler} were not found: {', '.join(lacking)}"
        yield Finding(subject=subject, level=Level.FAIL, message=message, hint=hint)


def _judged(subject: str, source: SourceConfig, site: Site | None) -> Iterator[Finding]:
    """Of a source that is said to be a cluster."""
    if site is None:
        hint = "see what `scontrol ping` says there, and whether SLURM_CONF is set for logins without a terminal"
        yield Finding(subject=subject, level=Level.FAIL, message="no controller of Slurm answers there", hint=hint)
        return
    if site.batch_max == 0:
        hint = "ask its administrators for a MaxArraySize above 0: all is submitted as arrays"
        yield Finding(subject=subject, level=Level.FAIL, message="job arrays are switched off there", hint=hint)
        return
    yield Finding(subject=subject, message=f"{site.version} answers; {_bears(source, site)}", site=site_to_json(site))
    told = missed(source.poll_s, site)
    if told:
        hint = "lower `pollInterval` below the cluster's MinJobAge"
        yield Finding(subject=subject, level=Level.WARN, message=told, hint=hint)


def _bears(source: SourceConfig, site: Site) -> str:
    """The limits that hold there, whoever has set them."""
    most = min(each for each in (source.array_size, source.slots, site.batch_max, site.jobs_max) if each is not None)
    jobs = min(each for each in (source.slots, site.jobs_max) if each is not None)
    accounts = {None: "accounting unknown", True: "accounting", False: "no accounting"}[site.accounted]
    partition = f"default partition {site.partition}" if site.partition else "no default partition"
    return f"{plural(jobs, 'job')} at most, arrays of {most}, {partition}, {accounts}"


def _overlooked(subject: str, source: SourceConfig, site: Site | None) -> Iterator[Finding]:
    """Of a source that is said to be a machine, where a cluster may be."""
    if site is None:
        return
    where = "on the login node" if source.host is not None else "on this machine"
    message = f"{site.version} is here, but this source runs plain processes: its tasks run {where}, not in the queue"
    hint = "say `scheduler: slurm`, unless that is what you want"
    yield Finding(subject=subject, level=Level.WARN, message=message, hint=hint, site=site_to_json(site))


def _unspoken(subject: str, source: SourceConfig, programs: Collection[str]) -> Iterator[Finding]:
    if not source.scheduled and "qsub" in programs and "qstat" in programs:
        message = "PBS seems to be here (qsub), which this version does not speak: tasks run beside its queue"
        hint = "keep `slots` small, or use a machine that is no login node"
        yield Finding(subject=subject, level=Level.WARN, message=message, hint=hint)
