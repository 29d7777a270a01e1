"""`status`: how every sweep and source stands, read from the store alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click
from rich.text import Text

from reconciler.cli.app import App, find_sweep, pass_app
from reconciler.cli.names import complete_sweep
from reconciler.cli.output import Cells, duration, output_option, print_json, print_table, printable
from reconciler.cli.telling import Status, bad_news, read_status, status_json
from reconciler.core.model import Json, Phase
from reconciler.core.status import SweepStatus

SWEEP_COLUMNS = ("SWEEP", "READY", "DONE", "RUNNING", "WAITING", "FAILED", "SUMMARY")
SOURCE_COLUMNS = ("SOURCE", "UP", "ACTIVE", "SLOTS", "GPUS", "")


@click.command()
@click.argument("sweep", required=False, shell_complete=complete_sweep)
@output_option
@pass_app
def status(app: App, sweep: str | None, output: str) -> int:
    """Show how sweeps and sources stand, daemon or not."""
    with app.reader() as reader:
        told = read_status(reader, None if sweep is None else find_sweep(reader, sweep))
    if output == "json":
        print_json(status_json(told))
        return 0
    if told.sweeps:
        print_table(SWEEP_COLUMNS, map(sweep_row, told.sweeps))
    else:
        click.echo("no sweeps")
    if told.sources:
        click.echo()
        print_table(SOURCE_COLUMNS, (source_row(source.state) for source in told.sources))
    click.echo()
    for line in (*notes(told), *freshness(app, told)):
        click.echo(line)
    return 0


def notes(told: Status) -> Iterator[str]:
    """What somebody should look at, each on one line."""
    for sweep in told.sweeps:
        yield from (printable(f"{sweep.name}: {news}") for news in bad_news(sweep))
    for row in told.invalid:
        for error in row.errors:
            place = ":".join(str(error[part]) for part in ("file", "line", "column") if error.get(part))
            yield printable(f"{place or row.path}: {error.get('message')} [{error.get('reason')}]")
    if told.repository.error_reason:
        yield printable(f"repository: {told.repository.error_message} [{told.repository.error_reason}]")


def freshness(app: App, told: Status) -> Iterator[str]:
    """Which commit is in force, and whether what is shown may be old."""
    if told.repository.accepted:
        yield f"revision {told.repository.accepted[:12]}"
    else:
        yield "no commit was accepted so far"
    if not app.daemon_runs():
        since = f"; this is from {duration(app.clock.now() - told.newest)} ago" if told.newest else ""
        yield f"no daemon runs{since}: start it with `reconciler run`"


def sweep_row(sweep: SweepStatus) -> Cells:
    """One line of the table of sweeps."""
    desired = sum(sweep.tasks.values())
    failed = sweep.tasks[Phase.FAILED] + sweep.tasks[Phase.LOST]
    return (
        sweep.name,
        _ready(sweep),
        f"{sweep.tasks[Phase.SUCCEEDED]}/{desired}",
        str(sweep.tasks[Phase.RUNNING]),
        str(sweep.tasks[Phase.WAITING] + sweep.tasks[Phase.QUEUED]),
        Text(str(failed), style="bold red" if failed else ""),
        printable(sweep.summary),
    )


def _ready(sweep: SweepStatus) -> Text:
    for condition in sweep.conditions:
        if condition.type == "Ready":
            style = {"True": "green", "False": "yellow"}.get(condition.status.value, "dim")
            return Text(condition.status.value, style=style)
    return Text("Unknown", style="dim")


def source_gpus(told: Mapping[str, Json]) -> str:
    """How many of a source's GPUs are free."""
    return f"{told.get('gpusFree')}/{told.get('gpus')} free" if told.get("gpus") else "-"


def source_row(state: Json) -> Cells:
    """One line of the table of sources, from `source_json` as the daemon wrote it."""
    told = state if isinstance(state, dict) else {}
    up = told.get("up") is True
    conditions = told.get("conditions")
    bad = [
        f"{each.get('reason')}: {each.get('message')}" if each.get("message") else str(each.get("reason"))
        for each in (conditions if isinstance(conditions, list) else [])
        if isinstance(each, dict) and (each.get("type") == "Up") != (each.get("status") == "True")
    ]
    return (
        printable(str(told.get("name", "?"))),
        Text("yes" if up else "no", style="green" if up else "bold red"),
        str(told.get("active", "?")),
        str(told.get("slots", "?")),
        source_gpus(told),
        printable("; ".join(bad)),
    )
