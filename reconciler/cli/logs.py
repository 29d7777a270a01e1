"""`logs`: what a task's attempt wrote, from its folder on this machine, the results tree, or its own machine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import click

from reconciler.cli.app import App, find_sweep, find_task, pass_app
from reconciler.cli.faraway import FarFile
from reconciler.cli.logfiles import NearFile, far_source, place_here
from reconciler.cli.names import complete_sweep, complete_task
from reconciler.cli.output import output_option, print_json
from reconciler.core.errors import LinkError, SourceError, UsageError
from reconciler.core.model import Attempt, Task
from reconciler.core.settings import SourceConfig

if TYPE_CHECKING:
    from reconciler.store import Reader

FOLLOW_S = 0.5
CUT_S = 5.0
JSON_BYTES = 1 << 20

T = TypeVar("T")


class LogFile(Protocol):
    """A file that may still grow, here or on another machine."""

    async def size(self) -> int: ...

    def chunks(self, offset: int) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One stream of an attempt. source: the machine on which it has to be read, if that is not this one."""

    file: LogFile
    path: str
    source: SourceConfig | None = None


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
        log = _log(app, reader, attempt, stream)
        if output == "json":
            asyncio.run(_closing(log, _print_json(attempt, stream, log)))
        elif follow:
            asyncio.run(_closing(log, _follow(app, reader, attempt, log)))
        else:
            asyncio.run(_closing(log, _all(log)))
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


def _log(app: App, reader: Reader, attempt: Attempt, stream: str) -> Log:
    """Where the stream can be read. Raises UsageError when nothing is there yet, or not any more."""
    if not attempt.directory:
        hint = f"it is {attempt.phase.value}; `-f` does not wait for its start"
        raise UsageError("NotStarted", f"attempt {attempt.key.number} has not started, so it has no logs", hint=hint)
    name = f"{stream}.log"
    path = place_here(app.config, attempt, name)
    source = far_source(app.config, attempt)
    if source is not None and not reader.is_collected(attempt.eid):
        file = FarFile(source=source, eid=attempt.eid, name=name)
        return Log(file=file, path=f"{attempt.directory}/{name}", source=source)
    if attempt.phase.ended and not path.exists():
        raise UsageError("LogsGone", f"there is no file {path}", hint="the attempt's folder may have been removed")
    return Log(file=NearFile(path), path=str(path))


async def _closing(log: Log, work: Awaitable[T]) -> T:
    """Do it, and end the session if there was one. Raises UsageError when the other machine does not answer."""
    try:
        return await work
    except (LinkError, SourceError) as error:
        source = log.source
        assert source is not None, "this machine is not asked over a link"
        message = f"the logs are on source {source.name} ({source.host}), which cannot be asked: {error.message}"
        hint = f"look there: {log.path}; what has ended comes to the results tree when the daemon reaches it"
        raise UsageError("NotHere", message, hint=hint) from error
    finally:
        await log.file.aclose()


async def _copy(log: Log, offset: int = 0) -> AsyncIterator[int]:
    """Write what is there from an offset on; yields each new offset. Bytes as they are: it is the task's own output."""
    out = sys.stdout.buffer
    async for chunk in log.file.chunks(offset):
        out.write(chunk)
        out.flush()
        offset += len(chunk)
        yield offset


async def _all(log: Log) -> None:
    async for _ in _copy(log):
        pass


async def _follow(app: App, reader: Reader, attempt: Attempt, log: Log) -> None:
    """Copy what comes until the attempt has ended; ask first and read then, so that nothing of its end is missed."""
    offset = 0
    ended = False
    while not ended:
        now = reader.attempts_by_eid([attempt.eid]).get(attempt.eid, attempt)
        ended = now.phase.ended
        try:
            async for written in _copy(log, offset):
                offset = written
        except LinkError as error:
            if offset == 0:  # it may never have worked
                raise
            click.echo(f"reconciler: the line was cut ({error.reason}); trying again", err=True)
            ended = False
            await app.clock.sleep(CUT_S)
        if not ended:
            await app.clock.sleep(FOLLOW_S)


async def _print_json(attempt: Attempt, stream: str, log: Log) -> None:
    begin = max(0, await log.file.size() - JSON_BYTES)
    data = b"".join([chunk async for chunk in log.file.chunks(begin)])
    print_json(
        {
            "sweep": attempt.key.sweep,
            "task": attempt.key.task,
            "attempt": attempt.key.number,
            "phase": attempt.phase.value,
            "stream": stream,
            "source": attempt.source,
            "here": log.source is None,
            "path": log.path,
            "text": data.decode(errors="replace"),
        }
    )
