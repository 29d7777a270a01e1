"""Make one source agree with what the store intends: start what was intended, cancel what is to be cancelled.

Both read the store, never an event, so that after a crash the same calls carry on. Nothing is sent that was not written
down before, and whatever has no answer stays unknown until evidence tells: see `observe`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from reconciler.catalog import Catalog, Sweep
from reconciler.clock import Clock
from reconciler.core import identity
from reconciler.core.errors import Busy, NotSent, Refused
from reconciler.core.jobs import Demand, options_of
from reconciler.core.lifecycle import NOT_LISTED
from reconciler.core.model import Attempt, Code, Eid, Instant, Phase, SweepName, Task
from reconciler.core.resolve import GiveUp
from reconciler.core.throttle import shares
from reconciler.core.waiting import Array
from reconciler.core.wire import AttemptSpec, CancelOutcome, CodeSpec, RevokeOutcome, StartOutcome
from reconciler.crashpoints import crashpoint
from reconciler.dialects.base import Restricting
from reconciler.marks import marked
from reconciler.project import Brought, Projects
from reconciler.source import Source
from reconciler.store import Store

MOST_CHARACTERS = 4 << 20  # of the texts in one submission: as JSON, which is ASCII, a character takes up to 12 bytes
log = logging.getLogger("reconciler.source")

NOT_STARTED = "it had not started"
CANCEL_AGAIN_S = 10.0  # a cancellation without a proven end is asked for again after so long


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was done, and whom to look at: attempts whose claim somebody else had made.

    sent     how many were answered for; the source leaves out what it cannot read, or cannot tell
    refused  why the source took nothing, for certain, or ""
    """

    sent: int
    look_at: tuple[Eid, ...] = ()
    refused: str = ""


async def submit(
    source: Source, store: Store, catalog: Catalog, projects: Projects, clock: Clock, flying: set[Eid] | None = None
) -> Applied:
    """Start one batch of intended attempts of this source, as far as the code that they need is there.

    flying: holds, while a scheduler is being told of them, those of which no answer can be expected yet.
    Raises what asking a source raises: then they stay unknown.
    """
    specs = _specs(source, store, catalog, projects, clock.now())
    if specs and await source.turn():
        specs = _specs(source, store, catalog, projects, clock.now())
    if not specs:
        return Applied(sent=0)
    crashpoint("apply.submitting")
    flying = set() if flying is None else flying
    flying.update(spec.eid for spec in specs)
    try:
        outcomes = await _outcomes(source, store, specs, clock)
    finally:
        flying.clear()
    crashpoint("apply.submitted")
    if isinstance(outcomes, Refused | Busy):
        if outcomes.reason == "LimitReached":
            source.too_many(len(specs))
        return _refused(source, store, catalog, specs, outcomes, clock.now())
    accepted = {eid for eid, outcome in outcomes.items() if outcome is StartOutcome.ACCEPTED}
    source.taken(len(accepted))
    store.accepted(accepted, clock.now())  # what the source told about them meanwhile stands
    return Applied(sent=len(outcomes), look_at=tuple(eid for eid in outcomes if eid not in accepted))


async def _outcomes(
    source: Source, store: Store, specs: Sequence[AttemptSpec], clock: Clock
) -> Mapping[Eid, StartOutcome] | Refused | Busy:
    """What became of each; or why a scheduler has certainly taken none of them.

    A scheduler takes a submission twice if it is told twice, so that each attempt is told it once: whatever happens
    from here on, only evidence tells whether it is there.
    """
    try:
        question = marked(source.dialect.submit(specs), source, store)
    except Refused as error:  # it cannot even be put into its words
        return error
    if not source.dialect.limits.scheduled:
        return await source.ask(question)
    eids = [spec.eid for spec in specs]
    store.sent(eids, clock.now())
    try:
        return await source.ask(question)
    except NotSent:
        store.unsent(eids)
        raise
    except (Refused, Busy) as error:
        store.unsent(eids)
        return error


def _refused(
    source: Source, store: Store, catalog: Catalog, specs: Sequence[AttemptSpec], error: Refused | Busy, now: Instant
) -> Applied:
    """Nothing was taken. What only a change can mend is given up, and its sweep barred: another number will run it."""
    sweep = catalog.get(SweepName(specs[0].sweep))
    if error.reason != "SubmissionRefused" or sweep is None:
        return Applied(sent=0, refused=error.message)
    store.intend_cancel([spec.eid for spec in specs], "SubmissionRefused", now)
    source.barred.bar(sweep.name, sweep.row.generation, error, sweep.row.path)
    return Applied(sent=len(specs))


def codes(source: Source, store: Store, catalog: Catalog) -> set[Code]:
    """The code that the intended attempts of this source need."""
    needed = (None if sweep is None else sweep.code for _, sweep in _intended(source, store, catalog))
    return {code for code in needed if code is not None}


def _intended(source: Source, store: Store, catalog: Catalog) -> list[tuple[Attempt, Sweep | None]]:
    """The oldest intents, with their sweeps as they are now.

    Without a scheduler only for the very system for which they were intended: another host, or another boot, is for
    `resolve` to judge.
    """
    hello, limits = source.state.hello, source.dialect.limits
    here = None if hello is None else hello.identity
    found = store.unaccepted(source.config.name, limit=limits.batch_max)
    return [(each, catalog.get(each.key.sweep)) for each in found if limits.scheduled or each.home == here]


def _specs(source: Source, store: Store, catalog: Catalog, projects: Projects, now: Instant) -> list[AttemptSpec]:
    """What is to be sent. Read and decided without a pause, because specs and cancellations change meanwhile.

    What runs an older spec is given up, as is what needs code that cannot be brought, and what a scheduler refuses:
    another number will run it. A scheduler is told at once of what is of one sweep and asks for the same.
    """
    given_up: dict[str, list[Eid]] = {"Outdated": [], "ProjectNotReady": []}
    ready: list[tuple[Attempt, Sweep, Brought | None]] = []
    for attempt, sweep in _intended(source, store, catalog):
        if sweep is None or sweep.digest != attempt.digest:
            given_up["Outdated"].append(attempt.eid)
        elif (bar := source.barred.hold(sweep.name, sweep.row.generation)) is not None:
            given_up.setdefault(bar.reason, []).append(attempt.eid)
        elif sweep.code is None:
            ready.append((attempt, sweep, None))
        elif (found := projects.found(sweep.code)) is not None:
            ready.append((attempt, sweep, found))
        elif projects.problem(sweep.code) is not None:
            given_up["ProjectNotReady"].append(attempt.eid)
    for reason, eids in given_up.items():
        if eids:
            store.intend_cancel(eids, reason, now)
    tasks = store.tasks_by_key(attempt.key.task_key for attempt, _, _ in ready)
    specs = [
        _spec(attempt, tasks[attempt.key.task_key], sweep, found, _demand(source, attempt, sweep))
        for attempt, sweep, found in ready
    ]
    if source.dialect.limits.scheduled:
        specs = [spec for spec in specs if (spec.sweep, spec.demand) == (specs[0].sweep, specs[0].demand)]
        specs = specs[: source.portion]
    return in_one_line(specs)


def in_one_line(specs: Sequence[AttemptSpec]) -> list[AttemptSpec]:
    """As many of the first as one line to an agent bears, at least one; the others follow in the next."""
    left = MOST_CHARACTERS
    for count, spec in enumerate(specs):
        left -= _characters(spec)
        if left < 0 and count:
            return list(specs[:count])
    return list(specs)


def _characters(spec: AttemptSpec) -> int:
    texts = (*spec.argv, *spec.setup, *spec.environment.keys(), *spec.environment.values())
    return sum(map(len, texts)) + sum(len(name) + len(str(value)) for name, value in spec.parameters.items())


def _demand(source: Source, attempt: Attempt, sweep: Sweep) -> Demand | None:
    """What its scheduler is asked for, if it has one."""
    if not source.dialect.limits.scheduled:
        return None
    written = sweep.spec.scheduler_options.get(source.config.scheduler, {})
    return Demand(resources=attempt.resources, options=options_of(written))


async def revoke(
    source: Source, store: Store, catalog: Catalog, clock: Clock, given_up: Mapping[Eid, GiveUp]
) -> Applied:
    """Give up attempts that will not start any more, as far as can be told: whoever wins the claim decides."""
    outcomes = await source.ask(source.dialect.revoke(list(given_up)))
    crashpoint("apply.revoked")
    won = [eid for eid, outcome in outcomes.items() if outcome is RevokeOutcome.REVOKED]
    unlisted = {eid: given_up[eid].message for eid in won if given_up[eid].reason == NOT_LISTED}
    _count_unstarted(source, store, catalog, unlisted)
    _record_revoked(store, catalog, won, clock.now(), given_up)
    claimed = tuple(eid for eid, outcome in outcomes.items() if outcome is RevokeOutcome.CLAIMED)
    return Applied(sent=len(outcomes), look_at=claimed)


def _count_unstarted(source: Source, store: Store, catalog: Catalog, won: Mapping[Eid, str]) -> None:
    """These were submitted, and have not started: attempts that were sent at one moment were so together."""
    sent: dict[SweepName, set[Instant | None]] = {}
    said: dict[SweepName, str] = {}
    for eid, attempt in store.attempts_by_eid(won).items():
        if attempt.phase is Phase.QUEUED and not attempt.cancel:
            sent.setdefault(attempt.key.sweep, set()).add(attempt.sent_at)
            said[attempt.key.sweep] = max(said.get(attempt.key.sweep, ""), won[eid], key=len)
    for name, moments in sent.items():
        sweep = catalog.get(name)
        if sweep is not None:
            source.barred.unstarted(name, sweep.row.generation, len(moments), said[name])


async def _give_up_stuck(source: Source, store: Store, catalog: Catalog, clock: Clock) -> tuple[Eid, ...]:
    """Jobs that nothing starts as they are, and whose sweep was edited since: another number asks as it now says.

    Returns those that have started after all.
    """
    waits = source.queue.waits if source.queue is not None else ()
    attempts = store.attempts_by_eid(eid for each in waits if each.wait.stuck for eid in each.eids)
    queued = [attempt for attempt in attempts.values() if attempt.phase is Phase.QUEUED and not attempt.cancel]
    sweeps = {attempt.eid: catalog.get(attempt.key.sweep) for attempt in queued}
    edited = {eid: sweep.row.accepted_at for eid, sweep in sweeps.items() if sweep is not None}
    due = [each.eid for each in queued if (edited.get(each.eid) or float("-inf")) > each.intended_at]
    if not due:
        return ()
    given_up = GiveUp(reason="Outdated", message=NOT_STARTED)
    some = dict.fromkeys(due[: source.dialect.limits.batch_max], given_up)
    return (await revoke(source, store, catalog, clock, some)).look_at


async def _share(source: Source, store: Store, catalog: Catalog, clock: Clock) -> tuple[Eid, ...]:
    """Of sweeps that may run fewer than they have in the queue, no more start: see `core.throttle`.

    Once is enough for a listing and the sweeps as they are; who does not heed it is told again after the next listing.
    What may not start at all is taken back, and waits here. Returns those that have started after all.
    """
    dialect, arrays = source.dialect, source.queue.arrays if source.queue is not None else ()
    generations = frozenset((sweep.name, sweep.row.generation) for sweep in catalog.sweeps()) if arrays else frozenset()
    known = source.shared is not None and source.shared[0] is source.queue and source.shared[1] == generations
    if not arrays or known or source.queue is None or not isinstance(dialect, Restricting):
        return ()
    source.shared = source.queue, generations
    limits: dict[Eid, int] = {}
    back: list[Eid] = []
    for array, share in _shares(source, store, catalog, arrays):
        if share == 0:
            back += array.waiting
        elif array.waiting and source.limited.get(array.number, array.limit or 0) != (share or 0):
            limits[array.eid] = source.limited[array.number] = share or 0
    if limits:
        told = await source.ask(dialect.restrict(limits))
        if missed := limits.keys() - set(told):
            log.warning("arrays keep their limit", extra={"source": source.config.name, "arrays": len(missed)})
    waiting = store.attempts_by_eid(back).values()
    due = [each.eid for each in waiting if each.phase is Phase.QUEUED][: dialect.limits.batch_max]
    given_up = GiveUp(reason="ParallelismReached", message=f"{NOT_STARTED}, and no more of its sweep may run")
    some = dict.fromkeys(due, given_up)
    return (await revoke(source, store, catalog, clock, some)).look_at if some else ()


def _shares(
    source: Source, store: Store, catalog: Catalog, arrays: Sequence[Array]
) -> Iterator[tuple[Array, int | None]]:
    """Each array, and how many of it may run at once; None: any number.

    Only what is active beyond the sweep's parallelism calls for limits: a listing may be older than what is counted.
    """
    active, attempts = store.active_counts(), store.attempts_by_eid(array.eid for array in arrays)
    by_sweep: dict[SweepName, list[Array]] = {}
    for array in arrays:
        if array.eid in attempts:
            by_sweep.setdefault(attempts[array.eid].key.sweep, []).append(array)
    for name, theirs in by_sweep.items():
        sweep = catalog.get(name)
        parallelism, most = None if sweep is None else sweep.spec.parallelism, None
        counts = {place: n for (each, place), n in active.items() if each == name}
        if parallelism is not None and sum(counts.values()) > parallelism:
            most = max(0, parallelism - sum(n for place, n in counts.items() if place != source.config.name))
        yield from zip(theirs, shares([array.load for array in theirs], most), strict=True)


async def cancel(source: Source, store: Store, catalog: Catalog, clock: Clock, asked: dict[Eid, float]) -> Applied:
    """End one batch of what is to be cancelled on this source; `asked` keeps when (elapsed) each was last asked for."""
    started = await _give_up_stuck(source, store, catalog, clock) + await _share(source, store, catalog, clock)
    elapsed = clock.elapsed()
    wanted = [attempt.eid for attempt in store.cancelling(source.config.name, float("inf"))]
    for eid in asked.keys() - set(wanted):
        del asked[eid]
    due = [eid for eid in wanted if elapsed - asked.get(eid, float("-inf")) >= CANCEL_AGAIN_S]
    due = due[: source.dialect.limits.batch_max]
    if not due:
        return Applied(sent=0, look_at=started)
    crashpoint("apply.cancelling")
    outcomes = await source.ask(source.dialect.cancel(due))
    crashpoint("apply.cancelled")
    asked.update(dict.fromkeys(due, elapsed))
    revoked = [eid for eid, outcome in outcomes.items() if outcome is CancelOutcome.REVOKED]
    unclear = [eid for eid, outcome in outcomes.items() if outcome in (CancelOutcome.ENDED, CancelOutcome.UNKNOWN)]
    unclear += _record_revoked(store, catalog, revoked, clock.now())
    return Applied(sent=len(due), look_at=(*started, *unclear))


def _spec(attempt: Attempt, task: Task, sweep: Sweep, found: Brought | None, demand: Demand | None) -> AttemptSpec:
    work, code, checkpoint = sweep.work(task), sweep.code, sweep.spec.checkpoint
    runs = None
    if found is not None and code is not None:
        runs = CodeSpec(project=code.project, commit=code.pin, seal=found.seal)
    return AttemptSpec(
        eid=attempt.eid,
        sweep=attempt.key.sweep,
        task=attempt.key.task,
        attempt=attempt.key.number,
        argv=work.argv,
        environment=work.environment,
        setup=work.setup,
        parameters=task.parameters,
        cwd=None if found is None else found.path,
        code=runs,
        checkpoint=checkpoint_name(task, attempt),
        walltime_s=attempt.resources.walltime_s,
        gpus=attempt.resources.gpus,
        digest=attempt.digest,
        grace_s=checkpoint.grace_s,
        warn_s=checkpoint.before_s,
        warn_signal="" if checkpoint.before_s is None else checkpoint.signal,
        demand=demand,
    )


def checkpoint_name(task: Task, attempt: Attempt) -> str:
    """Shared by all attempts of a task with the same digest: another digest is other work."""
    return f"{identity.short_hash(task.key.sweep)}-{task.key.task}-{attempt.digest}"


def _record_revoked(
    store: Store,
    catalog: Catalog,
    eids: Sequence[Eid],
    now: Instant,
    given_up: Mapping[Eid, GiveUp] = MappingProxyType({}),
) -> list[Eid]:
    """They never started, and never will: we won their claims.

    Returns those that had started as we know: somebody has taken their claims away, and they may well live.
    """
    attempts: Mapping[Eid, Attempt] = store.attempts_by_eid(eids)
    unwanted = GiveUp(reason="Revoked", message=NOT_STARTED)
    ended = [
        replace(
            attempt,
            phase=Phase.CANCELLED,
            reason=attempt.cancel or given_up.get(attempt.eid, unwanted).reason,
            ended_at=now,
            message=given_up.get(attempt.eid, unwanted).message,
        )
        for attempt in attempts.values()
        if attempt.phase is Phase.QUEUED
    ]
    if ended:
        tasks = store.tasks_by_key(attempt.key.task_key for attempt in ended)
        pairs = [(attempt, catalog.settled(tasks[attempt.key.task_key], attempt, now)) for attempt in ended]
        store.record(pairs, now)
    return [eid for eid, attempt in attempts.items() if attempt.phase is Phase.RUNNING]
