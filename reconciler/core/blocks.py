"""Blocks: the factors of a parameter space, each some names that advance together.

One axis is a block, and so are a zip group, a run of explicit points, and all draws. A block sheds its equal rows once,
so that no point of a product can come twice and nothing needs to remember the points that went by. A cell keeps a value
beside its canonical JSON, so that a point's id costs no second encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, product
from typing import NamedTuple, TypeAlias

from reconciler.core import axes
from reconciler.core.identity import canonical_json
from reconciler.core.model import Json
from reconciler.core.spec import Axis, Constant, Distribution, Parameter, SweepSpec, Values

Cell: TypeAlias = tuple[Json, str]  # a value, and its canonical JSON
Row: TypeAlias = tuple[Cell, ...]
Say: TypeAlias = Callable[[str], None]

KEEP_ROWS = 10_000  # a longer block is made anew each time it is passed through, so that memory stays flat


class Block(NamedTuple):
    """Names that advance together. `length` counts before equal rows collapse; `rows` makes the rows."""

    names: tuple[str, ...]
    length: int
    rows: Callable[[], Iterable[Row]]


def silent(_: str) -> None:
    """For callers who do not want to hear of equal points."""


def cell(value: Json) -> Cell:
    """A value beside its text."""
    return value, canonical_json(value)


def of_axes(parameters: Mapping[str, Parameter], zips: Sequence[tuple[str, ...]], say: Say) -> list[Block]:
    """The axes among the parameters, in declared order; a zip group of theirs stands at the place of its first name."""
    groups = {name: group for group in zips for name in group}
    blocks = []
    done: set[str] = set()
    for name, parameter in parameters.items():
        if name in done or isinstance(parameter, Constant | Distribution):
            continue
        if name in groups:
            blocks.append(_zipped(groups[name], parameters, say))
            done.update(groups[name])
        elif isinstance(parameter, Values):
            blocks.append(_kept((name,), [(cell(value),) for value in parameter.values], say))
        else:
            blocks.append(_computed(name, parameter))
    return blocks


def of_draws(drawn: Mapping[str, Distribution], spec: SweepSpec, say: Say) -> Block:
    """All draws, `samples` rows."""
    return _kept(tuple(drawn), [draws(drawn, spec.seed, index) for index in range(spec.samples)], say)


def draws(drawn: Mapping[str, Distribution], seed: int, index: int) -> Row:
    """Draw number `index` of each."""
    return tuple([cell(axes.draw(each, seed, name, index)) for name, each in drawn.items()])


def of_points(points: Sequence[Mapping[str, Json]], say: Say) -> list[Block]:
    """Explicit points as blocks to be passed one after the other; a new one begins where the names change."""
    orders: dict[frozenset[str], tuple[str, ...]] = {}
    runs: list[tuple[tuple[str, ...], list[Row]]] = []
    seen: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
    for point in points:
        names = orders.setdefault(frozenset(point), tuple(point))
        row = tuple([cell(point[name]) for name in names])
        key = (names, tuple([each[1] for each in row]))
        if key not in seen:
            seen.add(key)
            if not runs or runs[-1][0] != names:
                runs.append((names, []))
            runs[-1][1].append(row)
    if len(seen) < len(points):
        say(f"points: {len(points) - len(seen)} of {len(points)} equal others; equal points collapse into one")
    return [_block(names, rows) for names, rows in runs]


def distributions(parameters: Mapping[str, Parameter]) -> dict[str, Distribution]:
    """The distributions among the parameters."""
    return {name: each for name, each in parameters.items() if isinstance(each, Distribution)}


def combinations(blocks: Sequence[Block]) -> Iterator[Row]:
    """All combinations, the last block fastest. The longest block is passed through, the others are held."""
    if not blocks:
        yield ()
        return
    longest = max(range(len(blocks)), key=lambda place: blocks[place].length)
    outer = [list(block.rows()) for block in blocks[:longest]]
    inner = [list(block.rows()) for block in blocks[longest + 1 :]]
    held = list(blocks[longest].rows()) if blocks[longest].length <= KEEP_ROWS else None
    flat = chain.from_iterable
    for head in product(*outer):
        before = tuple(flat(head))
        for row in blocks[longest].rows() if held is None else held:
            for tail in product(*inner):
                yield (*before, *row, *flat(tail))


def _block(names: tuple[str, ...], rows: Sequence[Row]) -> Block:
    return Block(names, len(rows), lambda: rows)


def _kept(names: tuple[str, ...], rows: Sequence[Row], say: Say) -> Block:
    """A block whose rows are at hand; equal ones collapse."""
    unique = list(_unique(rows))
    if len(unique) < len(rows):
        what = f"{len(rows) - len(unique)} of {len(rows)} values equal others"
        say(f"{', '.join(names)}: {what}; equal points collapse into one")
    return Block(names, len(rows), lambda: unique)


def _computed(name: str, axis: Axis) -> Block:
    """A computed axis. It is monotonous, so equal values, should rounding make some, lie beside each other."""

    def rows() -> Iterator[Row]:
        before = ""
        for each in map(cell, axes.values(axis)):
            if each[1] != before:
                yield (each,)
            before = each[1]

    return Block((name,), axes.length(axis), rows)


def _zipped(group: tuple[str, ...], parameters: Mapping[str, Parameter], say: Say) -> Block:
    members = [_member(parameters[name]) for name in group]

    def rows() -> Iterator[Row]:
        return zip(*(map(cell, axes.values(axis)) for axis in members), strict=True)

    length = axes.length(members[0])
    return _kept(group, list(rows()), say) if length <= KEEP_ROWS else Block(group, length, lambda: _unique(rows()))


def _member(parameter: Parameter) -> Axis:
    assert not isinstance(parameter, Constant | Distribution), "a zip group holds axes"
    return parameter


def _unique(rows: Iterable[Row]) -> Iterator[Row]:
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        texts = tuple([each[1] for each in row])
        if texts not in seen:
            seen.add(texts)
            yield row
