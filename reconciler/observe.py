"""Evidence becomes transitions: what a source tells is resolved, settled, and recorded in one durable transaction.

Only after that may the source forget an exit record: `Observation.acknowledge` names those it may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from reconciler.catalog import Catalog
from reconciler.core.evidence import Scheduled, evidence
from reconciler.core.model import Attempt, Eid, Instant, SweepName, Task, TaskKey
from reconciler.core.resolve import GiveUp, Resolution, Resubmit, Unresolved, resolve
from reconciler.core.wire import Found, Hello
from reconciler.redaction import redact
from reconciler.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one page of evidence came to.

    acknowledge  attempts whose exit record is committed
    changed      sweeps of which something was recorded
    ended        how many attempts ended
    again        attempts that nothing was found of: to be started again under the same eid
    give_up      attempts that will not start any more, as far as can be told: to be revoked
    started      sweeps of which an attempt is known to have started only now
    refused      what the source said when it could not even start something, or ""
    differs      sweeps whose code on the source is not what was verified
    unresolved   attempts whose fate the evidence does not tell, with their sweeps
    """

    acknowledge: tuple[Eid, ...]
    changed: frozenset[SweepName]
    ended: int
    again: int
    give_up: Mapping[Eid, GiveUp]
    started: frozenset[SweepName]
    refused: str
    differs: frozenset[SweepName]
    unresolved: Mapping[Eid, SweepName]


def observe(
    store: Store,
    catalog: Catalog,
    hello: Hello,
    page: Sequence[Found],
    now: Instant,
    scheduled: Scheduled | None = None,
) -> Observation:
    """Record what a page of evidence proves. Attempts that the store does not know are left alone.

    hello: of the agent that looked.
    """
    attempts = store.attempts_by_eid([found.eid for found in page])
    findings = _Findings()
    for found in page:
        attempt = attempts.get(found.eid)
        if attempt is not None:
            proofs = evidence(attempt, found, hello.identity, scheduled, hello.neighbours)
            findings.take(attempt, found, None if attempt.phase.ended else resolve(attempt, proofs, now))
    if findings.news:
        tasks = store.tasks_by_key(attempt.key.task_key for attempt in findings.news)
        store.record([_pair(catalog, attempt, tasks, findings.again, now) for attempt in findings.news], now)
    return findings.observation()


class _Findings:
    """What the resolutions of one page come to."""

    def __init__(self) -> None:
        self.news: list[Attempt] = []
        self.again: set[Eid] = set()
        self._acknowledge: list[Eid] = []
        self._give_up: dict[Eid, GiveUp] = {}
        self._started: set[SweepName] = set()
        self._unresolved: dict[Eid, SweepName] = {}
        self._ended = 0
        self._refused = ""
        self._differs: set[SweepName] = set()

    def take(self, attempt: Attempt, found: Found, resolution: Resolution | None) -> None:
        """The attempt as it was, and what was resolved of it."""
        match resolution:
            case Attempt() as learned:
                if attempt.nonce is None and learned.nonce is not None:
                    self._started.add(attempt.key.sweep)
                attempt = learned
                self._ended += attempt.phase.ended
                self.news.append(attempt)
            case Resubmit():
                self.again.add(found.eid)
                if found.differs:
                    self._differs.add(attempt.key.sweep)
                elif found.refused:
                    self._refused = resolution.message
                self.news.append(replace(attempt, accepted_at=None))
            case GiveUp():
                self._give_up[found.eid] = replace(resolution, message=redact(resolution.message))
            case Unresolved():
                self._unresolved[found.eid] = attempt.key.sweep
            case None:
                pass
        if attempt.phase.ended and found.exit is not None:
            self._acknowledge.append(found.eid)

    def observation(self) -> Observation:
        """To be told once it is recorded."""
        return Observation(
            acknowledge=tuple(self._acknowledge),
            changed=frozenset(attempt.key.sweep for attempt in self.news),
            ended=self._ended,
            again=len(self.again),
            give_up=self._give_up,
            started=frozenset(self._started),
            refused=self._refused,
            differs=frozenset(self._differs),
            unresolved=self._unresolved,
        )


def _pair(
    catalog: Catalog, attempt: Attempt, tasks: Mapping[TaskKey, Task], again: Set[Eid], now: Instant
) -> tuple[Attempt, Task]:
    """The attempt with its task, which goes on as before if the attempt is only to be sent again."""
    task = tasks[attempt.key.task_key]
    return (attempt, task if attempt.eid in again else catalog.settled(task, attempt, now))
