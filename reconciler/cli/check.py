"""`check`: is everything here that the reconciler needs? One line for each question; 1 if something is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click
from rich.text import Text

from reconciler.cli.app import App, pass_app
from reconciler.cli.checks import look_around
from reconciler.cli.findings import Finding, Level
from reconciler.cli.output import console, output_option, print_json, printable
from reconciler.core.model import Json

STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


@click.command()
@output_option
@pass_app
def check(app: App, output: str) -> int:
    """Check the machine, the repository and the sources."""
    findings = asyncio.run(_gathered(app))
    good = all(finding.level is not Level.FAIL for finding in findings)
    if output == "json":
        print_json({"ok": good, "checks": [_json(finding) for finding in findings]})
    else:
        _print(findings)
    return 0 if good else 1


async def _gathered(app: App) -> list[Finding]:
    return [finding async for finding in look_around(app)]


def _print(findings: Sequence[Finding]) -> None:
    page = console()
    for finding in findings:
        line = Text(f"{finding.level:<5}", style=STYLES[finding.level])
        line.append(f"{finding.subject}: {printable(finding.message)}", style="default")
        page.print(line)
        if finding.hint:
            page.print(f"      hint: {printable(finding.hint)}")


def _json(finding: Finding) -> dict[str, Json]:
    return {
        "name": finding.subject,
        "status": finding.level.value,
        "message": finding.message,
        "hint": finding.hint,
        "machine": finding.machine,
    }
