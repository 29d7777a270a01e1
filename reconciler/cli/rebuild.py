"""`rebuild`: the state again, from git and the sources. 0 done, 1 refused: then nothing has changed."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from reconciler.cli.app import App, pass_app
from reconciler.cli.output import Cells, output_option, phase_text, plural, print_json, print_table, printable
from reconciler.core.model import Json, Phase
from reconciler.core.wire import Lock

if TYPE_CHECKING:
    from reconciler.rebuild import Reach, Rebuilt, SourceTold, SweepTold
    from reconciler.rebuild.past import Left
    from reconciler.rebuild.rebuild import Tell

NAME_DIGITS = 16
SHOWN = 5


@click.command()
@click.option("--dry-run", is_flag=True, help="Tell what it would come to, and change nothing; a daemon may run.")
@click.option("--force", is_flag=True, help="Even though the state is whole: a new one knows less.")
@output_option
@pass_app
def rebuild(app: App, dry_run: bool, force: bool, output: str) -> int:
    """Make a lost or damaged state anew, from git and the sources.

    Every source is asked for all that is left of attempts there, and the same tasks and attempts come back: what has
    run does not run again, and what runs is watched again. The damaged files are kept beside the new ones.

    Events, approvals and intended cancellations do not come back: whatever would end something that runs waits for
    `reconciler approve`. Sources that are not in the configuration are not asked.
    """
    import asyncio

    from reconciler import rebuild as rebuilding
    from reconciler.crashpoints import arm_from_environment

    arm_from_environment(os.environ)

    with _progress() as tell:
        work = (
            rebuilding.rehearse(app.config, _reach(app), tell=tell)
            if dry_run
            else rebuilding.rebuild(app.config, _reach(app), force=force, tell=tell)
        )
        done = asyncio.run(work)
    if output == "json":
        print_json(_json(done))
    else:
        _print(done, dry_run=dry_run)
    return 0


def _reach(app: App) -> Reach:
    from reconciler.dialects.choice import dialect_of
    from reconciler.links.choice import link_to
    from reconciler.rebuild import Reach

    dice = random.Random()  # noqa: S311 - a name, not a secret
    return Reach(
        dialect=dialect_of,
        link=link_to,
        clock=app.clock,
        daemon=f"{dice.getrandbits(4 * NAME_DIGITS):0{NAME_DIGITS}x}",
    )


@contextmanager
def _progress() -> Iterator[Tell]:
    """A bar on the terminal, and nothing elsewhere."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    page = Console(file=sys.stderr)
    with Progress(*columns, console=page, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)

        def tell(what: str, done: int, of: int | None) -> None:
            bar.update(task, description=printable(what), completed=done, total=of)

        yield tell


# ---------------------------------------------------------------------------------------------- for people


def _print(done: Rebuilt, *, dry_run: bool) -> None:
    print_table(("SOURCE", "ATTEMPTS", "JOBS", "ROOT"), map(_source_row, done.sources))
    click.echo()
    if done.sweeps:
        print_table(("SWEEP", "NOW", "ATTEMPTS", "TASKS"), map(_row, done.sweeps))
        click.echo()
    for line in _warnings(done):
        click.echo(printable(line))
    what = "would be rebuilt" if dry_run else "is rebuilt"
    click.echo(f"the state of instance {done.instance} {what} at revision {done.revision[:12]}")
    for path in done.kept:
        click.echo(f"kept: {printable(str(path))}")
    if not dry_run:
        click.echo("next: reconciler run")


def _source_row(source: SourceTold) -> Cells:
    return source.name, str(source.attempts), str(source.jobs or ""), source.root


def _row(sweep: SweepTold) -> Cells:
    tasks = Text(", ").join([Text(f"{n} ").append_text(phase_text(phase)) for phase, n in _ordered(sweep)])
    leaving = sweep.active - sweep.tasks.get(Phase.QUEUED, 0) - sweep.tasks.get(Phase.RUNNING, 0)
    if leaving > 0:
        tasks.append(f", {leaving} leaving" if tasks else f"{leaving} leaving")
    return Text(sweep.name), sweep.standing, str(sweep.attempts), tasks


def _ordered(sweep: SweepTold) -> list[tuple[Phase, int]]:
    return [(phase, sweep.tasks[phase]) for phase in Phase if sweep.tasks.get(phase)]


def _warnings(done: Rebuilt) -> Iterator[str]:
    waiting = [sweep.name for sweep in done.sweeps if sweep.waits]
    if waiting:
        yield f"removals wait in {', '.join(waiting)}: see `reconciler plan`, then `reconciler approve {done.plan}`"
    broken = [sweep.name for sweep in done.sweeps if sweep.standing == "broken"]
    if broken:
        yield f"no good manifest in {', '.join(broken)}: the last good one counts; see `reconciler status`"
    running = [left for left in done.nameless if left.remains.found.lock is Lock.HELD]
    if running:
        where = ", ".join(left.remains.found.directory for left in running[:SHOWN])
        yield f"{plural(len(running), 'attempt')} of tasks that nobody remembers run on, unwatched: {where}"
    if len(done.nameless) > len(running):
        yield f"{plural(len(done.nameless) - len(running), 'attempt')} of tasks that nobody remembers: left alone"
    if done.strangers:
        yield f"{plural(len(done.strangers), 'attempt')} of strangers: left alone"
    for left in done.doubled:
        yield f"{left.eid} on {left.source} has a namesake on another source, which counts: a state was copied?"


# ---------------------------------------------------------------------------------------------- for programs


def _json(done: Rebuilt) -> Json:
    return {
        "found": {"state": done.found.soundness.value, "why": done.found.why},
        "instance": done.instance,
        "revision": done.revision,
        "sources": [
            {
                "name": each.name,
                "root": each.root,
                "owner": each.owner or None,
                "attempts": each.attempts,
                "jobs": each.jobs,
            }
            for each in done.sources
        ],
        "sweeps": [_sweep_json(sweep) for sweep in done.sweeps],
        "planId": done.plan,
        "nameless": [_left_json(left) for left in done.nameless],
        "strangers": [_left_json(left) for left in done.strangers],
        "doubled": [_left_json(left) for left in done.doubled],
        "kept": [str(path) for path in done.kept],
    }


def _sweep_json(sweep: SweepTold) -> Json:
    return {
        "name": sweep.name,
        "standing": sweep.standing,
        "tasks": {phase.value: sweep.tasks.get(phase, 0) for phase in Phase},
        "attempts": sweep.attempts,
        "active": sweep.active,
        "waitsForApproval": sweep.waits,
    }


def _left_json(left: Left) -> Json:
    found = left.remains.found
    return {
        "eid": found.eid,
        "source": left.source,
        "directory": found.directory,
        "runs": found.lock is Lock.HELD,
    }
