"""Hypothesis generators: anything that can be found about an attempt, any end, any state of sources and sweeps.

Small ranges on purpose: what collides, fills up and runs out is what is worth looking at.
"""

from __future__ import annotations

from dataclasses import replace

from core_makers import ELSEWHERE, HERE, NOW, REBOOTED, account, attempt, found, record, revoked, started
from hypothesis import Phase as Generation
from hypothesis import find, settings
from hypothesis import strategies as st

from reconciler.core.dispatch import Capacity, Head, Hold, Queue
from reconciler.core.evidence import (
    Absent,
    Accounted,
    Claimed,
    ClaimTorn,
    ExitSeen,
    Listed,
    LockFree,
    LockHeld,
    LockUnknown,
    NotListed,
    Rebooted,
    RefusedThere,
    Revoked,
    Scheduled,
    Unreachable,
    Waiting,
    WrongHost,
)
from reconciler.core.jobs import Job, JobState, Listing, Verdict
from reconciler.core.model import Digest, FailureClass, Phase, Resources, SourceName, SweepName, TaskId, TaskKey
from reconciler.core.resolve import WALLTIME_GRACE_S
from reconciler.core.spec import Backoff, Placement, RetryAction, RetryPolicy, RetryRule, Strategy
from reconciler.core.wire import Ended, Found, Lock


def example_of(strategy, condition):
    """A world in which the condition holds, the first that comes; raises NoSuchExample when none of many does."""
    quick = settings(max_examples=20_000, database=None, phases=[Generation.generate])
    return find(strategy, condition, settings=quick)


# ---------------------------------------------------------------------------------------------- evidence

NONCES = st.sampled_from(["n1", "n2"])
HOSTS = st.sampled_from([HERE, REBOOTED, ELSEWHERE])
HOWS = st.one_of(
    st.builds(lambda code: {"exit_code": code}, st.sampled_from([0, 1, 75])),
    st.builds(lambda number: {"signal": number}, st.sampled_from([9, 11, 15])),
    st.just({"launch_error": "no such file"}),
)
RECORDS = st.builds(
    lambda nonce, by, how, rss: record(nonce, ended_by=by, max_rss_mib=rss, **how),
    NONCES,
    st.sampled_from(Ended),
    HOWS,
    st.sampled_from([1.0, 100.0]),
)
CLAIMS = st.one_of(
    st.builds(lambda nonce, home: started(nonce, home=home), NONCES, HOSTS),
    st.builds(lambda home: revoked(home=home), HOSTS),
)
RESOURCES_100_MIB = Resources(memory_mib=100, walltime_s=60)
CLOCKS = st.sampled_from([NOW, 200.0 + 60 + WALLTIME_GRACE_S, NOW + 1e6])  # the second: the last moment of grace
JOBS = st.builds(Job, id=st.just("7"), state=st.sampled_from(JobState))
ACCOUNTS = st.builds(
    lambda verdict, job, restarts, ceased: account(verdict=verdict, job=job, restarts=restarts, ceased=ceased),
    st.sampled_from(Verdict),
    st.sampled_from(["7", "7", "7", "8"]),
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from([True, True, False]),
)
SCHEDULED = st.builds(
    lambda gone, clock: Scheduled(gone=frozenset({attempt().eid} if gone else ()), clock=clock),
    st.sampled_from([True, True, False]),
    CLOCKS,
)
FOUND = st.builds(
    Found,
    eid=st.just(attempt().eid),
    staged=st.booleans(),
    waiting=st.booleans(),
    claim=st.none() | CLAIMS,
    exit=st.none() | RECORDS,
    lock=st.sampled_from(Lock),
    torn=st.booleans(),
    refused=st.sampled_from(["", "disk full"]),
    directory=st.just("/r/a"),
)
POLLED = st.one_of(
    st.builds(
        lambda found, listing, job, account: replace(found, listing=listing, job=job, account=account),
        FOUND,
        st.sampled_from([Listing.CLEAN, Listing.CLEAN, Listing.FAILED, Listing.NONE]),
        st.none() | JOBS,
        st.none() | ACCOUNTS,
    ),
    # it started, and is not listed
    st.builds(lambda account: found(claim=started(), listing=Listing.CLEAN, account=account), st.none() | ACCOUNTS),
)
PIECES = st.one_of(
    st.builds(ExitSeen, RECORDS),
    st.builds(lambda nonce: Claimed(started(nonce)), NONCES),
    st.just(Revoked(revoked())),
    st.builds(WrongHost, st.just(HERE), st.just(ELSEWHERE), shared=st.booleans()),
    st.just(RefusedThere("disk full")),
    st.sampled_from(
        [ClaimTorn(), LockHeld(), LockFree(), LockUnknown(), Rebooted(), Waiting(), Absent(), Unreachable()]
    ),
    st.builds(Listed, JOBS),
    st.builds(NotListed, settled=st.booleans(), at=CLOCKS),
    st.builds(Accounted, ACCOUNTS),
)
OPEN_ATTEMPTS = st.builds(
    lambda phase, cancel, accepted: attempt(phase, cancel=cancel, accepted_at=accepted, resources=RESOURCES_100_MIB),
    st.sampled_from([Phase.QUEUED, Phase.RUNNING]),
    st.sampled_from(["", "Removed"]),
    st.sampled_from([None, 150.0]),
)
ATTEMPTS = st.one_of(OPEN_ATTEMPTS, st.builds(attempt, st.sampled_from([phase for phase in Phase if phase.ended])))

# ---------------------------------------------------------------------------------------------- ends and retries

RULES = st.builds(
    RetryRule,
    classes=st.lists(st.sampled_from(FailureClass), min_size=1, max_size=3).map(tuple),
    action=st.sampled_from(RetryAction),
    count=st.booleans(),
    scale=st.sampled_from([{}, {"memory_mib": 2.0}]),
)
RETRIES = st.builds(
    RetryPolicy,
    limit=st.integers(0, 3),
    backoff=st.builds(
        Backoff, duration_s=st.floats(0, 100), factor=st.floats(1, 1e6), max_s=st.sampled_from([0.0, 50.0, 600.0])
    ),
    rules=st.lists(RULES, max_size=3).map(tuple),
)
DIGESTS = st.sampled_from([Digest("d1"), Digest("d2")])


@st.composite
def ends(draw, number=1, digest=None):
    """An attempt that ended: in each phase, failed in each class or asking to be resumed, started or not."""
    phase = draw(st.sampled_from([phase for phase in Phase if phase.ended]))
    fields = {"number": number, "digest": digest or draw(DIGESTS)}
    if phase is Phase.FAILED:
        failure = draw(st.none() | st.sampled_from(FailureClass))
        fields |= {"failure": failure, "reason": failure.value if failure else "Resume"}
    if phase is Phase.LOST:
        fields |= {"failure": FailureClass.LOST, "reason": "Lost"}
    if phase is Phase.CANCELLED:
        fields |= {"reason": draw(st.sampled_from(["Revoked", "Removed"]))}
    if phase is not Phase.SUCCEEDED and draw(st.booleans()):
        fields |= {"started_at": None}
    return attempt(phase, **fields)


# ---------------------------------------------------------------------------------------------- sources and sweeps

NAMES = ["a", "b", "c"]
GPU_TYPES = st.sampled_from([None, "a100", "v100"])
SHAPES = st.builds(
    lambda gpus, kind, memory: Resources(gpus=gpus, gpu_type=kind if gpus else None, memory_mib=memory),
    st.sampled_from([0, 0, 0, 1, 2, 9]),
    GPU_TYPES,
    st.sampled_from([None, None, 100, 1000]),
)


@st.composite
def capacities(draw):
    """Up to three sources with few slots; never more active than their slots and prefetch."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
    return [draw(_capacity(SourceName(name))) for name in names]


@st.composite
def _capacity(draw, name):
    slots, prefetch, gpus = draw(st.integers(0, 4)), draw(st.sampled_from([0, 0, 2])), draw(st.integers(0, 3))
    return Capacity(
        name=name,
        slots=slots,
        prefetch=prefetch,
        active=draw(st.integers(0, slots + prefetch)),
        up=draw(st.sampled_from([True, True, True, False])),
        enabled=draw(st.sampled_from([True, True, True, False])),
        gpus=gpus,
        gpus_free=draw(st.integers(0, gpus)),
        gpu_type=draw(GPU_TYPES),
        memory_mib=draw(st.sampled_from([None, 500])),
        labels=draw(st.sampled_from([{}, {"zone": "1"}])),
    )


@st.composite
def queues(draw, shapes=SHAPES):
    """Up to four sweeps of up to six ready heads; some are gated, some have tasks in backoff or beyond the window."""
    names = draw(st.lists(st.sampled_from(["p", "q", "r", "s"]), unique=True, max_size=4))
    return [draw(_queue(SweepName(name), shapes)) for name in names]


@st.composite
def _queue(draw, name, shapes):
    heads = [Head(TaskKey(name, TaskId(f"{i:02}")), draw(shapes)) for i in range(draw(st.integers(0, 6)))]
    per_source = {SourceName(each): draw(st.integers(0, 2)) for each in NAMES}
    delayed = draw(st.sampled_from([0, 0, 3]))
    gate = Hold(reason="Paused", message="the manifest says so")
    return Queue(
        sweep=name,
        heads=heads,
        waiting=len(heads) + delayed + draw(st.sampled_from([0, 5] if heads else [0])),
        delayed=delayed,
        next_wake=NOW + 7 if delayed else None,
        active=sum(per_source.values()),
        per_source=per_source,
        priority=draw(st.sampled_from([0, 0, 5])),
        parallelism=draw(st.sampled_from([None, None, 0, 3, 6])),
        gate=draw(st.sampled_from([None, None, None, gate])),
        placement=Placement(
            sources=draw(st.sampled_from([None, None, (SourceName("a"), SourceName("b"))])),
            match_labels=draw(st.sampled_from([None, None, {"zone": "1"}])),
            strategy=draw(st.sampled_from(Strategy)),
        ),
    )
