"""Evidence becomes transitions: what a source tells is resolved, settled, and recorded in one durable transaction.

Only after that may the source forget an exit record: `Observation.acknowledge` names those it may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from reconciler.catalog import Catalog
from reconciler.core.model import Attempt, Eid, HostIdentity, Instant, SweepName, Task, TaskKey
from reconciler.core.resolve import Resubmit, Unresolved, evidence, resolve
from reconciler.core.wire import Found
from reconciler.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one page of evidence came to.

    acknowledge  attempts whose exit record is committed
    changed      sweeps of which something was recorded
    ended        how many attempts ended
    again        attempts that nothing was found of: to be started again under the same eid
    refused      what the source said when it could not even start something, or ""
    unresolved   attempts whose fate the evidence does not tell, with their sweeps
    """

    acknowledge: tuple[Eid, ...]
    changed: frozenset[SweepName]
    ended: int
    again: int
    refused: str
    unresolved: Mapping[Eid, SweepName]


def observe(store: Store, catalog: Catalog, here: HostIdentity, page: Sequence[Found], now: Instant) -> Observation:
    """Record what a page of evidence proves. Attempts that the store does not know are left alone."""
    attempts = store.attempts_by_eid([found.eid for found in page])
    news: list[Attempt] = []
    again: set[Eid] = set()
    acknowledge: list[Eid] = []
    unresolved: dict[Eid, SweepName] = {}
    ended = 0
    refused = ""
    for found in page:
        attempt = attempts.get(found.eid)
        if attempt is None:
            continue
        if not attempt.phase.ended:
            match resolve(attempt, evidence(attempt, found, here), now):
                case Attempt() as newer:
                    attempt = newer
                    ended += newer.phase.ended
                    news.append(newer)
                case Resubmit() as resubmit:
                    again.add(found.eid)
                    refused = resubmit.message if found.refused else refused
                    news.append(replace(attempt, accepted_at=None))
                case Unresolved():
                    unresolved[found.eid] = attempt.key.sweep
                case None:
                    pass
        if attempt.phase.ended and found.exit is not None:
            acknowledge.append(found.eid)
    if news:
        tasks = store.tasks_by_key(attempt.key.task_key for attempt in news)
        store.record([_pair(catalog, attempt, tasks, again, now) for attempt in news], now)
    return Observation(
        acknowledge=tuple(acknowledge),
        changed=frozenset(attempt.key.sweep for attempt in news),
        ended=ended,
        again=len(again),
        refused=refused,
        unresolved=unresolved,
    )


def _pair(
    catalog: Catalog, attempt: Attempt, tasks: Mapping[TaskKey, Task], again: Set[Eid], now: Instant
) -> tuple[Attempt, Task]:
    """The attempt with its task, which goes on as before if the attempt is only to be sent again."""
    task = tasks[attempt.key.task_key]
    return (attempt, task if attempt.eid in again else catalog.settled(task, attempt, now))
