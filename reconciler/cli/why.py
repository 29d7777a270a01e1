"""`why`: the reason for which a task does not run, or how it failed, with what can be done about it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from reconciler.cli.app import App, find_sweep, find_task, pass_app
from reconciler.cli.efficiency import used_text
from reconciler.cli.logfiles import place_here, tail
from reconciler.cli.names import complete_sweep, complete_task
from reconciler.cli.output import duration, instant_json, output_option, print_json, printable, time_of_day, values
from reconciler.cli.shapes import attempt_json
from reconciler.cli.tasks import exit_text
from reconciler.core.model import Attempt, Instant, Json, Phase, Task

if TYPE_CHECKING:
    from reconciler.core.dispatch import Why
    from reconciler.core.jobs import Wait
    from reconciler.store import Reader, SweepRow

STDERR_LINES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that is told.

    budget: counted failures that are retried; stderr: its last lines, of a failed attempt; wait: why it waits in the
    queue of its scheduler, if there is one.
    """

    task: Task
    why: Why
    budget: int
    attempt: Attempt | None
    stderr: tuple[str, ...]
    wait: Wait | None = None


@click.command()
@click.argument("sweep", shell_complete=complete_sweep)
@click.argument("task", shell_complete=complete_task)
@output_option
@pass_app
def why(app: App, sweep: str, task: str, output: str) -> int:
    """Explain why a task does not run, or how it failed.

    And what can be done about it. TASK may be the beginning of its id.
    """
    with app.reader() as reader:
        row = find_sweep(reader, sweep)
        explanation = _explanation(app, reader, row, find_task(reader, row, task))
    if output == "json":
        print_json(_json(explanation))
        return 0
    for line in _lines(explanation, app.clock.now()):
        click.echo(line)
    if not app.daemon_runs():
        click.echo("\nno daemon runs, so nothing starts: start it with `reconciler run`")
    return 0


def _explanation(app: App, reader: Reader, row: SweepRow, task: Task) -> Explanation:
    """With the very values with which the daemon decides."""
    from reconciler.catalog import Sweep
    from reconciler.controller.queues import barred_of, capacities_of, queue_of, wait_of, wanted_resources
    from reconciler.core.dispatch import explain
    from reconciler.manifests import from_document

    assert row.policy is not None, "a sweep without a policy was never accepted, and has no tasks"
    sweep = Sweep(row=row, spec=from_document(json.loads(row.document)), policy=row.policy)
    now = app.clock.now()
    queue = replace(queue_of(reader, sweep, now), barred=barred_of(reader, sweep))
    told = explain(task, wanted_resources(sweep, task), queue, capacities_of(reader, app.config), now)
    attempts = reader.attempts(task.key)
    newest = attempts[-1] if attempts else None
    failed = newest is not None and newest.phase in (Phase.FAILED, Phase.LOST)
    queued = newest is not None and newest.phase is Phase.QUEUED
    return Explanation(
        task=task,
        why=told,
        budget=sweep.spec.retry.limit,
        attempt=newest,
        stderr=tuple(tail(place_here(app.config, newest, "stderr.log"), STDERR_LINES)) if failed and newest else (),
        wait=wait_of(reader, newest) if queued and newest else None,
    )


def _lines(explanation: Explanation, now: Instant) -> list[str]:
    task, told, attempt = explanation.task, explanation.why, explanation.attempt
    lines = [
        f"{task.key.sweep}/{task.key.task} ({values(task.parameters)}) is {task.phase.value}",
        f"{told.reason}: {printable(told.message)}",
    ]
    if told.hint:
        lines.append(f"hint: {printable(told.hint)}")
    lines.append(f"retries: {min(task.failures, explanation.budget)} of {explanation.budget} used")
    if task.not_before is not None and task.not_before > now:
        lines.append(f"next try in {duration(task.not_before - now)}")
    if attempt is not None:
        told_by = ": ".join(part for part in (attempt.reason, attempt.message) if part)
        lines.append(
            f"attempt {attempt.key.number} on {attempt.source}: {attempt.phase.value}, exit {exit_text(attempt)}"
            + (f", {printable(told_by)}" if told_by else "")
        )
        lines += [f"used: {used}"] if (used := used_text(attempt)) else []
    if attempt is not None and attempt.phase is Phase.QUEUED and attempt.unlisted_at is not None:
        since = time_of_day(attempt.unlisted_at)
        lines.append(f"its scheduler does not list it, since {since}: if that stays so, another attempt is made")
    if explanation.wait is not None:
        wait = explanation.wait
        lines.append(f"in the queue there: {printable(wait.word)}: {printable(wait.meaning)}")
        lines += [f"hint: {printable(wait.action)}"] if wait.action else []
    if explanation.stderr:
        lines += ["", "the end of its stderr:", *(f"  {printable(line)}" for line in explanation.stderr)]
    return lines


def _json(explanation: Explanation) -> dict[str, Json]:
    task, told, attempt = explanation.task, explanation.why, explanation.attempt
    used = min(task.failures, explanation.budget)
    return {
        "sweep": task.key.sweep,
        "task": task.key.task,
        "phase": task.phase.value,
        "reason": told.reason,
        "message": told.message,
        "hint": told.hint,
        "notBefore": instant_json(task.not_before),
        "retries": {"limit": explanation.budget, "used": used, "left": explanation.budget - used},
        "attempt": attempt_json(attempt) if attempt else None,
        "queue": None if explanation.wait is None else _wait_json(explanation.wait),
        "stderr": list(explanation.stderr),
    }


def _wait_json(wait: Wait) -> dict[str, Json]:
    return {"reason": wait.word, "meaning": wait.meaning, "action": wait.action, "stuck": wait.stuck}
