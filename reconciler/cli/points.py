"""The points of a sweep on paper; streamed, so that a million of them need no memory."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from itertools import islice

import click

from reconciler.cli.output import print_json, print_table, printable, values
from reconciler.core.command import CHECKPOINT_TOKEN, OUTPUT_TOKEN, render
from reconciler.core.model import Point
from reconciler.core.parameters import expand
from reconciler.core.spec import SweepSpec


def print_count(spec: SweepSpec, *, as_json: bool) -> None:
    """How many points there are, equal ones and excluded ones not counted."""
    count = sum(1 for _ in expand(spec))
    if as_json:
        print_json({"sweep": spec.name, "count": count})
    else:
        click.echo(str(count))


def print_points(spec: SweepSpec, *, limit: int | None, as_json: bool) -> None:
    """The first points, or all of them; the count is always that of all."""
    if as_json:
        _print_json(spec, limit)
        return
    points = expand(spec)
    rows = [
        (point.task, values(point.parameters), printable(shlex.join(argv(spec, point))))
        for point in islice(points, limit)
    ]
    print_table(("TASK", "PARAMETERS", "COMMAND"), rows)
    left = sum(1 for _ in points)
    if left:
        click.echo(f"… and {left} more; `--limit` shows more, `-o json` all")


def argv(spec: SweepSpec, point: Point) -> list[str]:
    """The exact command; the two folders that only the source knows are shown as they are written in a manifest."""
    return [
        word.replace(OUTPUT_TOKEN, "$(output)").replace(CHECKPOINT_TOKEN, "$(checkpoint)")
        for word in render(spec, point).argv
    ]


def _print_json(spec: SweepSpec, limit: int | None) -> None:
    count = 0
    out = sys.stdout
    out.write(f'{{"sweep": {json.dumps(spec.name)}, "points": [')
    for count, point in _numbered(spec):
        if limit is None or count <= limit:
            body = {
                "task": point.task,
                "replicate": point.replicate,
                "parameters": point.parameters,
                "argv": argv(spec, point),
            }
            out.write(("," if count > 1 else "") + "\n  " + json.dumps(body, allow_nan=False))
    out.write(f'\n], "count": {count}}}\n')


def _numbered(spec: SweepSpec) -> Iterator[tuple[int, Point]]:
    return enumerate(expand(spec), start=1)
