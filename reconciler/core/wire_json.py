"""The messages of `core.wire` to and from JSON.

All of it raises Garbled on what it does not understand; unknown fields are ignored: the ends may differ in age.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from reconciler.core.code_reasons import CODE
from reconciler.core.errors import Busy, Fenced, Garbled, Refused, SourceError
from reconciler.core.model import Eid, HostIdentity, InstanceId, Json
from reconciler.core.wire import (
    PROTOCOL,
    AttemptSpec,
    Census,
    Claim,
    ClaimKind,
    CodeRan,
    CodeSpec,
    Ended,
    ExitRecord,
    Found,
    Hello,
    Lock,
    Output,
    Piece,
    Probe,
    Remains,
    SpecRemains,
    Survey,
)

# agent errors that a repeat cannot mend
REFUSALS = frozenset({"ForeignRoot", "BadRequest", "RootUnusable", "UnsafeName", "WorktreeFailed"}) | CODE.keys()

WHOLE_MAX = 2**63 - 1  # what the store can keep
NUMBER_MAX = 1e18  # infinities and nonsense are garbled, too
SAID_MAX = 1000

E = TypeVar("E", bound=StrEnum)


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
        "code": None if spec.code is None else _code_to_json(spec.code),
        "grace_s": spec.grace_s,
        "warn_s": spec.warn_s,
        "warn_signal": spec.warn_signal,
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
        code=None if spec.get("code") is None else _code_from_json(spec.get("code")),
        grace_s=_number(spec, "grace_s"),
        warn_s=None if spec.get("warn_s") is None else _integer(spec, "warn_s"),
        warn_signal=_text(spec, "warn_signal") if "warn_signal" in spec else "",
    )


def _code_to_json(code: CodeSpec) -> Mapping[str, Json]:
    return {"project": code.project, "commit": code.commit, "seal": code.seal}


def _code_from_json(value: Json) -> CodeSpec:
    code = _object(value, "code")
    return CodeSpec(project=_text(code, "project"), commit=_text(code, "commit"), seal=_text(code, "seal"))


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
        mark=_text(hello, "mark") if "mark" in hello else "",
        neighbours=frozenset(
            _home(_object(each, "a host")) for each in _list(hello.get("neighbours", []), "neighbours")
        ),
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


def survey_from_json(value: Json) -> Survey:
    """What the source's machine has."""
    survey = _object(value, "a survey")
    return Survey(
        gpus=_texts(survey, "gpus"),
        programs=_texts(survey, "programs"),
        ends_leftovers=_flag(survey, "ends_leftovers") if "ends_leftovers" in survey else False,
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
        torn=_flag(found, "torn") if "torn" in found else False,
        refused=_text(found, "refused"),
        differs=_flag(found, "differs") if "differs" in found else False,
        directory=_text(found, "directory"),
        said=_text(found, "said")[:SAID_MAX] if "said" in found else "",
    )


def page_from_json(value: Json) -> Mapping[Eid, Found]:
    """A page of findings, in the order in which the agent wrote them."""
    return {Eid(eid): found_from_json(Eid(eid), found) for eid, found in _object(value, "a page").items()}


def census_from_json(value: Json) -> Census:
    """A page of what is left of attempts. A spec that is not understood counts as none: somebody wrote it there."""
    page = _object(value, "a census")
    return Census(
        remains=tuple(_remains(Eid(eid), left) for eid, left in _object(page.get("remains"), "remains").items()),
        unread=tuple(Eid(eid) for eid in _texts(page, "unread")),
        after=_text(page, "after"),
    )


def outcomes_from_json(kind: type[E], value: Json) -> Mapping[Eid, E]:
    """What became of each attempt of a start (StartOutcome) or cancel (CancelOutcome) request."""
    return {Eid(eid): _member(kind, outcome) for eid, outcome in _object(value, "outcomes").items()}


def outputs_from_json(value: Json) -> Mapping[Eid, Mapping[str, Output]]:
    """What attempts have written: their files by name."""
    return {
        Eid(eid): {name: _output(_object(file, "a file")) for name, file in _object(files, "files").items()}
        for eid, files in _object(value, "outputs").items()
    }


def piece_from_json(value: Json) -> Piece:
    """Some bytes of a file."""
    piece = _object(value, "a piece")
    return Piece(data=_bytes(piece, "data"), size=_integer(piece, "size"), stamp=_text(piece, "stamp"))


def error_from_json(value: Json) -> SourceError:
    """The error that the agent named; one that we do not know may have happened half-way, so it says OBSERVE."""
    error = _object(value, "an error")
    reason, message, hint = _text(error, "reason"), _text(error, "message"), _text(error, "hint")
    if reason == "Fenced":
        return Fenced(reason, message, hint=hint)
    if reason == "Busy":
        return Busy(reason, message, hint=hint)
    return (Refused if reason in REFUSALS else Garbled)(reason, message, hint=hint)


def _output(file: Mapping[str, Json]) -> Output:
    if file.get("error") is not None:
        return Output(error=_text(file, "error"))
    output = Output(
        size=_integer(file, "size"),
        head=_integer(file, "head"),
        tail=_integer(file, "tail"),
        stamp=_text(file, "stamp"),
        sha256=_text(file, "sha256"),
        data=None if file.get("data") is None else _bytes(file, "data"),
    )
    if min(output.head, output.tail) < 0 or output.head + output.tail > output.size:
        raise _garbled("a file", {**file, "data": None})
    return output


def _remains(eid: Eid, value: Json) -> Remains:
    left = _object(value, "remains")
    try:
        spec = None if left.get("spec") is None else _spec_remains(_object(left.get("spec"), "a spec"))
    except Garbled:
        spec = None
    return Remains(found=found_from_json(eid, left.get("found")), spec=spec, dead=_flag(left, "dead"))


def _spec_remains(spec: Mapping[str, Json]) -> SpecRemains:
    return SpecRemains(
        sweep=_text(spec, "sweep"),
        task=_text(spec, "task"),
        attempt=_integer(spec, "attempt"),
        parameters=_object(spec.get("parameters"), "parameters"),
        cwd=None if spec.get("cwd") is None else _text(spec, "cwd"),
        walltime_s=None if spec.get("walltime_s") is None else _integer(spec, "walltime_s"),
        gpus=_integer(spec, "gpus"),
        digest=_text(spec, "digest") if spec.get("digest") is not None else "",
        commit="" if spec.get("code") is None else _code_from_json(spec.get("code")).commit,
    )


def _claim(claim: Mapping[str, Json]) -> Claim:
    gpus = claim.get("gpus", ())
    return Claim(
        kind=_member(ClaimKind, claim.get("kind")),
        at=_number(claim, "at"),
        home=_home(claim),
        nonce=_text(claim, "nonce") if "nonce" in claim else "",
        digest=_text(claim, "digest") if "digest" in claim else "",
        job=_text(claim, "job") if "job" in claim else "",
        restarts=_integer(claim, "restarts") if "restarts" in claim else 0,
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
        oom_kills=_integer(record, "oom_kills") if "oom_kills" in record else 0,
        code=None if record.get("code") is None else _ran(_object(record.get("code"), "code")),
    )


def _ran(code: Mapping[str, Json]) -> CodeRan:
    verified = None if code.get("verified") is None else _number(code, "verified")
    return CodeRan(project=_text(code, "project"), commit=_text(code, "commit"), verified=verified)


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
    if not isinstance(value, int) or isinstance(value, bool) or not -WHOLE_MAX <= value <= WHOLE_MAX:
        raise _garbled("a whole number", value)
    return value


def _member(kind: type[E], value: Json) -> E:
    try:
        return kind(_string(value))
    except ValueError:
        raise _garbled(f"a {kind.__name__}", value) from None


def _text(value: Mapping[str, Json], name: str) -> str:
    return _string(value.get(name))


def _bytes(value: Mapping[str, Json], name: str) -> bytes:
    text = _text(value, name)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _garbled("base64", text) from None


def _texts(value: Mapping[str, Json], name: str) -> tuple[str, ...]:
    return tuple(_string(text) for text in _list(value.get(name), name))


def _integer(value: Mapping[str, Json], name: str) -> int:
    return _whole(value.get(name))


def _number(value: Mapping[str, Json], name: str) -> float:
    number = value.get(name)
    if not isinstance(number, int | float) or isinstance(number, bool) or not -NUMBER_MAX <= number <= NUMBER_MAX:
        raise _garbled(f"a number {name!r}", number)
    return float(number)


def _flag(value: Mapping[str, Json], name: str) -> bool:
    flag = value.get(name)
    if not isinstance(flag, bool):
        raise _garbled(f"a flag {name!r}", flag)
    return flag
