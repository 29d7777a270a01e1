"""The answers to the questions that `check` asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.errors import ReconcilerError
from reconciler.core.model import Json


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer to one question. machine: all that a source's machine told, as JSON tells it."""

    subject: str
    level: Level = Level.OK
    message: str
    hint: str = ""
    machine: Mapping[str, Json] | None = None


def failure(subject: str, error: ReconcilerError) -> Finding:
    """What could not be done, and what to do about it."""
    return Finding(subject=subject, level=Level.FAIL, message=str(error), hint=error.hint)
