"""`check`: is everything here that the reconciler needs? One line for each question; 1 if something is missing."""

from __future__ import annotations

import asyncio

import click

from reconciler.cli.app import App, pass_app
from reconciler.cli.checks import look_around
from reconciler.cli.findings import Finding, Level, finding_json, show
from reconciler.cli.output import output_option, print_json


@click.command()
@output_option
@pass_app
def check(app: App, output: str) -> int:
    """Check the machine, the repository and the sources."""
    findings = asyncio.run(_gathered(app))
    good = all(finding.level is not Level.FAIL for finding in findings)
    if output == "json":
        print_json({"ok": good, "checks": [finding_json(finding) for finding in findings]})
    else:
        show(findings)
    return 0 if good else 1


async def _gathered(app: App) -> list[Finding]:
    return [finding async for finding in look_around(app)]
