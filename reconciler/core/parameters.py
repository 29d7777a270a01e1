"""The parameter space of a sweep: how many points it has, and which.

A point is a row of the product of blocks, extended by the `when` entries that match it. A point's id is one template of
canonical JSON filled in. Equal points collapse inside their block, so that nothing needs to remember the points that
went by; only draws under a condition need watching, and only within one grid point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, product
from math import prod
from typing import NamedTuple

from reconciler.core import blocks
from reconciler.core.blocks import Block, Row, Say, cell
from reconciler.core.conditions import any_of, completed, conditions_of, count_cases, draws_conditionally, extended
from reconciler.core.identity import canonical_json, short_hash
from reconciler.core.model import Json, Point, TaskId
from reconciler.core.spec import Constant, SweepSpec

_FEW = 64  # alternatives of an entry of `exclude`, all combinations of which are remembered
_NOTHING = Block((), 1, lambda: [()])


def expand(spec: SweepSpec, *, on_duplicate: Say | None = None) -> Iterator[Point]:
    """The points in declared order, the last axis fastest, replicates innermost; streamed.

    The order is: explicit points, axes, draws, conditional axes, replicates; included points come last. Equal points
    collapse into one, and `on_duplicate` is told so in a sentence. The spec must be valid (`validity.problems`).
    """
    say = on_duplicate or blocks.silent
    included = _included(spec, say)
    replicates = range(spec.replicates)
    for text, parameters in _grid(spec, say):
        if included and included.pop(text, None) is not None:
            say(f"include: the point {canonical_json(parameters)} is there already; equal points collapse into one")
        for replicate in replicates:
            yield Point(TaskId(short_hash(f"{text}{replicate}]")), replicate, parameters)
    for text, parameters in included.items():
        for replicate in replicates:
            yield Point(TaskId(short_hash(f"{text}{replicate}]")), replicate, parameters)


def count(spec: SweepSpec) -> int:
    """How many tasks the spec asks for, by multiplication: before `exclude` and before equal points collapse.

    With `when` it is an upper bound: exact where conditions are about axes, constants and explicit points; those about
    draws, or about what another condition adds, count as met.
    """
    axis_blocks = blocks.of_axes(spec.parameters, spec.zip, blocks.silent)
    table = blocks.of_points(spec.points, blocks.silent) if spec.points is not None else [_NOTHING]
    drawn = frozenset(blocks.distributions(spec.parameters))
    if not spec.when:
        grid = prod(block.length for block in axis_blocks) * (spec.samples if drawn else 1)
        points = grid * (len(spec.points) if spec.points is not None else 1)
    else:
        points = sum(count_cases(spec, [segment, *axis_blocks], drawn) for segment in table)
    return (points + len(spec.include)) * spec.replicates


def notes(spec: SweepSpec) -> list[str]:
    """Sentences on equal points that collapse, as far as they show without expanding."""
    said: list[str] = []
    blocks.of_points(spec.points or (), said.append)
    _base(spec, said.append)
    for entry in spec.when:
        blocks.of_axes(entry.parameters, spec.zip, said.append)
    _included(spec, said.append)
    return said


# ---------------------------------------------------------------------------------------------- the grid


def _grid(spec: SweepSpec, say: Say) -> Iterator[tuple[str, dict[str, Json]]]:
    """Text (open for the replicate) and parameters of every point that is not excluded, before `include`."""
    layouts: dict[tuple[str, ...], _Layout] = {}
    base = _base(spec, say)
    for segment in blocks.of_points(spec.points, say) if spec.points is not None else [_NOTHING]:
        combined = [segment, *base]
        names = tuple(chain.from_iterable(block.names for block in combined))
        rows = blocks.combinations(combined)
        points = extended(spec, names, rows, say) if spec.when else ((names, row) for row in rows)
        for point_names, cells in points:
            layout = layouts.get(point_names)
            if layout is None:
                layout = layouts[point_names] = _layout(spec, point_names)
            if not (layout.exclude and layout.excludes(cells)):
                yield layout.text(cells), layout.parameters(cells)


def _base(spec: SweepSpec, say: Say) -> list[Block]:
    """The unconditional axes, and the draws as the last and fastest block."""
    axis_blocks = blocks.of_axes(spec.parameters, spec.zip, say)
    drawn = blocks.distributions(spec.parameters)
    if draws_conditionally(spec):
        # Equal draws may still part ways: all rows are kept, so that a row's number tells which draw it is.
        rows = [blocks.draws(drawn, spec.seed, index) for index in range(spec.samples)]
        axis_blocks.append(Block(tuple(drawn), spec.samples, lambda: rows))
    elif drawn:
        axis_blocks.append(blocks.of_draws(drawn, spec, say))
    return axis_blocks


def _included(spec: SweepSpec, say: Say) -> dict[str, dict[str, Json]]:
    """The points given by hand, by their text; constants are taken over, or given another value."""
    included: dict[str, dict[str, Json]] = {}
    conditions = conditions_of(spec)
    for entry in spec.include:
        values = completed(spec, conditions, entry)
        layout, cells = _layout(spec, tuple(values)), tuple(map(cell, values.values()))
        if included.setdefault(layout.text(cells), parameters := layout.parameters(cells)) is not parameters:
            say(f"include: the point {canonical_json(parameters)} is given twice; equal points collapse into one")
    return included


class _Excluded(NamedTuple):
    """The entries of `exclude` that are about the same cells: looked up at once, however many they are."""

    places: tuple[int, ...]
    rows: set[tuple[str, ...]]  # of entries with few alternatives, each combination
    others: list[tuple[frozenset[str], ...]]

    def matches(self, cells: Row) -> bool:
        row = tuple([cells[place][1] for place in self.places])
        return row in self.rows or any(
            all(text in texts for text, texts in zip(row, entry, strict=True)) for entry in self.others
        )


class _Layout(NamedTuple):
    """How the cells of points with the same varying names become parameters and text."""

    names: tuple[str, ...]
    skeleton: dict[str, Json]  # all names in declared order, constants filled in
    template: str  # canonical JSON of (sweep, parameters, replicate), up to the replicate
    order: tuple[int, ...]  # which cell fills which place of the template
    exclude: tuple[_Excluded, ...]

    def excludes(self, cells: Row) -> bool:
        return any(each.matches(cells) for each in self.exclude)

    def text(self, cells: Row) -> str:
        return self.template % tuple([cells[place][1] for place in self.order])

    def parameters(self, cells: Row) -> dict[str, Json]:
        parameters = self.skeleton.copy()
        parameters.update(zip(self.names, [each[0] for each in cells], strict=True))
        return parameters


def _layout(spec: SweepSpec, names: tuple[str, ...]) -> _Layout:
    conditional = {name for entry in spec.when for name in entry.parameters}
    constants = {
        name: each.value for name, each in spec.parameters.items() if isinstance(each, Constant) and name not in names
    }
    explicit = [name for name in names if name not in spec.parameters and name not in conditional]
    declared = [name for name in spec.parameters if name in constants or name in names]
    skeleton: dict[str, Json] = dict.fromkeys([*explicit, *declared, *names])
    skeleton.update(constants)
    inside = ",".join(
        canonical_json(name) + ":" + (canonical_json(constants[name]).replace("%", "%%") if name in constants else "%s")
        for name in sorted(skeleton)
    )
    return _Layout(
        names=names,
        skeleton=skeleton,
        template=f"[{canonical_json(spec.name)},{{{inside}}},",
        order=tuple(names.index(name) for name in sorted(skeleton) if name not in constants),
        exclude=tuple(_excluded(spec, names, constants)),
    )


def _excluded(spec: SweepSpec, names: tuple[str, ...], constants: Mapping[str, Json]) -> Iterator[_Excluded]:
    """The entries that can match points with these names, by the cells that they are about."""
    found: dict[tuple[int, ...], _Excluded] = {}
    place_of = {name: place for place, name in enumerate(names)}
    for entry in spec.exclude:
        wanted = {name: any_of(value) for name, value in entry.items()}
        fixed = {name: canonical_json(constants[name]) for name in wanted if name in constants}
        present = all(name in place_of or name in constants for name in wanted)
        if present and all(text in wanted[name] for name, text in fixed.items()):
            accepted = {place_of[name]: texts for name, texts in wanted.items() if name in place_of}
            places = tuple(sorted(accepted))
            group = found.setdefault(places, _Excluded(places, set(), []))
            alternatives = tuple(accepted[place] for place in places)
            if prod(map(len, alternatives)) <= _FEW:
                group.rows.update(product(*alternatives))
            else:
                group.others.append(alternatives)
    yield from found.values()
