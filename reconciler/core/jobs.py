"""What a scheduler says about one attempt: its queue, and its accounting.

It is a word, not a proof. A job *id* is no identity, because a scheduler that was killed gives ids out again: whoever
makes these values has matched them by the attempt's tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.model import Instant, Json, Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a scheduler is asked for on behalf of an attempt; what is submitted together has the same.

    options: of the scheduler's own kind, as the manifest has them, checked and in a fixed order; "" is a flag.
    """

    resources: Resources
    options: tuple[tuple[str, str], ...] = ()


def options_of(written: Mapping[str, Json]) -> tuple[tuple[str, str], ...]:
    """Checked options of a document, in a fixed order: a flag that is not set is left out."""
    return tuple(
        (name, "" if value is True else str(value)) for name, value in sorted(written.items()) if value is not False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a scheduler's site is like, as far as it told; None is not known.

    batch_max   attempts in one submission
    queue_max   jobs of everybody in the queue
    jobs_max    jobs of the account in the queue
    forgets_s   so long an ended job is listed
    kill_wait_s between TERM and KILL at the end of a job's walltime
    patience_s  so long its commands wait for an answer
    accounted   ends are kept for longer, in a database
    partition   the default one, "" for none
    """

    version: str
    batch_max: int | None = None
    queue_max: int | None = None
    jobs_max: int | None = None
    forgets_s: int | None = None
    kill_wait_s: int | None = None
    patience_s: int | None = None
    accounted: bool | None = None
    partition: str = ""


def site_to_json(site: Site) -> Mapping[str, Json]:
    """As readers get it."""
    return {
        "version": site.version,
        "arraySizeMax": site.batch_max,
        "maxJobCount": site.queue_max,
        "maxSubmitJobs": site.jobs_max,
        "minJobAgeSeconds": site.forgets_s,
        "killWaitSeconds": site.kill_wait_s,
        "messageTimeoutSeconds": site.patience_s,
        "accounting": site.accounted,
        "defaultPartition": site.partition,
    }


class Listing(StrEnum):
    """How the scheduler answered when it was asked for all jobs of the account."""

    NONE = "none"  # there is no scheduler here, or it was not asked
    FAILED = "failed"  # no answer, or one that cannot be trusted: no news
    CLEAN = "clean"  # complete: what is not in it is not listed


class JobState(StrEnum):
    """A job in the queue. What has ended is not in the queue, whatever some schedulers list for a while."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDING = "ending"  # it is being cleared away: not an end
    UNKNOWN = "unknown"  # a state that we do not know is never an end


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a job waits: the scheduler's word, what it means, and what to do. stuck: nothing changes by itself."""

    word: str
    meaning: str
    action: str = ""
    stuck: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A row of a listing. `raw` and `why` are the scheduler's own words for state and reason; `wait` explains that."""

    id: str
    state: JobState
    raw: str = ""
    why: str = ""
    wait: Wait | None = None  # while it waits
    restarts: int = 0
    array: int | None = None  # whose element it is
    limit: int | None = None  # how many elements of that may run at once, if it was told; 0: any number


class Verdict(StrEnum):
    """How a job ended, as accounted."""

    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    NODE_FAILURE = "node_failure"
    PREEMPTED = "preempted"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The accounting's last word on a job; it counts only for the very start of it that won the attempt's claim.

    ceased: no process of it can be left, because its node was heard since, or has booted since. A scheduler that has
    lost a node calls the jobs there ended, while they may well go on.
    cpu_s, max_rss_mib: what it used, if that was accounted.
    """

    job: str
    restarts: int
    verdict: Verdict
    ended_at: Instant
    ceased: bool
    raw: str = ""
    cpu_s: float | None = None
    max_rss_mib: float | None = None
