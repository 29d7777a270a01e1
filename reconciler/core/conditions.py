"""`when`: what conditions add to a point.

Which entries match depends only on the few names that conditions mention, and there only on the values that they
mention: such a *case* is worked out once, not once for each point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import chain, product
from math import prod
from typing import TypeAlias

from reconciler.core import blocks
from reconciler.core.blocks import Block, Row, Say, cell
from reconciler.core.identity import canonical_json
from reconciler.core.model import Json
from reconciler.core.spec import Constant, Parameter, SweepSpec, When

Case: TypeAlias = dict[str, str | None]  # name → its text as far as conditions tell it apart; None = may be any
Texts: TypeAlias = Mapping[str, frozenset[str]]  # name → the texts that one condition accepts
Conditions: TypeAlias = Sequence[tuple[When, Texts]]  # worked out once: a condition may name thousands of values
_Tails: TypeAlias = list[tuple[tuple[str, ...], Row]]  # what the matching entries add to a point

_OTHER = ""  # no canonical JSON is empty: a value that no condition mentions
_MOST_CASES = 10_000
_MOST_LOOKS = 1_000_000  # cases times entries


def any_of(value: Json) -> frozenset[str]:
    """The texts that a condition accepts: of the value itself and, if it is a list, of its items."""
    alternatives = {canonical_json(value)}
    if isinstance(value, list | tuple):
        alternatives.update(map(canonical_json, value))
    return frozenset(alternatives)


def draws_conditionally(spec: SweepSpec) -> bool:
    """Whether some distribution stands under a condition."""
    return any(blocks.distributions(entry.parameters) for entry in spec.when)


def conditions_of(spec: SweepSpec) -> Conditions:
    """The `when` entries, each with what it accepts."""
    return [(entry, texts_of(entry)) for entry in spec.when]


def texts_of(entry: When) -> Texts:
    """The names that a condition is about, each with the texts that it accepts."""
    return {name: frozenset(map(canonical_json, alternatives)) for name, alternatives in entry.matches.items()}


def _mentioned(conditions: Conditions) -> dict[str, set[str]]:
    """The names that conditions are about, each with the texts that they mention."""
    mentioned: dict[str, set[str]] = {}
    for _, accepted in conditions:
        for name, texts in accepted.items():
            mentioned.setdefault(name, set()).update(texts)
    return mentioned


def _names(conditions: Conditions) -> set[str]:
    return {name for _, accepted in conditions for name in accepted}


def _matches(accepted: Texts, case: Case) -> bool:
    return all(name in case and (case[name] is None or case[name] in texts) for name, texts in accepted.items())


def _constants(parameters: Mapping[str, Parameter], mentioned: Container[str]) -> Case:
    return {
        name: canonical_json(each.value)
        for name, each in parameters.items()
        if name in mentioned and isinstance(each, Constant)
    }


def extended(
    spec: SweepSpec, names: tuple[str, ...], rows: Iterator[Row], say: Say
) -> Iterator[tuple[tuple[str, ...], Row]]:
    """Each row with what the matching `when` entries add to it."""
    conditions = conditions_of(spec)
    mentioned = _mentioned(conditions)
    watched = [(place, name, mentioned[name]) for place, name in enumerate(names) if name in mentioned]
    constants = _constants(spec.parameters, mentioned)
    drawing = draws_conditionally(spec)
    known: dict[tuple[object, ...], _Tails] = {}
    watch = _Watch(spec)
    for number, cells in enumerate(rows):
        index = number % spec.samples if drawing else 0
        texts = [cells[place][1] if cells[place][1] in told else _OTHER for place, _, told in watched]
        tails = known.get((index, *texts))
        if tails is None:
            case = constants | {name: text for (_, name, _), text in zip(watched, texts, strict=True)}
            tails = known[(index, *texts)] = _tails(spec, conditions, case, index)
        if index == 0:
            watch.seen.clear()
        for more, tail in tails:
            if not drawing or watch.first(names + more, cells + tail):
                yield names + more, cells + tail
    if watch.repeated:
        say(f"{watch.repeated} draws equal others; equal points collapse into one")


class _Watch:
    """Which points one grid point has brought forth, over all draws.

    The same values may be drawn again; and where no distribution takes part, each draw brings the same point.
    """

    def __init__(self, spec: SweepSpec) -> None:
        homes = [spec.parameters, *(entry.parameters for entry in spec.when)]
        self._drawn = {name for home in homes for name in blocks.distributions(home)}
        self.seen: set[tuple[object, ...]] = set()
        self.repeated = 0

    def first(self, names: tuple[str, ...], cells: Row) -> bool:
        """Whether this point is new; counts those that were drawn again."""
        key = (names, *[each[1] for each in cells])
        if key in self.seen:
            self.repeated += not self._drawn.isdisjoint(names)
            return False
        self.seen.add(key)
        return True


def _tails(spec: SweepSpec, conditions: Conditions, case: Case, index: int) -> _Tails:
    """All that the `when` entries, in order, add in one case, with draw number `index`."""
    grown: list[tuple[tuple[str, ...], Row, Case]] = [((), (), case)]
    for entry, accepted in conditions:
        grown = [
            extended
            for names, cells, known in grown
            for extended in (
                _entry_rows(spec, entry, index, names, cells, known)
                if _matches(accepted, known)
                else [(names, cells, known)]
            )
        ]
    return [(names, cells) for names, cells, _ in grown]


def _entry_rows(
    spec: SweepSpec, entry: When, index: int, names: tuple[str, ...], cells: Row, known: Case
) -> Iterator[tuple[tuple[str, ...], Row, Case]]:
    constants = {name: each.value for name, each in entry.parameters.items() if isinstance(each, Constant)}
    drawn = blocks.distributions(entry.parameters)
    fixed = (*map(cell, constants.values()), *blocks.draws(drawn, spec.seed, index))
    axis_blocks = blocks.of_axes(entry.parameters, spec.zip, blocks.silent)
    more = (*constants, *drawn, *chain.from_iterable(block.names for block in axis_blocks))
    for row in blocks.combinations(axis_blocks):
        added = fixed + row
        texts: Case = {name: each[1] for name, each in zip(more, added, strict=True)}
        yield names + more, cells + added, known | texts


def count_cases(spec: SweepSpec, base: list[Block], drawn: frozenset[str]) -> int:
    """The points over one run of blocks: for each case of the conditions, how often it occurs times what it adds."""
    conditions = conditions_of(spec)
    mentioned = _mentioned(conditions)
    told = [_cases(block, mentioned) for block in base if mentioned.keys() & set(block.names)]
    rest = prod(block.length for block in base if not mentioned.keys() & set(block.names))
    if prod(map(len, told)) > min(_MOST_CASES, _MOST_LOOKS // len(conditions)):
        told = [Counter({tuple((name, None) for name, _ in next(iter(each))): each.total()}) for each in told]
    constants = _constants(spec.parameters, mentioned) | dict.fromkeys(drawn)
    total = 0
    for combination in product(*(each.items() for each in told)):
        case = constants | dict(chain.from_iterable(pairs for pairs, _ in combination))
        total += prod(times for _, times in combination) * _count_tails(spec, conditions, case, bool(drawn))
    return rest * total


def _cases(block: Block, mentioned: Mapping[str, set[str]]) -> Counter[tuple[tuple[str, str | None], ...]]:
    """How often each case occurs among the rows; a long computed block is one case that matches all."""
    watched = [(place, name, mentioned[name]) for place, name in enumerate(block.names) if name in mentioned]
    if block.length > blocks.KEEP_ROWS:
        return Counter({tuple((name, None) for _, name, _ in watched): block.length})
    return Counter(
        tuple((name, row[place][1] if row[place][1] in told else _OTHER) for place, name, told in watched)
        for row in block.rows()
    )


def _count_tails(spec: SweepSpec, conditions: Conditions, case: Case, drawn: bool) -> int:
    points = 1
    for entry, accepted in conditions:
        if _matches(accepted, case):
            axis_blocks = blocks.of_axes(entry.parameters, spec.zip, blocks.silent)
            points *= prod(block.length for block in axis_blocks)
            drawn = drawn or bool(blocks.distributions(entry.parameters))
            case = case | dict.fromkeys(entry.parameters) | _constants(entry.parameters, entry.parameters)
    return points * (spec.samples if drawn else 1)


def completed(spec: SweepSpec, conditions: Conditions, entry: Mapping[str, Json]) -> dict[str, Json]:
    """An included point, with the constants of the `when` entries that match it taken over."""
    values = dict(entry)
    case = _constants(spec.parameters, _names(conditions)) | {
        name: canonical_json(each) for name, each in entry.items()
    }
    for each, accepted in conditions:
        if _matches(accepted, case):
            constants = {name: item.value for name, item in each.parameters.items() if isinstance(item, Constant)}
            values = constants | values
            case = case | {name: canonical_json(value) for name, value in values.items()}
    return values


def missing(spec: SweepSpec, conditions: Conditions, entry: Mapping[str, Json]) -> list[str]:
    """The conditional names that an included point must have and has not."""
    values = completed(spec, conditions, entry)
    case = _constants(spec.parameters, _names(conditions)) | {
        name: canonical_json(each) for name, each in values.items()
    }
    active = dict.fromkeys(
        name for each, accepted in conditions if _matches(accepted, case) for name in each.parameters
    )
    return [name for name in active if name not in values]


def exclusive(one: Texts, other: Texts) -> bool:
    """Whether two conditions can never hold together, as far as one name decides it."""
    return any(one[name].isdisjoint(other[name]) for name in one.keys() & other.keys())
