"""The frozen values behind the metrics that tell about state: computed by the daemon, swapped whole, not counted here.

Unknown is absent: a source that was never reached has `up` None and no series of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core.efficiency import Usage
from reconciler.core.jobs import Site
from reconciler.core.model import Instant, Phase, ProjectName, SourceName, SweepName
from reconciler.core.spec import SweepState
from reconciler.core.waiting import QueueView


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSnapshot:
    """One sweep, as of the last pass.

    tasks      (source, phase) → tasks; waiting tasks have no source: use "" for it
    finished   (source, phase) → attempts that ended so since the store exists; only ever grows
    usage      what ended attempts used, by source, since then
    """

    name: SweepName
    state: SweepState
    generation: int
    desired: int
    tasks: Mapping[tuple[SourceName, Phase], int] = field(default_factory=dict)
    finished: Mapping[tuple[SourceName, Phase], int] = field(default_factory=dict)
    usage: Mapping[SourceName, Usage] = field(default_factory=dict)
    created_at: Instant | None = None
    changed_at: Instant | None = None  # a task last changed its phase


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSnapshot:
    """The way to one source, and what its machine told last. problem: a reason, "" while it answers.

    sessions, failures   how often one was opened, and could not be; they only ever grow
    """

    problem: str = ""
    sessions: int = 0
    failures: int = 0
    latency_s: float | None = None
    clock_skew_s: float | None = None
    load1: float | None = None
    disk_free_mib: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSnapshot:
    """One source. up None: it was never tried."""

    name: SourceName
    scheduler: str
    up: bool | None
    slots: int
    used: int
    uncollected: int = 0
    collected: int = 0  # only ever grows, as the next two
    collected_bytes: int = 0
    collect_failures: int = 0
    last_success_at: Instant | None = None
    link: LinkSnapshot = LinkSnapshot()
    queue: QueueView | None = None  # of its scheduler, if it has one and was listed
    submissions: int = 0  # only ever grows, as the next one: questions for the queue that were answered
    listings: int = 0
    declared: Mapping[str, float] = field(default_factory=dict)  # what its scheduler is asked of at most, by name
    site: Site | None = None  # what its scheduler bears, if it told
    barred: Mapping[str, int] = field(default_factory=dict)  # reason → sweeps of which it takes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSnapshot:
    """One project on one source. in_sync None: nobody has looked. The numbers only ever grow."""

    source: SourceName
    project: ProjectName
    in_sync: bool | None
    brought: int
    failures: int
    sent_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that the store and the sources say. Instants are None until they have happened."""

    sweeps: tuple[SweepSnapshot, ...] = ()
    sources: tuple[SourceSnapshot, ...] = ()
    projects: tuple[ProjectSnapshot, ...] = ()
    manifests_valid: int | None = None
    manifests_invalid: int | None = None
    last_fetch_success_at: Instant | None = None
    last_reconcile_success_at: Instant | None = None
    store_size_bytes: int | None = None
    queue_depth: int = 0
    queue_adds: int = 0  # only ever grows
    queue_retries: int = 0  # only ever grows
