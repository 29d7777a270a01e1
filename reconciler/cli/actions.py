"""`reconcile`, `retry`, `approve`: what a person asks of the daemon, as a file that it consumes."""

from __future__ import annotations

import getpass
import os
import secrets
from collections.abc import Mapping

import click

from reconciler.cli.app import App, find_sweep, find_task, pass_app
from reconciler.cli.names import complete_sweep, complete_task
from reconciler.cli.output import printable
from reconciler.core.errors import UsageError
from reconciler.core.model import Json
from reconciler.requests import Action, Outcome, Verb, submit, wait

WAIT_S = 10.0
NOT_YET = 2


@click.command()
@click.argument("sweep", required=False, shell_complete=complete_sweep)
@click.option(
    "--repin", is_flag=True, help="Resolve the revision of the project anew; changed code makes tasks outdated."
)
@pass_app
def reconcile(app: App, sweep: str | None, repin: bool) -> int:
    """Look at the repository now, and at one sweep or all."""
    arguments: dict[str, Json] = {"repin": repin} if repin else {}
    if sweep is not None:
        with app.reader() as reader:
            arguments["sweep"] = find_sweep(reader, sweep).name
    return ask(app, Verb.RECONCILE, arguments)


@click.command()
@click.argument("sweep", shell_complete=complete_sweep)
@click.argument("task", nargs=-1, shell_complete=complete_task)
@click.option(
    "--assume-dead",
    is_flag=True,
    help="Also give up on attempts that nobody can tell about. Only if you know that they do not run any more.",
)
@pass_app
def retry(app: App, sweep: str, task: tuple[str, ...], assume_dead: bool) -> int:
    """Run failed, lost and cancelled tasks of a sweep again.

    All of them, or those named, with a fresh retry budget.
    """
    if assume_dead and not task:
        raise UsageError("TaskNeeded", "--assume-dead needs the ids of the tasks", hint="name each of them")
    with app.reader() as reader:
        row = find_sweep(reader, sweep)
        found = [find_task(reader, row, prefix) for prefix in task]
    ids: list[Json] = [each.key.task for each in found]
    arguments: dict[str, Json] = {"sweep": row.name}
    if ids:
        arguments["tasks"] = ids
    if assume_dead:
        arguments["assumeDead"] = [each.attempts for each in found]  # another attempt may live when its turn comes
    return ask(app, Verb.RETRY, arguments)


@click.command()
@click.argument("plan")
@pass_app
def approve(app: App, plan: str) -> int:
    """Let removals happen that were held back for being many.

    PLAN is the id that `reconciler plan` shows.
    """
    return ask(app, Verb.APPROVE, {"plan": plan})


def ask(app: App, verb: Verb, arguments: Mapping[str, Json]) -> int:
    """Leave the request, and wait a little for its outcome while a daemon runs."""
    import asyncio

    action = Action(id=secrets.token_hex(8), verb=verb, at=app.clock.now(), by=_person(), arguments=arguments)
    submit(app.state_dir, action)
    if not app.daemon_runs():
        click.echo("recorded; no daemon runs now: it will be done when one does (`reconciler run`)")
        return NOT_YET
    outcome = asyncio.run(wait(app.state_dir, action.id, timeout_s=WAIT_S, clock=app.clock))
    return _told(outcome)


def _told(outcome: Outcome | None) -> int:
    if outcome is None:
        click.echo(f"recorded; the daemon has not answered within {WAIT_S:.0f} s, and will do it")
        return NOT_YET
    if not outcome.ok:
        message, *hints = outcome.message.splitlines() or ["it was refused"]
        click.echo(f"reconciler: {printable(message)}", err=True)
        for hint in hints:
            click.echo(f"hint: {printable(hint)}", err=True)
        return 1
    click.echo(printable(outcome.message))
    return 0


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        return str(os.getuid())
