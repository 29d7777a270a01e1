"""`logs`: what a task's attempt wrote, from its folder on this machine."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.app import App, find_sweep, find_task, pass_app
from reconciler.cli.logfiles import chunks
from reconciler.cli.names import complete_sweep, complete_task
from reconciler.cli.output import output_option, print_json
from reconciler.core.errors import UsageError
from reconciler.core.model import Attempt, Task

if TYPE_CHECKING:
    from reconciler.store import Reader

FOLLOW_S = 0.5
JSON_BYTES = 1 << 20


@click.command()
@click.argument("sweep", shell_complete=complete_sweep)
@click.argument("task", shell_complete=complete_task)
@click.option("--attempt", "number", type=click.IntRange(min=1), help="Which attempt; default: the newest.")
@click.option("--stderr", "stream", flag_value="stderr", help="What it wrote to stderr.")
@click.option("--stdout", "stream", flag_value="stdout", default=True, hidden=True)
@click.option("-f", "--follow", is_flag=True, help="Go on until the attempt ends.")
@output_option
@pass_app
def logs(app: App, sweep: str, task: str, number: int | None, stream: str, follow: bool, output: str) -> int:
    """Print what a task wrote.

    TASK may be the beginning of its id.
    """
    with app.reader() as reader:
        found = find_task(reader, find_sweep(reader, sweep), task)
        attempt = _attempt(reader, found, number)
        path = _path(app, attempt, stream)
        if output == "json":
            _print_json(attempt, stream, path)
        elif follow:
            asyncio.run(_follow(app, reader, attempt, path))
        else:
            _copy(path, 0)
    return 0


def _attempt(reader: Reader, task: Task, number: int | None) -> Attempt:
    attempts = reader.attempts(task.key)
    if not attempts:
        hint = f"see `reconciler why {task.key.sweep} {task.key.task}`"
        raise UsageError("NoAttempt", f"task {task.key.task} has no attempt yet, so no logs", hint=hint)
    if number is None:
        return attempts[-1]
    for attempt in attempts:
        if attempt.key.number == number:
            return attempt
    numbers = ", ".join(str(attempt.key.number) for attempt in attempts)
    raise UsageError("UnknownAttempt", f"task {task.key.task} has no attempt {number}", hint=f"it has {numbers}")


def _path(app: App, attempt: Attempt, stream: str) -> Path:
    """Where the stream lies. Raises UsageError when that is on another machine, or nothing is there yet."""
    for source in app.config.sources:
        if source.name == attempt.source and source.host is not None:
            hint = f"look there: {attempt.directory}/{stream}.log"
            raise UsageError("NotHere", f"the logs are on source {attempt.source} ({source.host})", hint=hint)
    if not attempt.directory:
        hint = f"it is {attempt.phase.value}; `-f` does not wait for its start"
        raise UsageError("NotStarted", f"attempt {attempt.key.number} has not started, so it has no logs", hint=hint)
    path = Path(attempt.directory) / f"{stream}.log"
    if attempt.phase.ended and not path.exists():
        raise UsageError("LogsGone", f"there is no file {path}", hint="the attempt's folder may have been removed")
    return path


def _copy(path: Path, offset: int) -> int:
    """Write what is there from an offset on; returns the new offset. Bytes as they are: it is the task's own output."""
    out = sys.stdout.buffer
    for chunk in chunks(path, offset):
        out.write(chunk)
        offset += len(chunk)
    out.flush()
    return offset


async def _follow(app: App, reader: Reader, attempt: Attempt, path: Path) -> None:
    """Copy what comes until the attempt has ended; ask first and read then, so that nothing of its end is missed."""
    offset = 0
    ended = False
    while not ended:
        now = reader.attempts_by_eid([attempt.eid]).get(attempt.eid, attempt)
        ended = now.phase.ended
        offset = _copy(path, offset)
        if not ended:
            await app.clock.sleep(FOLLOW_S)


def _print_json(attempt: Attempt, stream: str, path: Path) -> None:
    data = b"".join(chunks(path, max(0, path.stat().st_size - JSON_BYTES) if path.exists() else 0))
    print_json(
        {
            "sweep": attempt.key.sweep,
            "task": attempt.key.task,
            "attempt": attempt.key.number,
            "phase": attempt.phase.value,
            "stream": stream,
            "path": str(path),
            "text": data.decode(errors="replace"),
        }
    )
