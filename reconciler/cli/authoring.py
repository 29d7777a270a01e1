"""`init`, `validate`, `expand`: writing manifests. None of them needs a daemon or a store.

A configuration, if there is one, says how many tasks a sweep may have. On paper it may have more: that costs only time.
"""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli import starter
from reconciler.cli.app import App, pass_app
from reconciler.cli.failures import error_json, tell
from reconciler.cli.files import Read, manifests_in, read_manifest
from reconciler.cli.output import output_option, plural, print_json, printable
from reconciler.cli.points import print_count, print_points
from reconciler.cli.schedulers import pbs_here, scheduler_here
from reconciler.core.errors import UsageError
from reconciler.core.model import Json
from reconciler.core.spec import SweepSpec

TABLE_LIMIT = 20
PAPER_TASKS = 1_000_000
PATH = click.Path(path_type=Path)


@click.command()
@click.argument("directory", type=PATH)
@click.option("--git", "with_git", is_flag=True, help="Make the directory a git repository first.")
def init(directory: Path, with_git: bool) -> int:
    """Write a first manifest into a git repository.

    It is sweeps.d/hello.yaml, which explains itself. On a machine of a Slurm cluster also a configuration,
    reconciler.yaml, so that tasks go to its queue. Nothing is overwritten.
    """
    path = starter.write(directory, with_git=with_git)
    click.echo(f"wrote {path}")
    site = scheduler_here()
    if site is not None:
        written = starter.write_config(directory, site)
        left = f"{directory / starter.CONFIG} is left as it is: is {site.version} among its sources?"
        click.echo(left if written is None else f"wrote {written}: tasks go to the queue of {site.version}")
    elif pbs_here():
        click.echo("PBS seems to be here (qsub), which this version does not speak: tasks run on this machine itself")
    click.echo(f"\nnext:\n{starter.next_steps(directory)}")
    return 0


@click.command()
@click.argument("path", type=PATH, nargs=-1, required=True)
@output_option
@pass_app
def validate(app: App, path: tuple[Path, ...], output: str) -> int:
    """Check manifests, files or folders; 1 if any is wrong."""
    from reconciler.core.parameters import count

    read = [read_manifest(file, max_tasks=app.max_tasks) for file in manifests_in(path)]
    good = all(not each.errors for each in read)
    if output == "json":
        print_json({"valid": good, "files": [_file_json(each) for each in read]})
        return 0 if good else 1
    for each in read:
        for loaded in each.loaded:
            for warning in loaded.warnings:
                click.echo(printable(warning), err=True)
            click.echo(f"{each.file}: {loaded.spec.name}: {plural(count(loaded.spec), 'task')}")
        for error in each.errors:
            tell(error)
        if not each.loaded and not each.errors:
            click.echo(f"{each.file}: no sweep")
    return 0 if good else 1


@click.command()
@click.argument("file", type=PATH)
@click.option(
    "--limit", type=click.IntRange(min=0), help=f"So many points; default: {TABLE_LIMIT} in a table, all in JSON."
)
@click.option("--count", "only_count", is_flag=True, help="Only how many.")
@click.option("--sweep", help="Which one, if the file holds several.")
@output_option
@pass_app
def expand(app: App, file: Path, limit: int | None, only_count: bool, sweep: str | None, output: str) -> int:
    """Show what a manifest would run.

    Each point with its task id and its exact command.
    """
    read = read_manifest(file, max_tasks=max(app.max_tasks, PAPER_TASKS))
    if read.errors:
        for error in read.errors:
            tell(error)
        return 1
    spec = _chosen([loaded.spec for loaded in read.loaded], file, sweep)
    if only_count:
        print_count(spec, as_json=output == "json")
    else:
        print_points(
            spec, limit=limit if limit is not None or output == "json" else TABLE_LIMIT, as_json=output == "json"
        )
    return 0


def _chosen(specs: list[SweepSpec], file: Path, name: str | None) -> SweepSpec:
    fitting = [spec for spec in specs if name in (None, spec.name)]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(spec.name for spec in specs)
    if not specs:
        raise UsageError(
            "NoSweep", f"{file} holds no sweep", hint="a manifest begins with `apiVersion` and `kind: Sweep`"
        )
    if name is None:
        raise UsageError(
            "SeveralSweeps", f"{file} holds {len(specs)} sweeps: {names}", hint="choose one with --sweep NAME"
        )
    raise UsageError("UnknownSweep", f"{file} holds no sweep {name!r}", hint=f"it holds {names}")


def _file_json(read: Read) -> Json:
    from reconciler.core.parameters import count

    sweeps: list[Json] = [
        {"name": loaded.spec.name, "tasks": count(loaded.spec), "warnings": list(loaded.warnings)}
        for loaded in read.loaded
    ]
    return {"file": read.file, "sweeps": sweeps, "errors": [error_json(error) for error in read.errors]}
