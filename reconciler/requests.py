"""Actions as files: what a person asks of the daemon, in `<state>/requests`.

    new/<id>.json      arrived by rename; waits for the daemon
    done/<id>.json     its outcome; the newest 200 are kept
    bad/<name>         what could not be read, with the reason in <name>.reason; the newest 200 are kept

It survives a crash of either side: the outcome is written before the request is withdrawn, and a request whose outcome
is there is withdrawn without being done again. Asked twice under one id it is answered once.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from reconciler.clock import Clock
from reconciler.core.errors import StoreError, UsageError
from reconciler.core.model import Instant, Json
from reconciler.crashpoints import crashpoint

SIZE_LIMIT = 1 << 20
PENDING_LIMIT = 10_000
_KEPT = 200
_POLL_S = 0.05
_LATEST = 1e12  # seconds since the epoch: anything beyond is no instant, and may be no number
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Verb(StrEnum):
    """What can be asked; the arguments are named beside each."""

    RECONCILE = "reconcile"  # sweep?: str, repin?: bool
    RETRY = "retry"  # sweep: str, tasks?: [str], assumeDead?: [int] (the number of each task's attempt)
    APPROVE = "approve"  # plan: str
    ENABLE = "enable"  # source: str
    DISABLE = "disable"  # source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing asked. id: [A-Za-z0-9_-]{1,64}, drawn by who asks; by: a person's name, for the log."""

    id: str
    verb: Verb
    at: Instant
    by: str
    arguments: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an action. ok False: it was refused, and the message says why."""

    ok: bool
    message: str
    at: Instant
    details: Mapping[str, Json] = field(default_factory=dict)


def directory(state_dir: Path) -> Path:
    """Where new actions arrive."""
    return state_dir / "requests" / "new"


def submit(state_dir: Path, action: Action) -> str:
    """Hand an action to the daemon; returns its id. Durable when it returns; the same id again changes nothing.

    Raises UsageError (BadRequest), StoreError (StateUnwritable).
    """
    _check_id(action.id)
    body: dict[str, Json] = {
        "id": action.id,
        "verb": action.verb.value,
        "arguments": action.arguments,
        "at": action.at,
        "by": action.by,
    }
    text = json.dumps(body)
    if len(text) > SIZE_LIMIT:
        raise UsageError("BadRequest", f"the request has {len(text)} bytes", hint=f"the limit is {SIZE_LIMIT}")
    if outcome(state_dir, action.id) is None:
        _write(_folder(state_dir, "new") / f"{action.id}.json", text)
    return action.id


def pending(state_dir: Path) -> list[Action]:
    """Actions not yet done, oldest first; unreadable files are moved to `bad` with the reason beside them."""
    actions = []
    with _translated():
        paths = sorted(directory(state_dir).glob("*.json"))[:PENDING_LIMIT]
    for path in paths:
        try:
            action = _action(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            _reject(state_dir, path, str(error))
            continue
        if outcome(state_dir, action.id) is None:
            actions.append(action)
        else:  # the daemon was killed between the outcome and the withdrawal
            path.unlink(missing_ok=True)
    return sorted(actions, key=lambda action: (action.at, action.id))


def done(state_dir: Path, action: Action, outcome_: Outcome) -> None:
    """Record the outcome, then withdraw the request; done twice, the first outcome stays. Keeps the newest 200."""
    if outcome(state_dir, action.id) is None:
        body: dict[str, Json] = {
            "id": action.id,
            "verb": action.verb.value,
            "ok": outcome_.ok,
            "message": outcome_.message,
            "at": outcome_.at,
            "details": outcome_.details,
        }
        _write(_folder(state_dir, "done") / f"{action.id}.json", json.dumps(body))
    crashpoint("requests.answered")
    with _translated():
        (directory(state_dir) / f"{action.id}.json").unlink(missing_ok=True)
    crashpoint("requests.withdrawn")
    _keep_newest(state_dir / "requests" / "done")


def outcome(state_dir: Path, action_id: str) -> Outcome | None:
    """The outcome, or None while there is none (or when it is too old to be kept)."""
    _check_id(action_id)
    with _translated():
        try:
            body = _json(state_dir / "requests" / "done" / f"{action_id}.json")
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StoreError("StateUnreadable", f"the outcome of {action_id} is damaged: {error}") from error
    match body:
        case {"ok": bool(ok), "message": str(message), "at": int() | float() as at, "details": dict(details)}:
            return Outcome(ok=ok, message=message, at=float(at), details=details)
        case _:
            raise StoreError("StateUnreadable", f"the outcome of {action_id} has an unknown shape")


async def wait(state_dir: Path, action_id: str, *, timeout_s: float, clock: Clock) -> Outcome | None:
    """The outcome as soon as there is one; None after the timeout: the action stays pending and will be done."""
    deadline = clock.elapsed() + timeout_s
    while (found := outcome(state_dir, action_id)) is None:
        left = deadline - clock.elapsed()
        if left <= 0:
            return None
        await clock.sleep(min(_POLL_S, left))
    return found


def _action(path: Path) -> Action:
    """Raises ValueError with the reason, FileNotFoundError when it has gone."""
    match _json(path):
        case {
            "id": str(id_),
            "verb": str(verb),
            "arguments": dict(arguments),
            "at": int() | float() as at,
            "by": str(by),
        }:
            if not -_LATEST <= at <= _LATEST:
                raise ValueError("`at` is no instant")
            if f"{id_}.json" != path.name or _ID.fullmatch(id_) is None:
                raise ValueError("the id is not the file's name")
            if verb not in tuple(Verb):
                raise ValueError(f"unknown verb {verb[:40]!r}")
            return Action(id=id_, verb=Verb(verb), arguments=arguments, at=float(at), by=by[:100])
        case _:
            raise ValueError("it needs id, verb, arguments, at and by")


def _json(path: Path) -> Json:
    # O_NOFOLLOW and O_NONBLOCK: a symlink or a pipe laid here is no request, and must not make the daemon wait
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        data = file.read(SIZE_LIMIT + 1)
    if len(data) > SIZE_LIMIT:
        raise ValueError(f"more than {SIZE_LIMIT} bytes")
    try:
        body: Json = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return body


def _reject(state_dir: Path, path: Path, reason: str) -> None:
    bad = _folder(state_dir, "bad")
    with _translated():
        _write(bad / f"{path.name}.reason", reason[:1000] + "\n")
        crashpoint("requests.judged")
        with contextlib.suppress(FileNotFoundError):
            path.rename(bad / path.name)
    _keep_newest(bad, count=2 * _KEPT)


def _keep_newest(folder: Path, count: int = _KEPT) -> None:
    with _translated():
        files = [path for path in folder.iterdir() if not path.is_dir()]
        for path in sorted(files, key=lambda path: path.lstat().st_mtime_ns, reverse=True)[count:]:
            path.unlink(missing_ok=True)


def _folder(state_dir: Path, name: str) -> Path:
    folder = state_dir / "requests" / name
    with _translated():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and there after a power failure."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with _translated():
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        crashpoint("requests.written")
        partial.rename(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _check_id(action_id: str) -> None:
    if _ID.fullmatch(action_id) is None:
        raise UsageError("BadRequest", f"{action_id[:80]!r} is no request id", hint="letters, digits, _ and -")


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        hint = "may this account write the state directory, and is there space?"
        raise StoreError("StateUnwritable", f"a request cannot be handled: {error}", hint=hint) from error
