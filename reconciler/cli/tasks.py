"""`tasks` and `task`: the points of a sweep, and everything about one of them."""

from __future__ import annotations

import click

from reconciler.cli.app import App, find_sweep, find_task, pass_app
from reconciler.cli.efficiency import used_text
from reconciler.cli.names import complete_sweep, complete_task
from reconciler.cli.output import (
    Cells,
    duration,
    output_option,
    phase_text,
    print_json,
    print_table,
    printable,
    time_of_day,
    values,
)
from reconciler.cli.shapes import attempt_json, event_json, task_json
from reconciler.core.model import Attempt, Instant, Phase, Task

PAGE = 1000
EVENTS = 50


@click.command()
@click.argument("sweep", shell_complete=complete_sweep)
@click.option("--phase", type=click.Choice([phase.value for phase in Phase]), help="Only tasks in this phase.")
@click.option("--limit", type=click.IntRange(min=1), default=PAGE, show_default=True, help="At most so many.")
@output_option
@pass_app
def tasks(app: App, sweep: str, phase: str | None, limit: int, output: str) -> int:
    """List the tasks of a sweep in declared order."""
    with app.reader() as reader:
        row = find_sweep(reader, sweep)
        found = reader.tasks(row.name, phase=Phase(phase) if phase else None, limit=limit + 1)
    more = len(found) > limit
    if output == "json":
        print_json({"sweep": row.name, "more": more, "tasks": [task_json(task) for task in found[:limit]]})
        return 0
    print_table(("TASK", "PHASE", "ATTEMPT", "SOURCE", "PARAMETERS", "REASON"), map(_task_row, found[:limit]))
    if more:
        click.echo(f"… and more; `--limit` shows more than {limit}")
    return 0


@click.command()
@click.argument("sweep", shell_complete=complete_sweep)
@click.argument("task", shell_complete=complete_task)
@output_option
@pass_app
def task(app: App, sweep: str, task: str, output: str) -> int:
    """Show one task, its attempts and what happened to it.

    TASK may be the beginning of its id.
    """
    with app.reader() as reader:
        row = find_sweep(reader, sweep)
        found = find_task(reader, row, task)
        attempts = reader.attempts(found.key)
        events = reader.events(row.name, found.key.task, limit=EVENTS)
    if output == "json":
        history = [event_json(event) for event in reversed(events)]
        print_json({**task_json(found), "attempts": [attempt_json(each) for each in attempts], "events": history})
        return 0
    now = app.clock.now()
    for name, value in _facts(found, now):
        click.echo(f"{name + ':':<13}{value}")
    if attempts:
        click.echo()
        print_table(
            ("ATTEMPT", "PHASE", "SOURCE", "STARTED", "TOOK", "EXIT", "REASON"),
            [_attempt_row(attempt, now) for attempt in attempts],
        )
        click.echo(f"\ndirectory:   {printable(attempts[-1].directory) or '-'}")
        if used := used_text(attempts[-1]):
            click.echo(f"used:        {used}")
    if events:
        click.echo()
        print_table(
            ("TIME", "REASON", "MESSAGE"),
            [(time_of_day(event.at), printable(event.reason), printable(event.message)) for event in reversed(events)],
        )
    return 0


def _task_row(task: Task) -> Cells:
    return (
        task.key.task,
        phase_text(task.phase),
        str(task.attempts or "-"),
        task.source or "-",
        values(task.parameters),
        printable(task.reason),
    )


def _facts(task: Task, now: Instant) -> list[tuple[str, str]]:
    facts = [
        ("task", f"{task.key.sweep}/{task.key.task}"),
        ("phase", task.phase.value + (f" ({printable(task.reason)})" if task.reason else "")),
        ("parameters", values(task.parameters)),
        ("replicate", str(task.replicate)),
        ("failures", f"{task.failures} counted, {task.uncounted} not counted"),
    ]
    if not task.desired:
        facts.append(("desired", "no: its point left the manifest"))
    if task.not_before is not None and task.not_before > now:
        facts.append(("next try", f"in {duration(task.not_before - now)}"))
    return facts


def _attempt_row(attempt: Attempt, now: Instant) -> Cells:
    end = attempt.ended_at if attempt.ended_at is not None else now
    return (
        str(attempt.key.number),
        phase_text(attempt.phase),
        attempt.source,
        time_of_day(attempt.started_at) if attempt.started_at is not None else "-",
        duration(end - attempt.started_at) if attempt.started_at is not None else "-",
        exit_text(attempt),
        printable(": ".join(part for part in (attempt.reason, attempt.message) if part)),
    )


def exit_text(attempt: Attempt) -> str:
    """How the attempt's process ended: an exit code, a signal, or nothing yet."""
    if attempt.signal is not None:
        return f"signal {attempt.signal}"
    return "-" if attempt.exit_code is None else str(attempt.exit_code)
