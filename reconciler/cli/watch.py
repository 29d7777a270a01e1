"""`watch`: sweeps, sources and the newest events, as they change. On a terminal one live page; elsewhere lines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from rich.console import Group, RenderableType
from rich.text import Text

from reconciler.cli.app import App, pass_app
from reconciler.cli.output import console, output_option, printable, table, time_of_day
from reconciler.cli.status import SOURCE_COLUMNS, SWEEP_COLUMNS, freshness, notes, source_row, sweep_row
from reconciler.cli.telling import Status, read_status, status_json
from reconciler.store import EventRow

if TYPE_CHECKING:
    from reconciler.store import Reader

EVENTS = 12


@click.command()
@click.option(
    "--for", "for_s", type=click.FloatRange(min=0), metavar="SECONDS", help="Stop after so long; default: never."
)
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="Seconds between looks."
)
@output_option
@pass_app
def watch(app: App, for_s: float | None, interval: float, output: str) -> int:
    """Watch the sweeps live, until Ctrl-C.

    With -o json: one line of `status` JSON for each look.
    """
    with app.reader() as reader:
        asyncio.run(_watch(_Page(app, reader, as_json=output == "json"), for_s, interval))
    return 0


class _Page:
    """What was shown last, so that lines are printed only when they are new."""

    def __init__(self, app: App, reader: Reader, *, as_json: bool) -> None:
        self.app = app
        self.reader = reader
        self.as_json = as_json
        self._said: dict[str, str] = {}
        self._event = 0

    def lines(self) -> Iterator[str]:
        """What changed since the last time."""
        told = read_status(self.reader)
        if self.as_json:
            yield json.dumps(status_json(told), allow_nan=False)
            return
        for sweep in told.sweeps:
            line = printable(f"{sweep.name}: {sweep.summary}")
            if self._said.get(sweep.name) != line:
                self._said[sweep.name] = line
                yield f"{time_of_day(self.app.clock.now())} {line}"
        for event in self._new_events():
            yield event_line(event)

    def _new_events(self) -> list[EventRow]:
        events = [event for event in self.reader.events(limit=EVENTS) if event.id > self._event]
        self._event = max([self._event, *(event.id for event in events)])
        return events[::-1]

    def page(self) -> RenderableType:
        """The whole page."""
        told = read_status(self.reader)
        parts: list[RenderableType] = [table(SWEEP_COLUMNS, map(sweep_row, told.sweeps)), Text()]
        if told.sources:
            parts += [table(SOURCE_COLUMNS, (source_row(source.state) for source in told.sources)), Text()]
        parts += [Text(line) for line in self._below(told)]
        return Group(*parts)

    def _below(self, told: Status) -> Iterator[str]:
        yield from (event_line(event) for event in self.reader.events(limit=EVENTS)[::-1])
        yield ""
        yield from notes(told)
        yield from freshness(self.app, told)


async def _watch(page: _Page, for_s: float | None, interval: float) -> None:
    clock = page.app.clock
    end = None if for_s is None else clock.elapsed() + for_s
    out = console()
    if page.as_json or not out.is_terminal:
        while True:
            for line in page.lines():
                click.echo(line)
            if end is not None and clock.elapsed() + interval > end:
                return
            await clock.sleep(interval)
    from rich.live import Live

    with Live(page.page(), console=out, auto_refresh=False, screen=False) as live:
        while end is None or clock.elapsed() + interval <= end:
            await clock.sleep(interval)
            live.update(page.page(), refresh=True)


def event_line(event: EventRow) -> str:
    """An event on one line."""
    subject = "/".join(part for part in (event.sweep, event.task) if part)
    attempt = f"#{event.attempt}" if event.attempt else ""
    return printable(f"{time_of_day(event.at)} {subject}{attempt} {event.reason}: {event.message}")
