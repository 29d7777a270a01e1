"""What `check` asks of a source on another machine: over a session of its own, which changes nothing there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.cli.faraway import VISITOR
from reconciler.cli.findings import Finding, Level, failure
from reconciler.cli.output import duration
from reconciler.cli.schedulers import scheduler_findings
from reconciler.core.errors import ReconcilerError
from reconciler.core.model import InstanceId, Json
from reconciler.core.settings import SourceConfig

if TYPE_CHECKING:
    from reconciler.clock import Clock
    from reconciler.core.wire import Hello, Probe, Survey
    from reconciler.links.base import Session

ANSWER_S = 90.0  # for all that is asked of one source
SKEW_S = 5.0
DISK_MIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Whose the roots of sources have to be. Without an instance: anybody's, before the first daemon.

    unread: there is a state, and whose it is cannot be read.
    """

    instance: InstanceId | None = None
    unread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a machine told about itself."""

    hello: Hello
    probe: Probe
    survey: Survey
    latency_s: float
    skew_s: float
    scheduler: Sequence[Finding]

    def json(self) -> Mapping[str, Json]:
        """The keys of `machine` in `sources -o json`."""
        return {
            "host": self.hello.identity.host,
            "python": self.hello.python,
            "root": self.hello.root,
            "cpus": self.probe.cpus,
            "load": round(self.probe.load1, 2),
            "memoryMib": self.probe.memory_mib,
            "memoryFreeMib": self.probe.memory_free_mib,
            "diskFreeMib": self.probe.disk_free_mib,
            "latencySeconds": round(self.latency_s, 4),
            "clockSkewSeconds": round(self.skew_s, 2),
            "gpus": list(self.survey.gpus),
            "programs": list(self.survey.programs),
        }


async def far_findings(source: SourceConfig, clock: Clock, whose: Whose) -> list[Finding]:
    """What is found about one source."""
    subject = f"source {source.name}"
    try:
        async with asyncio.timeout(ANSWER_S):
            machine = await _visit(source, clock)
    except ReconcilerError as error:
        return [failure(subject, error)]
    except TimeoutError:
        hint = "is the machine overloaded, or its disk away?"
        message = f"has not answered within {ANSWER_S:.0f} s"
        return [Finding(subject=subject, level=Level.FAIL, message=message, hint=hint)]
    return list(_judged(subject, source, machine, whose))


async def _visit(source: SourceConfig, clock: Clock) -> Machine:
    from reconciler.links.choice import link_to

    session = await link_to(source).open(instance=VISITOR, root=source.root, slots=0, gpus=())
    try:
        return await _asked(source, session, clock)
    finally:
        await session.aclose()


async def _asked(source: SourceConfig, session: Session, clock: Clock) -> Machine:
    from reconciler.source import probe, survey

    question = survey()
    has = question.parse(await session.ask(question.request))
    began, asked_at = clock.elapsed(), clock.now()  # after the first question, which pays for what is done once
    look = probe()
    seen = look.parse(await session.ask(look.request))
    latency_s = clock.elapsed() - began
    skew_s = seen.clock - (asked_at + latency_s / 2)
    return Machine(
        hello=session.hello,
        probe=seen,
        survey=has,
        latency_s=latency_s,
        skew_s=skew_s,
        scheduler=await scheduler_findings(source, session, has.programs),
    )


def _judged(subject: str, source: SourceConfig, machine: Machine, whose: Whose) -> Iterator[Finding]:
    hello, probe = machine.hello, machine.probe
    yield Finding(
        subject=subject,
        message=f"{hello.identity.host} answers in {machine.latency_s * 1000:.1f} ms, Python {hello.python},"
        f" {probe.cpus} CPUs, load {probe.load1:.1f}, {probe.memory_free_mib} of {probe.memory_mib} MiB of memory free",
        machine=machine.json(),
    )
    if source.slots > probe.cpus and not source.scheduled:
        message, hint = f"{source.slots} slots, {probe.cpus} CPUs", "more slots than CPUs make each task slower"
        yield Finding(subject=subject, level=Level.WARN, message=message, hint=hint)
    yield _disk(subject, machine)
    yield from _owner(subject, hello, whose)
    yield from _clock(subject, machine.skew_s)
    yield from _gpus(subject, source, machine.survey)
    yield from machine.scheduler
    yield from _programs(subject, machine.survey)


def _disk(subject: str, machine: Machine) -> Finding:
    free_mib = machine.probe.disk_free_mib
    told = f"root {machine.hello.root}, {free_mib} MiB free"
    if free_mib < DISK_MIB:
        return Finding(subject=subject, level=Level.WARN, message=told, hint="tasks may fill the disk")
    return Finding(subject=subject, message=told)


def _owner(subject: str, hello: Hello, whose: Whose) -> Iterator[Finding]:
    owner = f"the root {hello.root} belongs to the instance {hello.owner}"
    if hello.owner and whose.unread:
        message = f"{owner}; whether that is this one cannot be told: its state cannot be read"
        yield Finding(subject=subject, level=Level.WARN, message=message, hint="see what is said of the state")
    elif hello.owner and hello.owner != whose.instance:
        hint = "if the state was lost: `reconciler rebuild`; else give this source another `root`"
        message = f"{owner}, not to {whose.instance or 'a new one'}"
        yield Finding(subject=subject, level=Level.FAIL, message=message, hint=hint)


def _clock(subject: str, skew_s: float) -> Iterator[Finding]:
    if abs(skew_s) > SKEW_S:
        way = "ahead" if skew_s > 0 else "behind"
        hint = "let NTP set it (timedatectl): times of tasks are told by it"
        message = f"its clock is {duration(abs(skew_s))} {way}"
        yield Finding(subject=subject, level=Level.WARN, message=message, hint=hint)


def _gpus(subject: str, source: SourceConfig, survey: Survey) -> Iterator[Finding]:
    if survey.gpus:
        yield Finding(subject=subject, message=f"GPUs: {'; '.join(survey.gpus)}")
    missing = [index for index in source.gpus if index >= len(survey.gpus)]
    if missing:
        numbers = ", ".join(map(str, missing))
        hint = "correct `gpus`, or see what `nvidia-smi` says there"
        message = f"GPU {numbers} of the configuration was not found: {len(survey.gpus)} are there"
        yield Finding(subject=subject, level=Level.WARN, message=message, hint=hint)


def _programs(subject: str, survey: Survey) -> Iterator[Finding]:
    if "git" not in survey.programs:
        hint = "install git there, or use projects with `sync: Verify` or without git"
        yield Finding(subject=subject, level=Level.WARN, message="git was not found", hint=hint)
