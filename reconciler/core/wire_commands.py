"""Commands that a source runs for us, and what they said; see `wire`. What that means, a dialect knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from reconciler.core.errors import Garbled
from reconciler.core.model import Json
from reconciler.core.wire import Exchange, Reply, Request

TIMEOUT_S = 30.0
COMMANDS_MAX = 16
TRAVEL_S = 30.0  # what a question may take beyond its commands


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run on the source.

    env    goes over the agent's own environment, of which all names go that begin like one of the patterns in `drop`
    stdin  what it reads
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    stdin: str = ""
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a command ended and what it said.

    rc   its exit code, negative for a signal; None: it was not even started, and `err` says why
    cut  it said more than the source keeps
    """

    rc: int | None
    out: str = ""
    err: str = ""
    timed_out: bool = False
    cut: bool = False


def inquire(commands: Mapping[str, Command]) -> Exchange[Mapping[str, Ran]]:
    """Run all of these on the source, one after the other; what each said, by the same keys. At most COMMANDS_MAX.

    They must only look: visitors may ask this, too, of a source that somebody else rules.
    """
    timeout_s = TRAVEL_S + sum(command.timeout_s for command in commands.values())
    body: dict[str, Json] = {"commands": {key: command_to_json(each) for key, each in commands.items()}}
    request = Request(op="inquire", body=body, timeout_s=timeout_s)
    return Exchange(request=request, parse=lambda reply: _all_ran(reply, commands.keys()))


def command_to_json(command: Command) -> Mapping[str, Json]:
    """As it travels."""
    return {
        "argv": list(command.argv),
        "env": dict(command.env),
        "drop": list(command.drop),
        "stdin": command.stdin,
        "timeout_s": command.timeout_s,
    }


def ran_from_json(value: Json) -> Ran:
    """What a command said. Raises Garbled."""
    match value:
        case {"rc": int() | None as rc, "out": str(out), "err": str(err), "timed_out": bool(late), "cut": bool(cut)}:
            return Ran(rc=rc, out=out, err=err, timed_out=late, cut=cut)
        case _:
            raise Garbled("Garbled", f"not what a command said: {value!r:.256}")


def rans_from_json(values: Json) -> Sequence[Ran]:
    """What several said, in order. Raises Garbled."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise Garbled("Garbled", f"not what commands said: {values!r:.256}")
    return tuple(ran_from_json(value) for value in values)


def _all_ran(reply: Reply, keys: Set[str]) -> Mapping[str, Ran]:
    told = reply.body.get("ran")
    if not isinstance(told, Mapping) or told.keys() != keys:
        raise Garbled("Garbled", f"not what commands said: {told!r:.256}")
    return {key: ran_from_json(value) for key, value in told.items()}
