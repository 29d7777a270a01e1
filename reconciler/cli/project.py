"""`project`: the code that lies in a folder of somebody's on a source, beside the code here. No daemon is needed.

0 in sync, or done · 2 there are differences · 1 refused: then nothing was written
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from reconciler.cli.app import App, pass_app
from reconciler.cli.ends import Ends, ends_of, the_one_here
from reconciler.cli.output import output_option, print_json, printable
from reconciler.cli.project_view import (
    changes_json,
    comparison_json,
    files_word,
    print_comparison,
    print_plan,
    unified,
)
from reconciler.core.errors import Refused
from reconciler.core.model import Commit, Json
from reconciler.core.settings import ProjectKind
from reconciler.core.trees import NOTHING, Checkout, Difference, State, Tree
from reconciler.core.wire_trees import Change, Pushed
from reconciler.plumbing import Content, branch, patch, patch_between
from reconciler.sync import (
    Comparison,
    TreeComparison,
    carry_out,
    compare,
    compare_trees,
    plan_push,
    plan_push_of_tree,
    pulled,
    pulled_tree,
)

P = ParamSpec("P")
T = TypeVar("T")

DIFFERENT = 2
DIFFS_MAX = 200  # files


def _ends_options(function: Callable[P, T]) -> Callable[P, T]:
    """NAME, `--source` and `--from`."""
    folder = click.Path(path_type=Path, exists=True, file_okay=False)
    function = click.option("--from", "here", type=folder, help="The folder here; default: the project's url.")(
        function
    )
    function = click.option("--source", required=True, metavar="SOURCE", help="Where the other end is.")(function)
    return click.argument("name", metavar="NAME")(function)


@click.group()
def project() -> None:
    """Compare code on a source with the code here, and bring edits across."""


@project.command()
@_ends_options
@output_option
@pass_app
def status(app: App, name: str, source: str, here: Path | None, output: str) -> int:
    """Show how the folder on a source stands to the one here; 2 if they differ."""
    return asyncio.run(_status(app, name, source, here, output))


@project.command()
@_ends_options
@output_option
@pass_app
def diff(app: App, name: str, source: str, here: Path | None, output: str) -> int:
    """Show the lines that differ, as `diff -u` does; 2 if there are any."""
    return asyncio.run(_diff(app, name, source, here, output))


@project.command()
@_ends_options
@click.option("--dry-run", is_flag=True, help="Tell what would be written, and write nothing.")
@output_option
@pass_app
def push(app: App, name: str, source: str, here: Path | None, dry_run: bool, output: str) -> int:
    """Write the edits made here over what lies on the source, unless that was edited, too."""
    return asyncio.run(_push(app, name, source, here, dry_run, output))


@project.command()
@_ends_options
@click.option("--patch", "file", type=click.Path(path_type=Path), help="Write a patch instead of a branch.")
@click.option("--dry-run", is_flag=True, help="Tell what would be pulled, and write nothing.")
@output_option
@pass_app
def pull(app: App, name: str, source: str, here: Path | None, file: Path | None, dry_run: bool, output: str) -> int:
    """Bring the edits made on the source here, as a branch or a patch; no file here changes."""
    if file is not None and file.exists():
        raise Refused("FileExists", f"{file} is there already", hint="name another file")
    return asyncio.run(_pull(app, name, source, here, file, dry_run, output))


# ---------------------------------------------------------------------------------------------- looking


async def _compared(ends: Ends) -> Comparison | TreeComparison:
    if ends.project.kind is ProjectKind.TREE:
        return await compare_trees(the_one_here(ends), ends.there, ends.base)
    return await compare(ends.here, ends.there)


async def _status(app: App, name: str, source: str, here: Path | None, output: str) -> int:
    async with ends_of(app, name, source, here) as ends:
        found = await _compared(ends)
        if output == "json":
            print_json(comparison_json(ends, found))
        else:
            print_comparison(ends, found)
        return 0 if found.in_sync else DIFFERENT


async def _diff(app: App, name: str, source: str, here: Path | None, output: str) -> int:
    async with ends_of(app, name, source, here) as ends:
        found = await _compared(ends)
        differing = found.differences[:DIFFS_MAX]
        told = [(each, unified(source, *(await _both(ends, found, each)))) for each in differing]
        if output == "json":
            diffs: list[Json] = [{"name": each.name, "diff": text} for each, text in told]
            print_json({**comparison_json(ends, found), "diffs": diffs})
        else:
            for _, text in told:
                for line in text.splitlines():
                    click.echo(printable(line.expandtabs()))
        return 0 if found.in_sync else DIFFERENT


async def _both(ends: Ends, found: Comparison | TreeComparison, each: Difference) -> tuple[Content, Content]:
    """A file as it lies here and there; of what is the same as in the commit, too."""
    here = await _state(ends.here, found.here, each.name)
    there = await _state(ends.there, found.there, each.name)
    ours = Content(each.name, "", b"") if ends.here is None else await ends.here.read(each.name, here)
    return ours, await ends.there.read(each.name, there)


async def _state(end: object, folder: Checkout | Tree | None, name: str) -> State:
    from reconciler.sync import End

    if isinstance(folder, Tree):
        return folder.files.get(name, NOTHING)
    if not isinstance(end, End):
        return NOTHING
    seen = (await end.checkout(names=[name])).seen or {}
    return seen.get(name, NOTHING)


# ---------------------------------------------------------------------------------------------- bringing edits across


async def _push(app: App, name: str, source: str, here: Path | None, dry_run: bool, output: str) -> int:
    async with ends_of(app, name, source, here) as ends:
        ours = the_one_here(ends)
        label = _label(app)
        finished = ""
        if not dry_run and (await _compared(ends)).there.unfinished:  # it comes first: then both are looked at
            finished = (await ends.there.push(label, None, [], [])).finished
        head, states, changes = await _planned(ends)
        done = Pushed(finished="", backup="", left=())
        if changes and not dry_run:
            done = await carry_out(ours, ends.there, label, head, changes, states)
            if ends.project.kind is ProjectKind.TREE:
                ends.base.keep({each.name: each.after for each in changes if each.name not in done.left})
        _tell_push(changes, done, finished=finished, dry_run=dry_run, output=output)
        if done.left:
            return 1
        return DIFFERENT if changes and dry_run else 0


async def _planned(ends: Ends) -> tuple[Commit | None, dict[str, State], list[Change]]:
    """At which commit both are, what lies here, and what is to be written there."""
    ours = the_one_here(ends)
    if ends.project.kind is ProjectKind.TREE:
        tree, changes = await plan_push_of_tree(ours, ends.there, ends.base)
        return None, dict(tree.files), changes
    checkout, changes = await plan_push(ours, ends.there)
    return checkout.head, {each.name: each.state for each in checkout.changed}, changes


def _tell_push(changes: list[Change], done: Pushed, *, finished: str, dry_run: bool, output: str) -> None:
    if output == "json":
        left: list[Json] = list(done.left)
        told: dict[str, Json] = {"dryRun": dry_run, "files": changes_json(changes), "left": left}
        print_json({**told, "backup": done.backup or None, "finished": finished or None})
        return
    if finished:
        click.echo(f"an earlier push was cut off, and is finished now ({printable(finished)})")
    print_plan(changes, done=not dry_run)
    for each in done.left:
        click.echo(f"left alone, edited there in the last moment: {printable(each)}")
    if done.backup:
        click.echo(f"what was there before: {printable(done.backup)}")
        click.echo("sweeps that are pinned to what was there wait until it is so again, or until they are pinned anew")


async def _pull(
    app: App, name: str, source: str, here: Path | None, file: Path | None, dry_run: bool, output: str
) -> int:
    async with ends_of(app, name, source, here) as ends:
        if ends.project.kind is ProjectKind.TREE:
            found = await compare_trees(the_one_here(ends), ends.there, ends.base)
            before, after = await pulled_tree(the_one_here(ends), ends.there, found)
            text = await patch_between(before, after) if after and not dry_run else b""
            file = file or Path(f"{_pull_name(app, source)}.patch".replace("/", "-"))
            return _kept(file, text, after, dry_run=dry_run, output=output)
        state, files = await pulled(ends.there)
        if not files or dry_run:
            return _tell_pull(files, {}, dry_run=dry_run, output=output)
        folder = Path(the_one_here(ends).path)
        if state.head is None:
            raise Refused("CommitsDiffer", "nothing was ever committed in the checkout there")
        if file is not None:
            return _kept(file, await patch(folder, state.head, files), files, dry_run=False, output=output)
        branch_name = _pull_name(app, source)
        message = f"Edits of {name} on {source}\n\nPulled from {state.path} at {state.head}.\n"
        made = await branch(folder, state.head, files, name=branch_name, message=message)
        return _tell_pull(files, {"branch": branch_name, "commit": made}, dry_run=False, output=output)


def _kept(file: Path, text: bytes, files: list[Content], *, dry_run: bool, output: str) -> int:
    if not files or dry_run:
        return _tell_pull(files, {}, dry_run=dry_run, output=output)
    with file.open("xb") as stream:
        stream.write(text)
    return _tell_pull(files, {"patch": str(file)}, dry_run=False, output=output)


def _tell_pull(files: list[Content], where: dict[str, str], *, dry_run: bool, output: str) -> int:
    if output == "json":
        names: list[Json] = [{"name": each.name, "action": "write" if each.kind else "remove"} for each in files]
        place: dict[str, Json] = {key: where.get(key) for key in ("branch", "commit", "patch")}
        print_json({"dryRun": dry_run, "files": names, **place})
    elif not files:
        click.echo("nothing was edited there")
    else:
        for each in files:
            click.echo(printable(each.name))
        place_word = where.get("branch") or where.get("patch")
        click.echo(f"{files_word(files)} {'would be pulled' if dry_run else f'pulled into {place_word}'}")
    return DIFFERENT if dry_run and files else 0


def _label(app: App) -> str:
    """A name that no other push has."""
    at = datetime.fromtimestamp(app.clock.now(), tz=UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{at}-{random.getrandbits(24):06x}"


def _pull_name(app: App, source: str) -> str:
    at = datetime.fromtimestamp(app.clock.now(), tz=UTC).strftime("%Y%m%d-%H%M%S")
    return f"reconciler/pull-{source}-{at}"
