"""Structured logs: a constant message and key=value fields (`log.info("started", extra={"sweep": name})`).

On a terminal they are for a person; as JSON lines for machines. Under journald each line carries its severity. Whatever is
logged, passwords in URLs and values of fields with a secret's name are taken out at the last moment.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TextIO


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


def redact(text: str) -> str:
    """The text without user information in URLs and without the values of things named like secrets."""
    raise NotImplementedError


def configure_logging(*, format: LogFormat, level: str = "INFO", stream: TextIO | None = None) -> None:  # noqa: A002
    """Set the logger "reconciler" up, once or again: later calls replace earlier ones. stream: stderr if None."""
    raise NotImplementedError
