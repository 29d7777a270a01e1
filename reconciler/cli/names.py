"""Names that the shell completes: sweeps and tasks, from the store. Whatever goes wrong, nothing is offered."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.app import App
from reconciler.core.errors import ReconcilerError
from reconciler.core.model import SweepName

OFFERED = 50


def complete_sweep(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Sweeps whose name begins so."""
    try:
        with _app(ctx).reader() as reader:
            return [str(row.name) for row in reader.sweeps() if row.name.startswith(incomplete)][:OFFERED]
    except (ReconcilerError, OSError):
        return []


def complete_task(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Tasks of the named sweep whose id begins so."""
    try:
        with _app(ctx).reader() as reader:
            sweep = SweepName(ctx.params.get("sweep") or "")
            return [task.key.task for task in reader.find_task(sweep, incomplete, limit=OFFERED)]
    except (ReconcilerError, OSError):
        return []


def complete_source(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Sources of the configuration whose name begins so."""
    try:
        return [str(source.name) for source in _app(ctx).config.sources if source.name.startswith(incomplete)][:OFFERED]
    except (ReconcilerError, OSError):
        return []


def _app(ctx: click.Context) -> App:
    """The command line so far; while completing, the group itself has not run."""
    file = ctx.find_root().params.get("config_file")
    return App(Path(file) if file else None)
