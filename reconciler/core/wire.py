"""The shapes of what travels between the daemon and the agent: one JSON object a line, both ways.

    →  {"id": 7, "op": "start", "epoch": 3, …}             a request; `epoch` on every mutation
    ←  {"id": 7, "ok": {…}}                                 its answer, or
    ←  {"id": 7, "error": {"reason", "message", "hint"}}    a refusal that the agent recognises
    ←  {"push": "found", "found": {eid: Found, …}}          evidence, unasked, in pages of at most PAGE attempts

Operations:

    hello     {instance, root, slots, gpus, daemon, after, earlier} → Hello; wins the next epoch, unless another daemon
                                                   than the `earlier` ones has won one beyond `after`; the first request
    start     {attempts: [AttemptSpec], mark}    → {"outcomes": {eid: StartOutcome}}; idempotent: the claim decides; the
                                                   newest `mark`, any words of the daemon's, comes back with each Hello
    inspect   {eids}                             → {"found": {eid: Found}}; from then on these are watched
    revoke    {eids}                             → {"outcomes": {eid: RevokeOutcome}}; wins the claim, or leaves it be
    cancel    {eids, grace_s}                    → {"outcomes": {eid: CancelOutcome}}; revokes, or signals by the shim
    ack       {eids}                             → {}; the exit records are committed: their outbox hints may go
    forget    {eids}                             → {}; the attempt directories may go (revoked tombstones stay)
    worktree  {project, commit, links, git_dir}  → {"path", "seal"}; the immutable worktree, made once, and verified;
                                                   without `git_dir` from what has come to the source
    have      {project}                          → {"tips"}; the newest commits that have come
    piece     {project, sha256, size, offset, data} → {"size"}; a bundle of commits comes: so much of it is there
    unbundle  {project, commit, sha256}          → {}; it has come whole
    fetch     {project, commit, url, protocol}   → {}; the source itself brings the commit
    tidy      {needed, unused_s}                 → {"worktrees", "removed"}; what nobody needed for so long may go
    outputs   {eids, limit}                      → {"outputs": {eid: {name: Output, …}}}; what attempts have written, as
                                                   many as fit into an answer; of each file at most `limit` bytes
    read      {eid, name, offset, length}        → Piece; of a file of one attempt
    probe     {}                                 → Probe
    survey    {}                                 → Survey; takes its time
    submit    {batch, name, attempts, command, rejects, mark} → {"outcomes", "ran", "already", "rejected"}; lays down
                                                   what the jobs need, wins the submission, and runs the command
    listing   {eids, listing, row, histories, unstarted} → {"listing", "found", "histories", "unstarted", "batches"};
                                                   what a scheduler lists, then what lies there, then what else it says
                                                   of those that are gone, and of those that are so without a claim
    withdraw  {eids, listing, ends, running}     → {"outcomes"}; wins the claims, and takes those from the queue that it
                                                   lists; `running`: what has started is told to end, too
    restrict  {limits, listing, row, command}    → {"told"}; how many of the batches of these attempts may run at once:
                                                   `limits` {eid: n}; those that were told
    inquire   {commands}                         → {"ran": {key: Ran}}; programs that only look, one after the other
    census    {after}                            → Census; all that is left of attempts, a page at a time

An empty `instance` is a visitor's: its hello wins nothing and makes nothing, its `owner` is whose root it is ("" for
nobody's), and nothing may follow but a census, what is read of attempts, and programs that only look.

`Found` is everything that lies on the source about one attempt, read in the order lock, claim, exit record, so that an
end is never overlooked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from reconciler.core.jobs import Account, Demand, Job, Listing
from reconciler.core.model import Eid, HostIdentity, InstanceId, Instant, Json

PROTOCOL = 1
CODE_OPERATIONS = frozenset({"worktree", "have", "piece", "unbundle", "fetch", "tidy"})
PAGE = 500

T = TypeVar("T")


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
    mark: str = ""  # told with what was started there last, by whomever
    neighbours: frozenset[HostIdentity] = frozenset()  # who have ruled this very root, if several hosts share its files


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
    restarts: int = 0  # how often the scheduler had started that job before
    pid: int = 0
    gpus: tuple[int, ...] = ()


class Ended(StrEnum):
    """Who ended the task."""

    ITSELF = "itself"
    WALLTIME = "walltime"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSpec:
    """The code of one attempt, and the seal on the source by which it is recognised just before the start; "": none."""

    project: str
    commit: str
    seal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRan:
    """The code that a task ran. verified: when, just before the start, its files were as they had been verified."""

    project: str
    commit: str
    verified: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRecord:
    """What the shim wrote when its task had ended. Exactly one of exit_code, signal, launch_error is set.

    oom_kills: how many processes of it the system killed for want of memory, where that is counted for it alone.
    """

    nonce: str
    started_at: Instant
    ended_at: Instant
    ended_by: Ended
    exit_code: int | None = None
    signal: int | None = None
    launch_error: str | None = None
    cpu_s: float = 0.0
    max_rss_mib: float = 0.0
    oom_kills: int = 0
    code: CodeRan | None = None


class Lock(StrEnum):
    """The attempt's lock as an observer finds it; only HELD and FREE are evidence."""

    HELD = "held"  # some process of the attempt lives
    FREE = "free"  # none does
    UNKNOWN = "unknown"  # no lock file, or not the inode of the claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What lies on the source about one attempt, and what its scheduler says. All None/False: nothing is there."""

    eid: Eid
    staged: bool = False
    waiting: bool = False  # in the agent's own queue, for a free slot
    claim: Claim | None = None
    exit: ExitRecord | None = None
    lock: Lock = Lock.UNKNOWN
    torn: bool = False  # something lies where the claim should be, and is none
    refused: str = ""  # the shim could not claim (exit 98): nothing ran; what the system said
    differs: bool = False  # it would not: `refused` names what of the code is not as it was verified
    directory: str = ""
    listing: Listing = Listing.NONE  # how the scheduler answered, if there is one
    job: Job | None = None  # its row in a clean listing; the tag, not the id, made it this attempt's
    account: Account | None = None  # what the accounting says, if it says anything
    said: str = ""  # the last words of a job that is listed no more and has not claimed it


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
    code: CodeSpec | None = None
    grace_s: float = 10.0  # between TERM and KILL
    warn_s: int | None = None  # so long before its walltime ends it hears `warn_signal`, such as USR1
    warn_signal: str = ""
    demand: Demand | None = None  # of its scheduler, if it has one: it does not travel


class StartOutcome(StrEnum):
    """What became of one attempt of a start request. The claim decides everything else."""

    ACCEPTED = "accepted"  # forked, or in the agent's queue for a slot
    CLAIMED = "claimed"  # it had been started before: look at it
    REVOKED = "revoked"  # somebody gave up on it: it will never run


class RevokeOutcome(StrEnum):
    """What became of giving up on an attempt: whoever wins the claim decides."""

    REVOKED = "revoked"  # it had not started, and never will
    CLAIMED = "claimed"  # it has started after all: look at it


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the source's machine has: graphics processors by name, and which of the programs that we know of.

    ends_leftovers: when the last login ends, so does all that it has started, our tasks included.
    """

    gpus: tuple[str, ...]
    programs: tuple[str, ...]
    ends_leftovers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecRemains:
    """What spec.json tells about an attempt, as far as a store would know it."""

    sweep: str
    task: str
    attempt: int
    parameters: Mapping[str, Json]
    cwd: str | None
    walltime_s: int | None
    gpus: int
    digest: str
    commit: str = ""  # of the code that it ran


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """All that is left of one attempt on its source."""

    found: Found
    spec: SpecRemains | None  # None: it was revoked before it was staged, or the file is torn
    dead: bool = False  # its claim is torn, and older than the boot: what had made it went with the power


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """A page of remains. `after`: where the next page begins, "" when there is none."""

    remains: tuple[Remains, ...]
    unread: tuple[Eid, ...]  # something lies there, and the source could not read it
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One file that an attempt has written, as it was when it was hashed.

    size       bytes; of a file that is longer than was asked for only `head` bytes of its beginning and `tail` of its
               end are meant, else `head` is all of it
    stamp      another one when the file has been written to since
    data       those bytes, if they are few
    error      why it cannot be read; then nothing else is known
    """

    size: int = 0
    head: int = 0
    tail: int = 0
    stamp: str = ""
    sha256: str = ""
    data: bytes | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some bytes of a file, the size of the whole, and its stamp: "" when there is no such file."""

    data: bytes
    size: int
    stamp: str
