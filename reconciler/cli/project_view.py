"""How two ends of a project are told: tables for people, JSON for programs; configuration files first."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

import click

from reconciler.cli.ends import Ends
from reconciler.cli.output import plural, print_table, printable
from reconciler.core.model import Json
from reconciler.core.trees import Checkout, Difference, Relation, Tree, named
from reconciler.core.wire_trees import Change
from reconciler.plumbing import Content
from reconciler.sync import Comparison, TreeComparison

SHOWN = 50


def print_comparison(ends: Ends, found: Comparison | TreeComparison) -> None:
    """For a person."""
    for label, each in (("here", found.here), ("there", found.there)):
        if each is not None:
            click.echo(f"{label + ':':<7}{printable(each.path)}{_standing(each)}")
    if isinstance(found, Comparison):
        for line in _relations(found):
            click.echo(line)
    if found.there.unfinished:
        click.echo("a push was cut off there: `reconciler project push` finishes it")
    if found.differences:
        click.echo()
        print_table(("FILE", "HERE", "THERE"), [_row(each) for each in found.differences[:SHOWN]])
        if len(found.differences) > SHOWN:
            click.echo(f"and {len(found.differences) - SHOWN} more")
    if isinstance(found, Comparison) and found.there.untracked:
        names = [printable(name) for name in found.there.untracked]
        click.echo(f"\nuntracked there: {named(names, found.there.untracked_more)}")
    click.echo(f"\n{ends.project.name} on {ends.source.name} is {'in sync' if found.in_sync else 'not in sync'}")


def _standing(each: Checkout | Tree) -> str:
    if isinstance(each, Tree):
        return f"  {each.hash[:12]}"
    head = "no commit" if each.head is None else each.head[:12]
    operation = f", {each.operation} under way" if each.operation else ""
    return f"  {head} ({printable(each.branch) or 'no branch'}{operation})"


def _relations(found: Comparison) -> Iterator[str]:
    match found.relation:
        case Relation.AHEAD | Relation.BEHIND | Relation.DIVERGED:
            counts = [f"{count} {word}" for count, word in ((found.ahead, "ahead"), (found.behind, "behind")) if count]
            yield f"the commit there is {' and '.join(counts)}"
        case Relation.UNKNOWN if found.here is not None:
            yield "neither end knows the commit of the other"
        case _:
            pass


def _row(each: Difference) -> tuple[str, str, str]:
    return printable(each.name), each.here or "", each.there or ""


def comparison_json(ends: Ends, found: Comparison | TreeComparison) -> dict[str, Json]:
    """For a program."""
    git = found if isinstance(found, Comparison) else None
    return {
        "project": ends.project.name,
        "source": ends.source.name,
        "kind": ends.project.kind,
        "inSync": found.in_sync,
        "relation": git.relation if git else None,
        "ahead": git.ahead if git else None,
        "behind": git.behind if git else None,
        "here": _end_json(found.here),
        "there": _end_json(found.there),
        "differences": [
            {"name": each.name, "here": each.here, "there": each.there, "configuration": each.configuration}
            for each in found.differences
        ],
    }


def _end_json(each: Checkout | Tree | None) -> Json:
    if each is None:
        return None
    if isinstance(each, Tree):
        return {"path": each.path, "hash": each.hash, "unfinished": each.unfinished}
    return {
        "path": each.path,
        "head": each.head,
        "branch": each.branch or None,
        "operation": each.operation or None,
        "unfinished": each.unfinished,
        "untracked": list(each.untracked),
        "more": each.changed_more + each.untracked_more,
    }


def unified(source: str, before: Content, after: Content) -> str:
    """The lines of one file that differ, as `diff -u` tells them; of what is no text only that it differs."""
    if before == after:
        return ""
    texts = [_text(before), _text(after)]
    if None in texts:
        return f"{before.name}: not a text, and it differs ({len(before.data)} and {len(after.data)} bytes)\n"
    ours, theirs = [(text or "").splitlines(keepends=True) for text in texts]
    names = (f"here/{before.name}", f"{source}/{before.name}")
    lines = list(difflib.unified_diff(ours, theirs, *names))
    if not lines:
        return f"{before.name}: {_kind(before)} here, {_kind(after)} there\n"
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _text(content: Content) -> str | None:
    try:
        text = content.data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _kind(content: Content) -> str:
    return {"": "nothing", "-": "a file", "x": "executable", "l": "a link"}.get(content.kind, "no file")


def print_plan(changes: Sequence[Change], *, done: bool) -> None:
    """What was or would be written there."""
    rows = [(printable(each.name), "write" if each.after else "remove") for each in changes]
    if rows:
        print_table(("FILE", "DONE" if done else "WOULD"), rows)
    else:
        click.echo("nothing to push")


def changes_json(changes: Sequence[Change]) -> Json:
    return [{"name": each.name, "action": "write" if each.after else "remove"} for each in changes]


def files_word(files: Sequence[object]) -> str:
    return plural(len(files), "file")
