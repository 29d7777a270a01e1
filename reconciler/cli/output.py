"""What commands print: tables for people, JSON for programs.

On a terminal tables fit its width and have colours (unless NO_COLOR is set); elsewhere they are plain text, and nothing
is cut off. Whatever comes from a manifest or a task passes through `printable`: it must not drive the terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import ParamSpec, TypeAlias, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reconciler.core.model import Instant, Json, Phase

P = ParamSpec("P")
T = TypeVar("T")
Cells: TypeAlias = "tuple[str | Text, ...]"  # one row of a table

UNLIMITED = 100_000  # columns of a page that is no terminal
STYLES = {
    Phase.WAITING: "dim",
    Phase.QUEUED: "cyan",
    Phase.RUNNING: "blue",
    Phase.SUCCEEDED: "green",
    Phase.FAILED: "bold red",
    Phase.CANCELLED: "yellow",
    Phase.LOST: "magenta",
}


def output_option(function: Callable[P, T]) -> Callable[P, T]:
    """The option `-o json`, given to the command as `output`."""
    option = click.option(
        "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="For people, or for programs."
    )
    return option(function)


def console() -> Console:
    """Where tables go."""
    plain = not sys.stdout.isatty()
    return Console(
        width=UNLIMITED if plain else None, markup=False, emoji=False, highlight=False, soft_wrap=plain, file=sys.stdout
    )


def table(columns: Sequence[str], rows: Iterable[Cells]) -> Table:
    """A plain table; its cells must be printable."""
    built = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        built.add_column(column, overflow="fold")
    for row in rows:
        built.add_row(*row)
    return built


def print_table(columns: Sequence[str], rows: Iterable[Cells]) -> None:
    """Print a table now; without the spaces that only a terminal would hide."""
    page = console()
    if page.is_terminal:
        page.print(table(columns, rows))
        return
    with page.capture() as captured:
        page.print(table(columns, rows))
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def print_json(value: Json) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def printable(text: str) -> str:
    """The text on one line, with everything that a terminal could obey replaced."""
    return "".join(character if character.isprintable() else "\ufffd" for character in " ".join(text.splitlines()))


def plural(count: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def phase_text(phase: Phase) -> Text:
    """A phase in its colour."""
    return Text(phase.value, style=STYLES[phase])


def values(parameters: Json) -> str:
    """Parameters on one line, `name=value`, in declared order."""
    if not isinstance(parameters, dict):
        return ""
    return printable(" ".join(f"{name}={value_text(value)}" for name, value in parameters.items()))


def value_text(value: Json) -> str:
    """A string as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def instant_json(instant: Instant | None) -> str | None:
    """An instant as RFC 3339 in UTC, to the millisecond."""
    if instant is None:
        return None
    return datetime.fromtimestamp(instant, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_of_day(instant: Instant) -> str:
    """An instant in the reader's own time zone."""
    return datetime.fromtimestamp(instant, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """A length of time in its two largest units: `8s`, `3m20s`, `2h05m`, `4d03h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole // 60 % 60:02}m"
    return f"{whole // 86400}d{whole // 3600 % 24:02}h"
