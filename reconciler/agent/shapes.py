"""What a request must contain, and what a claim holds. Everything from outside passes through here once."""

import json
import re
from typing import Dict, List, NamedTuple, Optional, Union

Json = Union[None, bool, int, float, str, List["Json"], Dict[str, "Json"]]
Object = Dict[str, Json]

PROTOCOL = 1
PAGE = 500
WARNINGS = ("USR1", "USR2", "INT", "HUP", "TERM")  # what a task may hear before its walltime ends

_EID = re.compile(r"g[a-z2-7]{14}\Z")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}\Z")
_COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")


class Refusal(Exception):
    """An answer to a request that is an error; `reason` is one CamelCase word that the daemon knows."""

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint


class Code(NamedTuple):
    """The code that an attempt runs, and the seal by which it is recognised; "": there is none."""

    project: str
    commit: str
    seal: str


class Spec(NamedTuple):
    """One attempt to start; `raw` is what becomes spec.json."""

    eid: str
    sweep: str
    task: str
    attempt: int
    argv: List[str]
    environment: Dict[str, str]
    setup: List[str]
    parameters: Object
    cwd: Optional[str]
    checkpoint: str
    walltime_s: Optional[int]
    gpus: int
    digest: str
    grace_s: float
    raw: Object
    code: Optional[Code] = None
    warn_s: Optional[int] = None  # before its walltime ends
    warn_signal: str = ""


class Order(NamedTuple):
    """What a shim is told to do."""

    spec: Spec
    gpus: List[int]

    def line(self) -> bytes:
        return dumps({"spec": self.spec.raw, "gpus": list(self.gpus)}).encode("ascii")


class LockId(NamedTuple):
    """A lock file: where it lies, and which inode it must be."""

    path: str
    dev: int
    ino: int


class Claim(NamedTuple):
    """A claim as it was read. Of a revoked one only `kind`, `host`, `machine` and `boot` mean anything."""

    kind: str
    eid: str
    host: str
    machine: str
    boot: str
    nonce: str
    pid: int
    start: int  # the shim's start, in clock ticks after the boot: with the pid, and the boot, this names one process
    lock: Optional[LockId]
    gpus: List[int]
    raw: Object
    begun: Optional[float] = None  # when the attempt itself did, in seconds after the boot: its shim may be older


def spec_of(value: Json) -> Spec:
    """Raises Refusal."""
    body = object_of(value, "an attempt")
    argv = texts(body, "argv")
    if not argv:
        raise Refusal("BadRequest", "an attempt without a command")
    environment = object_of(body.get("environment"), "environment")
    return Spec(
        eid=eid_of(body.get("eid")),
        sweep=text(body, "sweep"),
        task=text(body, "task"),
        attempt=whole(body, "attempt"),
        argv=argv,
        environment={name: string(value) for name, value in environment.items()},
        setup=texts(body, "setup"),
        parameters=object_of(body.get("parameters"), "parameters"),
        cwd=None if body.get("cwd") is None else absolute(body, "cwd"),
        checkpoint=name_of(body, "checkpoint"),
        walltime_s=None if body.get("walltime_s") is None else whole(body, "walltime_s"),
        gpus=whole(body, "gpus"),
        digest=text(body, "digest"),
        grace_s=number(body, "grace_s"),
        raw=body,
        code=_code_of(body.get("code")),
        warn_s=None if body.get("warn_s") is None else whole(body, "warn_s"),
        warn_signal=_signal_of(body.get("warn_signal", "")),
    )


def _signal_of(value: Json) -> str:
    if value not in ("", *WARNINGS):
        raise Refusal("BadRequest", "not a signal that a task may hear: %.80r" % (value,))
    return str(value)


def _code_of(value: Json) -> Optional[Code]:
    if value is None:
        return None
    body = object_of(value, "code")
    return Code(text(body, "project"), text(body, "commit"), text(body, "seal") and absolute(body, "seal"))


def claim_of(value: Json) -> Claim:
    """Raises Refusal when it is none, or not whole."""
    body = object_of(value, "a claim")
    kind = text(body, "kind")
    if kind not in ("started", "revoked"):
        raise Refusal("BadRequest", "not a kind of claim: %.80r" % kind)
    for name in ("digest", "job"):
        if name in body:
            text(body, name)
    instant(body, "at")
    started = kind == "started"
    lock = object_of(body.get("lock"), "a lock") if started else None
    return Claim(
        kind=kind,
        eid=text(body, "eid") if started else "",
        host=text(body, "host"),
        machine=text(body, "machine"),
        boot=text(body, "boot"),
        nonce=text(body, "nonce") if started else "",
        pid=whole(body, "pid") if started else 0,
        start=whole(body, "start") if started else 0,
        lock=None if lock is None else LockId(text(lock, "path"), whole(lock, "dev"), whole(lock, "ino")),
        gpus=wholes(body, "gpus") if started else [],
        raw=body,
        begun=number(body, "begun") if started and "begun" in body else None,
    )


def record_of(value: Json) -> Object:
    """An exit record. Raises Refusal when it is none, or not whole: tasks may write files of any name."""
    body = object_of(value, "an exit record")
    text(body, "nonce")
    if text(body, "ended_by") not in ("itself", "walltime", "cancel"):
        raise Refusal("BadRequest", "not who ends a task: %.80r" % (body["ended_by"],))
    for name in ("started_at", "ended_at"):
        instant(body, name)
    for name in ("cpu_s", "max_rss_mib"):
        number(body, name)
    if "oom_kills" in body:
        whole(body, "oom_kills")
    told = [name for name in ("exit_code", "signal", "launch_error") if body.get(name) is not None]
    if told == ["launch_error"]:
        text(body, "launch_error")
    elif len(told) == 1:
        whole(body, told[0])
    else:
        raise Refusal("BadRequest", "not one end, but %d" % len(told))
    return body


def order_of(value: Json) -> Order:
    body = object_of(value, "an order")
    return Order(spec_of(body.get("spec")), wholes(body, "gpus"))


def eids_of(body: Object) -> List[str]:
    return [eid_of(eid) for eid in list_of(body.get("eids"), "eids")]


def eid_of(value: Json) -> str:
    """An attempt's name; it becomes a path, so nothing else passes."""
    if not is_eid(value):
        raise Refusal("BadRequest", "not the name of an attempt: %.80r" % (value,))
    return str(value)


def is_eid(value: Json) -> bool:
    return isinstance(value, str) and _EID.match(value) is not None


def name_of(body: Object, name: str) -> str:
    """A name that becomes one component of a path."""
    value = text(body, name)
    if not _NAME.match(value):
        raise Refusal("BadRequest", "%s is not a plain name: %.80r" % (name, value))
    return value


def mark_of(body: Object) -> str:
    """A few words that mean something to the daemon alone; "" when there are none."""
    value = body.get("mark", "")
    if not isinstance(value, str) or len(value) > 200 or not value.isprintable():
        raise Refusal("BadRequest", "not a mark: %.80r" % (value,))
    return value


def commit_of(body: Object, name: str) -> str:
    value = text(body, name)
    if not _COMMIT.match(value):
        raise Refusal("BadRequest", "%s is not a full commit id: %.80r" % (name, value))
    return value


def absolute(body: Object, name: str) -> str:
    value = text(body, name)
    if not value.startswith("/") or "\0" in value:
        raise Refusal("BadRequest", "%s is not an absolute path: %.80r" % (name, value))
    return value


def object_of(value: Json, what: str) -> Object:
    if not isinstance(value, dict):
        raise Refusal("BadRequest", "%s is not an object: %.80r" % (what, value))
    return value


def list_of(value: Json, what: str) -> List[Json]:
    if not isinstance(value, list):
        raise Refusal("BadRequest", "%s is not a list: %.80r" % (what, value))
    return value


def string(value: Json) -> str:
    if not isinstance(value, str):
        raise Refusal("BadRequest", "not a text: %.80r" % (value,))
    return value


def text(body: Object, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise Refusal("BadRequest", "%s is not a text: %.80r" % (name, value))
    return value


def texts(body: Object, name: str) -> List[str]:
    return [string(value) for value in list_of(body.get(name), name)]


def whole(body: Object, name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise Refusal("BadRequest", "%s is not a count: %.80r" % (name, value))
    return value


def wholes(body: Object, name: str) -> List[int]:
    values = list_of(body.get(name), name)
    return [whole({name: value}, name) for value in values]


def number(body: Object, name: str) -> float:
    value = body.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e9:
        raise Refusal("BadRequest", "%s is not a duration: %.80r" % (name, value))
    return float(value)


def instant(body: Object, name: str) -> float:
    """Seconds since 1970."""
    value = body.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e11:
        raise Refusal("BadRequest", "%s is not an instant: %.80r" % (name, value))
    return float(value)


def dumps(value: Object) -> str:
    return json.dumps(value)
