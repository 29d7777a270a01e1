"""The answers to the questions that `check` asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich.text import Text

from reconciler.cli.failures import error_json
from reconciler.cli.output import console, printable
from reconciler.core.errors import ReconcilerError
from reconciler.core.model import Json


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer to one question.

    machine, site: all that a source's machine and scheduler told, as JSON tells it; error: why it failed.
    """

    subject: str
    level: Level = Level.OK
    message: str
    hint: str = ""
    machine: Mapping[str, Json] | None = None
    error: ReconcilerError | None = None
    site: Mapping[str, Json] | None = None


def failure(subject: str, error: ReconcilerError) -> Finding:
    """What could not be done, and what to do about it."""
    return Finding(subject=subject, level=Level.FAIL, message=str(error), hint=error.hint, error=error)


def show(findings: Sequence[Finding]) -> None:
    """For people."""
    page = console()
    for finding in findings:
        line = Text(f"{finding.level:<5}", style=STYLES[finding.level])
        line.append(f"{finding.subject}: {printable(finding.message)}", style="default")
        page.print(line)
        if finding.hint:
            page.print(f"      hint: {printable(finding.hint)}")


def finding_json(finding: Finding) -> dict[str, Json]:
    """For programs: file, line and column are null where nothing in a file is at fault."""
    place: dict[str, Json] = {"file": None, "line": None, "column": None, "reason": None}
    if finding.error is not None:
        told = error_json(finding.error)
        place = {name: told[name] for name in place}
    return {
        "name": finding.subject,
        "status": finding.level.value,
        "message": finding.message,
        "hint": finding.hint,
        "machine": finding.machine,
        "site": finding.site,
        **place,
    }
