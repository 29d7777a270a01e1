"""How a person is told of an error: one message and one hint on stderr, never a traceback."""

from __future__ import annotations

from collections.abc import Sequence

import click

from reconciler.cli.output import printable
from reconciler.core.errors import LocatedError, ReconcilerError
from reconciler.core.model import Json
from reconciler.core.reasons import what_to_do

USAGE = 64  # EX_USAGE of sysexits.h
INTERRUPTED = 130  # as a shell tells SIGINT
CLOSED_PIPE = 141  # as a shell tells SIGPIPE


def report(error: ReconcilerError | OSError) -> int:
    """Tell the error on stderr; returns the exit code."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        _say(f"reconciler: {where}{error.strerror or error}", "")
        return 1
    tell(error)
    return error.exit_code


def tell(error: ReconcilerError) -> None:
    """Tell the error on stderr: `file:line:column: …` where there is a place, as compilers do, else with our name."""
    for each in parts(error):
        _say(str(each) if isinstance(each, LocatedError) else f"reconciler: {each}", hint_of(each))


def report_usage(error: click.ClickException) -> int:
    """Tell that the command line is wrong; returns the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return USAGE
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "reconciler"
    message = error.format_message().rstrip(".")
    _say(f"reconciler: {message[:1].lower()}{message[1:]}", f"see `{path} --help`")
    return USAGE


def parts(error: ReconcilerError) -> Sequence[ReconcilerError]:
    """The errors that an error stands for: those of a file with several, else itself."""
    several = getattr(error, "errors", ())
    return several or (error,)


def hint_of(error: ReconcilerError) -> str:
    """What to do about it: the error's own words, else what the vocabulary says of its reason."""
    return error.hint or what_to_do(error.reason)


def error_json(error: ReconcilerError) -> dict[str, Json]:
    """An error as every reader's JSON tells it; line and column are null where the whole file is meant."""
    place: dict[str, Json] = {"file": None, "line": None, "column": None}
    if isinstance(error, LocatedError):
        position = error.position
        place = {"file": position.file, "line": position.line or None, "column": position.column or None}
    return {**place, "reason": error.reason, "message": error.message, "hint": hint_of(error)}


def _say(line: str, hint: str) -> None:
    click.echo(printable(line), err=True)
    if hint:
        click.echo(f"hint: {printable(hint)}", err=True)
