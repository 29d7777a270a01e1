"""The shapes of what travels between the daemon and the agent: one JSON object a line, both ways.

    →  {"id": 7, "op": "start", "epoch": 3, …}             a request; `epoch` on every mutation
    ←  {"id": 7, "ok": {…}}                                 its answer, or
    ←  {"id": 7, "error": {"reason", "message", "hint"}}    a refusal that the agent recognises
    ←  {"push": "found", "found": {eid: Found, …}}          evidence, unasked, in pages of at most PAGE attempts

Operations:

    hello     {instance, root, slots, gpus, daemon, after} → Hello; wins the next epoch, unless another daemon has won
                                                   one beyond `after`; must be the first request
    start     {attempts: [AttemptSpec]}          → {"outcomes": {eid: StartOutcome}}; idempotent: the claim decides
    inspect   {eids}                             → {"found": {eid: Found}}; from then on these are watched
    cancel    {eids, grace_s}                    → {"outcomes": {eid: CancelOutcome}}; revokes, or signals by the shim
    ack       {eids}                             → {}; the exit records are committed: their outbox hints may go
    forget    {eids}                             → {}; the attempt directories may go (revoked tombstones stay)
    worktree  {project, commit, git_dir}         → {"path"}; the immutable worktree, made once
    probe     {}                                 → Probe

`Found` is everything that lies on the source about one attempt, read in the order lock, claim, exit record, so that an
end is never overlooked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from reconciler.core.errors import Busy, Fenced, Garbled, Refused, SourceError
from reconciler.core.model import Eid, HostIdentity, InstanceId, Instant, Json

PROTOCOL = 1
PAGE = 500
REFUSALS = frozenset(
    {"ForeignRoot", "BadRequest", "RootUnusable", "WorktreeFailed"}
)  # agent errors that a repeat cannot mend

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question for an agent. `repeatable`: asking twice does no harm."""

    op: str
    body: Mapping[str, Json]
    timeout_s: float = 60.0
    repeatable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the agent answered to one request."""

    body: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange(Generic[T]):
    """A question together with how to read its answer, so that the two cannot drift apart.

    `parse` raises `Garbled` on an answer that it does not understand.
    """

    request: Request
    parse: Callable[[Reply], T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Who the agent is and where it runs."""

    identity: HostIdentity
    epoch: int
    python: str
    root: str  # absolute, on the source
    clock: Instant
    owner: InstanceId


class ClaimKind(StrEnum):
    STARTED = "started"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The one winner of `link(2)` for an attempt: its start, or our giving up on it."""

    kind: ClaimKind
    at: Instant
    home: HostIdentity
    nonce: str = ""  # started only, as all below
    digest: str = ""  # of the work that it claimed for; another daemon of a copied state may have given the number
    job: str = ""  # the shim's pid, or the scheduler's job id
    pid: int = 0
    gpus: tuple[int, ...] = ()


class Ended(StrEnum):
    """Who ended the task."""

    ITSELF = "itself"
    WALLTIME = "walltime"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRecord:
    """What the shim wrote when its task had ended. Exactly one of exit_code, signal, launch_error is set."""

    nonce: str
    started_at: Instant
    ended_at: Instant
    ended_by: Ended
    exit_code: int | None = None
    signal: int | None = None
    launch_error: str | None = None
    cpu_s: float = 0.0
    max_rss_mib: float = 0.0


class Lock(StrEnum):
    """The attempt's lock as an observer finds it; only HELD and FREE are evidence."""

    HELD = "held"  # some process of the attempt lives
    FREE = "free"  # none does
    UNKNOWN = "unknown"  # no lock file, or not the inode of the claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What lies on the source about one attempt. All None/False: nothing is there."""

    eid: Eid
    staged: bool = False
    waiting: bool = False  # in the agent's own queue, for a free slot
    claim: Claim | None = None
    exit: ExitRecord | None = None
    lock: Lock = Lock.UNKNOWN
    refused: str = ""  # the shim could not claim (exit 98): nothing ran; what the system said
    directory: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSpec:
    """What is staged for one attempt, immutable as spec.json beside its claim."""

    eid: Eid
    sweep: str
    task: str
    attempt: int
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    setup: tuple[str, ...]
    parameters: Mapping[str, Json]  # becomes params.json
    cwd: str | None  # absolute on the source; None = the attempt's own directory
    checkpoint: str  # a directory name under <root>/checkpoints, shared by the task's attempts
    walltime_s: int | None
    gpus: int
    digest: str = ""  # what defines the work besides the point; the claim repeats it
    grace_s: float = 10.0  # between TERM and KILL


class StartOutcome(StrEnum):
    """What became of one attempt of a start request. The claim decides everything else."""

    ACCEPTED = "accepted"  # forked, or in the agent's queue for a slot
    CLAIMED = "claimed"  # it had been started before: look at it
    REVOKED = "revoked"  # somebody gave up on it: it will never run


class CancelOutcome(StrEnum):
    REVOKED = "revoked"  # it had not started, and never will
    SIGNALLED = "signalled"  # it runs, and was told to end
    ENDED = "ended"  # its exit record is there
    UNKNOWN = "unknown"  # claimed, but no process of it was found: look again


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The source's own view of itself."""

    cpus: int
    load1: float
    memory_mib: int
    memory_free_mib: int
    disk_free_mib: int
    clock: Instant


# ---------------------------------------------------------------------------------------------- to and from JSON
# All of it raises Garbled on what it does not understand; unknown fields are ignored: the ends may differ in age.


def spec_to_json(spec: AttemptSpec) -> Mapping[str, Json]:
    """The attempt as it travels, and as it lies in spec.json."""
    return {
        "eid": spec.eid,
        "sweep": spec.sweep,
        "task": spec.task,
        "attempt": spec.attempt,
        "argv": list(spec.argv),
        "environment": dict(spec.environment),
        "setup": list(spec.setup),
        "parameters": dict(spec.parameters),
        "cwd": spec.cwd,
        "checkpoint": spec.checkpoint,
        "walltime_s": spec.walltime_s,
        "gpus": spec.gpus,
        "digest": spec.digest,
        "grace_s": spec.grace_s,
    }


def spec_from_json(value: Json) -> AttemptSpec:
    """The inverse of `spec_to_json`: spec.json, read back from a source."""
    spec = _object(value, "an attempt")
    return AttemptSpec(
        eid=Eid(_text(spec, "eid")),
        sweep=_text(spec, "sweep"),
        task=_text(spec, "task"),
        attempt=_integer(spec, "attempt"),
        argv=_texts(spec, "argv"),
        environment={name: _string(text) for name, text in _object(spec.get("environment"), "environment").items()},
        setup=_texts(spec, "setup"),
        parameters=_object(spec.get("parameters"), "parameters"),
        cwd=None if spec.get("cwd") is None else _text(spec, "cwd"),
        checkpoint=_text(spec, "checkpoint"),
        walltime_s=None if spec.get("walltime_s") is None else _integer(spec, "walltime_s"),
        gpus=_integer(spec, "gpus"),
        digest=_text(spec, "digest") if "digest" in spec else "",
        grace_s=_number(spec, "grace_s"),
    )


def hello_from_json(value: Json) -> Hello:
    """The agent's introduction. Raises Refused when it speaks another protocol."""
    hello = _object(value, "a hello")
    protocol = _integer(hello, "protocol")
    if protocol != PROTOCOL:
        raise Refused("WrongProtocol", f"the agent speaks protocol {protocol}, this daemon {PROTOCOL}")
    return Hello(
        identity=_home(hello),
        epoch=_integer(hello, "epoch"),
        python=_text(hello, "python"),
        root=_text(hello, "root"),
        clock=_number(hello, "clock"),
        owner=InstanceId(_text(hello, "owner")),
    )


def probe_from_json(value: Json) -> Probe:
    """The source's view of itself."""
    probe = _object(value, "a probe")
    return Probe(
        cpus=_integer(probe, "cpus"),
        load1=_number(probe, "load1"),
        memory_mib=_integer(probe, "memory_mib"),
        memory_free_mib=_integer(probe, "memory_free_mib"),
        disk_free_mib=_integer(probe, "disk_free_mib"),
        clock=_number(probe, "clock"),
    )


def found_from_json(eid: Eid, value: Json) -> Found:
    """What lies on the source about one attempt."""
    found = _object(value, "a finding")
    claim, record = found.get("claim"), found.get("exit")
    return Found(
        eid=eid,
        staged=_flag(found, "staged"),
        waiting=_flag(found, "waiting"),
        claim=None if claim is None else _claim(_object(claim, "a claim")),
        exit=None if record is None else _exit(_object(record, "an exit record")),
        lock=_member(Lock, found.get("lock")),
        refused=_text(found, "refused"),
        directory=_text(found, "directory"),
    )


def page_from_json(value: Json) -> Mapping[Eid, Found]:
    """A page of findings, in the order in which the agent wrote them."""
    return {Eid(eid): found_from_json(Eid(eid), found) for eid, found in _object(value, "a page").items()}


def outcomes_from_json(kind: type[E], value: Json) -> Mapping[Eid, E]:
    """What became of each attempt of a start (StartOutcome) or cancel (CancelOutcome) request."""
    return {Eid(eid): _member(kind, outcome) for eid, outcome in _object(value, "outcomes").items()}


def error_from_json(value: Json) -> SourceError:
    """The error that the agent named; one that we do not know may have happened half-way, so it says OBSERVE."""
    error = _object(value, "an error")
    reason, message, hint = _text(error, "reason"), _text(error, "message"), _text(error, "hint")
    if reason == "Fenced":
        return Fenced(reason, message, hint=hint)
    if reason == "Busy":
        return Busy(reason, message, hint=hint)
    return (Refused if reason in REFUSALS else Garbled)(reason, message, hint=hint)


def _claim(claim: Mapping[str, Json]) -> Claim:
    gpus = claim.get("gpus", ())
    return Claim(
        kind=_member(ClaimKind, claim.get("kind")),
        at=_number(claim, "at"),
        home=_home(claim),
        nonce=_text(claim, "nonce") if "nonce" in claim else "",
        digest=_text(claim, "digest") if "digest" in claim else "",
        job=_text(claim, "job") if "job" in claim else "",
        pid=_integer(claim, "pid") if "pid" in claim else 0,
        gpus=tuple(_whole(index) for index in _list(gpus, "gpus")),
    )


def _exit(record: Mapping[str, Json]) -> ExitRecord:
    code, signal, launch_error = record.get("exit_code"), record.get("signal"), record.get("launch_error")
    if [code, signal, launch_error].count(None) != 2:
        raise _garbled("an exit record", record)
    return ExitRecord(
        nonce=_text(record, "nonce"),
        started_at=_number(record, "started_at"),
        ended_at=_number(record, "ended_at"),
        ended_by=_member(Ended, record.get("ended_by")),
        exit_code=None if code is None else _whole(code),
        signal=None if signal is None else _whole(signal),
        launch_error=None if launch_error is None else _string(launch_error),
        cpu_s=_number(record, "cpu_s"),
        max_rss_mib=_number(record, "max_rss_mib"),
    )


def _home(value: Mapping[str, Json]) -> HostIdentity:
    return HostIdentity(host=_text(value, "host"), machine=_text(value, "machine"), boot=_text(value, "boot"))


def _garbled(what: str, value: object) -> Garbled:
    return Garbled("Garbled", f"not {what}: {value!r:.256}", hint="the agent and the daemon may differ in version")


def _object(value: Json, what: str) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise _garbled(what, value)
    return value


def _list(value: Json, what: str) -> Sequence[Json]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _garbled(what, value)
    return value


def _string(value: Json) -> str:
    if not isinstance(value, str):
        raise _garbled("a text", value)
    return value


def _whole(value: Json) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _garbled("a whole number", value)
    return value


def _member(kind: type[E], value: Json) -> E:
    try:
        return kind(_string(value))
    except ValueError:
        raise _garbled(f"a {kind.__name__}", value) from None


def _text(value: Mapping[str, Json], name: str) -> str:
    return _string(value.get(name))


def _texts(value: Mapping[str, Json], name: str) -> tuple[str, ...]:
    return tuple(_string(text) for text in _list(value.get(name), name))


def _integer(value: Mapping[str, Json], name: str) -> int:
    return _whole(value.get(name))


def _number(value: Mapping[str, Json], name: str) -> float:
    number = value.get(name)
    if not isinstance(number, int | float) or isinstance(number, bool):
        raise _garbled(f"a number {name!r}", number)
    return float(number)


def _flag(value: Mapping[str, Json], name: str) -> bool:
    flag = value.get(name)
    if not isinstance(flag, bool):
        raise _garbled(f"a flag {name!r}", flag)
    return flag
