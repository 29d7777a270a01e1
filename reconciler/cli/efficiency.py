"""`efficiency`: what tasks used of what was asked for, one by one and as a sweep, and what to ask for instead."""

from __future__ import annotations

import click

from reconciler.cli.app import App, find_sweep, pass_app
from reconciler.cli.names import complete_sweep
from reconciler.cli.output import Cells, duration, output_option, phase_text, plural, print_json, print_table, values
from reconciler.cli.shapes import efficiency_json, resources_json
from reconciler.core.efficiency import Spread, Summary, Tally, mebibytes, processors
from reconciler.core.efficiency import efficiency as efficiency_of
from reconciler.core.model import Attempt, Json, Task

PAGE = 1000
UNKNOWN: Cells = ("-", "-", "-", "-")


@click.command()
@click.argument("sweep", shell_complete=complete_sweep)
@click.option(
    "--limit", type=click.IntRange(min=0), default=PAGE, show_default=True, help="List at most so many tasks."
)
@output_option
@pass_app
def efficiency(app: App, sweep: str, limit: int, output: str) -> int:
    """Show what tasks used of what they asked for: processors, memory, time.

    Of each task its newest attempt that has ended counts; the summary is over all tasks of the sweep, also over those
    that are not listed.
    """
    with app.reader() as reader:
        row = find_sweep(reader, sweep)
        tally = Tally()
        for attempt in reader.measured(row.name):
            tally.add(attempt)
        found = reader.tasks(row.name, limit=limit + 1)
        measured = reader.measured_of(row.name, [task.key.task for task in found[:limit]])
    summary, more = tally.summary(), len(found) > limit
    if output == "json":
        told = [_json(each) for task in found[:limit] if (each := measured.get(task.key.task)) is not None]
        print_json({"sweep": row.name, "summary": _summary_json(summary), "more": more, "tasks": told})
        return 0
    if limit:
        columns = ("TASK", "PHASE", "TOOK", "CPU", "MEMORY", "WALLTIME", "PARAMETERS")
        print_table(columns, [_row(task, measured.get(task.key.task)) for task in found[:limit]])
        click.echo(f"… and more; `--limit` shows more than {limit}\n" if more else "")
    _print_summary(summary)
    return 0


def used_text(attempt: Attempt) -> str:
    """What an attempt used, on one line; "" when that is not known."""
    cells = _cells(attempt)
    names = ("", "cpu ", "memory ", "walltime ")
    told = [f"{name}{cell}" for name, cell in zip(names, cells, strict=True) if cell != "-"]
    return ", ".join(told) if cells != UNKNOWN else ""


def _row(task: Task, attempt: Attempt | None) -> Cells:
    cells = UNKNOWN if attempt is None else _cells(attempt)
    return (task.key.task, phase_text(task.phase), *cells, values(task.parameters))


def _cells(attempt: Attempt) -> Cells:
    """How long it took, and its shares of processors, memory and walltime."""
    found, asked = efficiency_of(attempt), attempt.resources
    if found is None:
        return UNKNOWN
    memory = "-" if attempt.max_rss_mib is None else mebibytes(attempt.max_rss_mib)
    if found.memory is not None and asked.memory_mib is not None:
        memory += f" ({found.memory:.0%} of {mebibytes(asked.memory_mib)})"
    walltime = "-"
    if found.walltime is not None and asked.walltime_s is not None:
        walltime = f"{found.walltime:.0%} of {duration(asked.walltime_s)}"
    cpu = "-" if found.cpu is None else f"{found.cpu:.0%} of {processors(asked)}"
    return (duration(found.elapsed_s), cpu, memory, walltime)


def _print_summary(summary: Summary) -> None:
    if not summary.tasks:
        click.echo("no task has ended so far of which is known what it used")
        return
    told = f"{plural(summary.tasks, 'task')} measured"
    if summary.cpu is not None:
        told += f"; {summary.cpu:.0%} of the processor time that was reserved was used"
    click.echo(told)
    spreads = (("cpu", summary.cpus), ("memory", summary.memory), ("walltime", summary.walltime))
    for name, spread in spreads:
        if spread is not None:
            click.echo(f"{name + ':':<10}median {spread.median:.0%}, largest {spread.largest:.0%}")
    for hint in summary.hints:
        click.echo(f"hint: {hint}")


def _json(attempt: Attempt) -> dict[str, Json]:
    found = efficiency_of(attempt)
    return {
        "task": attempt.key.task,
        "attempt": attempt.key.number,
        "source": attempt.source,
        "phase": attempt.phase.value,
        "elapsedSeconds": None if found is None else found.elapsed_s,
        "cpuSeconds": attempt.cpu_s,
        "maxRssMib": attempt.max_rss_mib,
        "resources": resources_json(attempt.resources),
        "efficiency": efficiency_json(attempt),
    }


def _summary_json(summary: Summary) -> dict[str, Json]:
    return {
        "tasks": summary.tasks,
        "cpu": summary.cpu,
        "cpuPerTask": _spread_json(summary.cpus),
        "memory": _spread_json(summary.memory),
        "walltime": _spread_json(summary.walltime),
        "hints": list(summary.hints),
    }


def _spread_json(spread: Spread | None) -> Json:
    return None if spread is None else {"median": spread.median, "largest": spread.largest}
