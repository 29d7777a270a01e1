"""Actions as files: what a person asks of the daemon, `<state>/requests/{new,done,bad}`.

An action is a file that arrives by rename, is consumed by the one daemon, and becomes an outcome beside its request. It
survives a crash of either side; asked twice under one id it is answered once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from reconciler.clock import Clock
from reconciler.core.model import Instant, Json


class Verb(StrEnum):
    """What can be asked; the arguments are named beside each."""

    RECONCILE = "reconcile"  # sweep?: str, repin?: bool
    RETRY = "retry"  # sweep: str, tasks?: [str], assumeDead?: bool
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


def submit(state_dir: Path, action: Action) -> str:
    """Hand an action to the daemon; returns its id. Durable when it returns; the same id again changes nothing. Raises UsageError, StoreError."""
    raise NotImplementedError


def pending(state_dir: Path) -> list[Action]:
    """Actions not yet done, oldest first; unreadable files are moved to `bad` with the reason beside them."""
    raise NotImplementedError


def done(state_dir: Path, action: Action, outcome: Outcome) -> None:
    """Record the outcome, then withdraw the request; done twice, the first outcome stays. Keeps the newest 200."""
    raise NotImplementedError


def outcome(state_dir: Path, action_id: str) -> Outcome | None:
    """The outcome, or None while there is none (or when it is too old to be kept)."""
    raise NotImplementedError


async def wait(state_dir: Path, action_id: str, *, timeout_s: float, clock: Clock) -> Outcome | None:
    """The outcome as soon as there is one; None after the timeout: the action stays pending and will be done."""
    raise NotImplementedError
