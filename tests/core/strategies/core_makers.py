"""Small values with everything filled in but what a test is about."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.dispatch import Capacity, Head, Queue
from reconciler.core.jobs import Account, Verdict
from reconciler.core.model import (
    Attempt,
    AttemptKey,
    Digest,
    Eid,
    HostIdentity,
    Phase,
    Resources,
    SourceName,
    SweepName,
    Task,
    TaskId,
    TaskKey,
)
from reconciler.core.spec import Placement
from reconciler.core.wire import Claim, ClaimKind, Ended, ExitRecord, Found

SWEEP = SweepName("s")
EID = Eid("gaaaabbbbbbbbbb")
HERE = HostIdentity(host="laptop", machine="m1", boot="b1")
REBOOTED = replace(HERE, boot="b2")
ELSEWHERE = HostIdentity(host="login2", machine="m2", boot="b9")
NOW = 1000.0


def attempt(phase=Phase.QUEUED, *, number=1, **fields) -> Attempt:
    """An attempt intended at 100; running or ended ones were started at 200 with nonce "n1"."""
    if phase is not Phase.QUEUED:
        fields = {"started_at": 200.0, "nonce": "n1", "accepted_at": 150.0} | fields
    defaults = {
        "key": AttemptKey(SWEEP, TaskId("t"), number),
        "eid": EID,
        "source": SourceName("laptop"),
        "digest": Digest("d1"),
        "home": HERE,
        "resources": Resources(),
        "intended_at": 100.0,
    }
    return Attempt(phase=phase, **(defaults | fields))


def task(phase=Phase.QUEUED, **fields) -> Task:
    """A desired task that mirrors `attempt(phase)`."""
    defaults = {
        "key": TaskKey(SWEEP, TaskId("t")),
        "ordinal": 0,
        "replicate": 0,
        "parameters": {},
        "attempts": 1,
        "digest": Digest("d1"),
        "source": SourceName("laptop"),
    }
    return Task(phase=phase, **(defaults | fields))


def started(nonce="n1", *, home=HERE, gpus=(), digest="") -> Claim:
    return Claim(kind=ClaimKind.STARTED, at=200.0, home=home, nonce=nonce, digest=digest, job="7", pid=7, gpus=gpus)


def revoked(*, home=HERE) -> Claim:
    return Claim(kind=ClaimKind.REVOKED, at=210.0, home=home)


def record(nonce="n1", *, ended_by=Ended.ITSELF, **how) -> ExitRecord:
    """An exit record; exit code 0 unless `how` says exit_code, signal or launch_error."""
    return ExitRecord(nonce=nonce, started_at=200.0, ended_at=300.0, ended_by=ended_by, **(how or {"exit_code": 0}))


def account(*, verdict=Verdict.CANCELLED, **fields) -> Account:
    """How the start of `started()` ended, on a node that was heard since."""
    defaults = {"job": "7", "restarts": 0, "ended_at": 300.0, "ceased": True}
    return Account(verdict=verdict, **(defaults | fields))


def found(**fields) -> Found:
    return Found(eid=EID, **fields)


def source(name="a", *, slots=4, active=0, gpus=0, **fields) -> Capacity:
    return Capacity(name=SourceName(name), slots=slots, active=active, gpus=gpus, **({"gpus_free": gpus} | fields))


def heads(sweep, count, resources=None) -> list[Head]:
    return [Head(TaskKey(SweepName(sweep), TaskId(f"{i:04}")), resources or Resources()) for i in range(count)]


def queue(sweep="s", count=0, *, resources=None, sources=None, strategy=None, **fields) -> Queue:
    """A queue of `count` ready heads; `sources` and `strategy` make its placement."""
    placing = {} if strategy is None else {"strategy": strategy}
    placement = Placement(sources=sources, **placing)
    defaults = {"heads": heads(sweep, count, resources), "placement": placement}
    fields = defaults | fields
    fields.setdefault("waiting", len(fields["heads"]) + fields.get("delayed", 0))
    return Queue(sweep=SweepName(sweep), **fields)
