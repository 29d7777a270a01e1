"""Structured logs: a constant message and key=value fields (`log.info("started", extra={"sweep": name})`).

On a terminal they are for a person; as JSON lines for machines. Under journald each line carries its severity. Whatever
is logged, passwords in URLs and values of fields with a secret's name are taken out at the last moment, and a line
stays one line.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO, TypeAlias

from reconciler.redaction import HIDDEN, is_secret_name, redact

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_VALUE_LIMIT = 2000
_SEVERITY = {"CRITICAL": 2, "ERROR": 3, "WARNING": 4, "INFO": 6, "DEBUG": 7}  # as in sd-daemon(3)


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


def configure_logging(
    *,
    format: LogFormat,  # noqa: A002 - the word that people know
    level: str = "INFO",
    stream: TextIO | None = None,
    counted: Callable[[str], None] = lambda level: None,
) -> None:
    """Set the logger "reconciler" up, once or again: later calls replace earlier ones.

    stream: stderr if None; counted: told the level of each line, in lower case.
    """
    handler = _Handler(stream or sys.stderr, counted)
    line = _json_line if format is LogFormat.JSON else _text_line
    handler.setFormatter(_Formatter(line, journald=_is_journald(stream or sys.stderr)))
    logger = logging.getLogger("reconciler")
    for earlier in list(logger.handlers):
        logger.removeHandler(earlier)
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False


class _Handler(logging.StreamHandler[TextIO]):
    def __init__(self, stream: TextIO, counted: Callable[[str], None]) -> None:
        super().__init__(stream)
        self._counted = counted

    def emit(self, record: logging.LogRecord) -> None:
        self._counted(record.levelname.lower())
        super().emit(record)


Fields: TypeAlias = Mapping[str, object]


class _Formatter(logging.Formatter):
    """Takes a record apart and its secrets out; `line` puts it together again."""

    def __init__(self, line: Callable[[logging.LogRecord, str, Fields], str], *, journald: bool) -> None:
        super().__init__()
        self._line = line
        self._journald = journald

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: _value(name, value) for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["exception"] = redact(self.formatException(record.exc_info))[-_VALUE_LIMIT:]
        line = self._line(record, redact(record.getMessage()), fields)
        return f"<{_SEVERITY.get(record.levelname, 6)}>{line}" if self._journald else line


def _text_line(record: logging.LogRecord, message: str, fields: Fields) -> str:
    """`12:34:56 INFO    started sweep=mnist tasks=3`"""
    moment = datetime.fromtimestamp(record.created, UTC).astimezone()
    told = [f"{name}={_quoted(str(value))}" for name, value in fields.items()]
    return " ".join([f"{moment:%H:%M:%S} {record.levelname:<7}", _one_line(message), *told])


def _json_line(record: logging.LogRecord, message: str, fields: Fields) -> str:
    """`{"ts": "…Z", "level": "info", "logger": …, "msg": …, …fields}`"""
    ts = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"ts": ts, "level": record.levelname.lower(), "logger": record.name, "msg": message}
    rest = {name: value for name, value in fields.items() if name not in head}
    return json.dumps({**head, **rest}, ensure_ascii=False)


def _value(name: str, value: object) -> object:
    if is_secret_name(name):
        return HIDDEN
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))[:_VALUE_LIMIT]


def _quoted(text: str) -> str:
    plain = text.isprintable() and not any(character in ' "=' for character in text)
    return text if plain and text else json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _is_journald(stream: TextIO) -> bool:
    """Whether the stream goes to journald, which names its device and inode in the environment."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM", "") == f"{status.st_dev}:{status.st_ino}"
