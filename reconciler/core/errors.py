"""The one tree of errors. Each error says what to do about it.

    ReconcilerError                     reason · message · hint · retry
    ├── ConfigError          NEVER      the operator's file; carries a Position
    ├── ManifestError        NEVER      a sweep manifest; carries a Position
    ├── UsageError           NEVER      what was asked for cannot be asked
    ├── RepositoryError      BACKOFF    git could not answer: the last good revision stays in force
    ├── StoreError           BACKOFF    the state could not be read or written
    │   └── Damaged          NEVER      it holds what was never written there: nobody may go on with it
    ├── AlreadyRunning       NEVER      another daemon serves this state
    ├── ResultsError         BACKOFF    results cannot be written here: they stay on their sources meanwhile
    ├── LinkError
    │   ├── NotSent          BACKOFF    nothing left this machine: safe to ask again
    │   └── NoReply          OBSERVE    it may have happened: look before you ask again
    └── SourceError
        ├── Refused          NEVER      a refusal that we recognise
        ├── Busy             BACKOFF    the source says later
        ├── Fenced           NEVER      a newer daemon owns this root
        └── Garbled          OBSERVE    an answer that we do not understand

An unrecognised failure of a submission is never `Refused`: it is `NoReply` or `Garbled`, and is looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Retry(StrEnum):
    """What the caller may do after an error."""

    NEVER = "Never"  # only a change of the input helps
    BACKOFF = "Backoff"  # the same again, later
    OBSERVE = "Observe"  # it may have happened: look first


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in a file; line and column count from 1, 0 means "the file as a whole"."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong at one place of a document, before it is known where in the file that place is."""

    path: tuple[str | int, ...]  # keys and indices from the document's root
    reason: str
    message: str
    hint: str = ""
    at_key: bool = False  # the key at the end of the path is wrong, not its value

    @property
    def pointer(self) -> str:
        """The path as a JSON pointer."""
        return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in self.path)


class ReconcilerError(Exception):
    """Base of all our errors.

    reason   one CamelCase word, stable and machine-readable
    message  what happened, for a person, without a trailing full stop
    hint     what to do about it, or ""
    """

    retry: ClassVar[Retry] = Retry.NEVER
    exit_code: ClassVar[int] = 1

    def __init__(self, reason: str, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} [{self.reason}]"


class LocatedError(ReconcilerError):
    """An error with a place: `file:line:column: message [Reason]`."""

    def __init__(self, reason: str, message: str, *, position: Position, pointer: str = "", hint: str = "") -> None:
        super().__init__(reason, message, hint=hint)
        self.position = position
        self.pointer = pointer

    def __str__(self) -> str:
        return f"{self.position}: {self.message} [{self.reason}]"


class ConfigError(LocatedError):
    """The operator's configuration is wrong."""


class ManifestError(LocatedError):
    """A sweep manifest is wrong; its sweep keeps its last good spec."""


class UsageError(ReconcilerError):
    """What was asked for cannot be asked (exit code 64, as in sysexits.h)."""

    exit_code = 64


class AlreadyRunning(ReconcilerError):
    """Another daemon serves this state directory (exit code 75, EX_TEMPFAIL)."""

    exit_code = 75


class RepositoryError(ReconcilerError):
    """git could not answer; absence is not desire, so nothing is cancelled."""

    retry = Retry.BACKOFF


class StoreError(ReconcilerError):
    """The state could not be read or written."""

    retry = Retry.BACKOFF


class Damaged(StoreError):
    """The state holds what was never written there; whoever went on with it would make it worse."""

    retry = Retry.NEVER


class ResultsError(ReconcilerError):
    """The results tree cannot be written; nothing is lost, because what was not collected stays where it is."""

    retry = Retry.BACKOFF


class LinkError(ReconcilerError):
    """Bytes did not get through."""


class NotSent(LinkError):
    """Nothing left this machine."""

    retry = Retry.BACKOFF


class NoReply(LinkError):
    """The request left, and no answer came: it may have happened."""

    retry = Retry.OBSERVE


class SourceError(ReconcilerError):
    """The source answered, and the answer is an error."""


class Refused(SourceError):
    """A refusal that we recognise. at: the field at fault, from a manifest's root, or in its source's configuration."""

    def __init__(self, reason: str, message: str, *, hint: str = "", at: tuple[str, ...] = ()) -> None:
        super().__init__(reason, message, hint=hint)
        self.at = at


class Busy(SourceError):
    """The source says later."""

    retry = Retry.BACKOFF


class Fenced(SourceError):
    """A newer daemon has won an epoch on this root; we must not touch it any more."""


class Garbled(SourceError):
    """An answer that we do not understand; keeps the first 256 characters of it."""

    retry = Retry.OBSERVE
