"""What is wrong with a parameter space. A space without problems can be counted and expanded."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from itertools import chain, combinations, islice
from math import isclose

from reconciler.core import axes
from reconciler.core.command import RESERVED
from reconciler.core.conditions import any_of, conditions_of, exclusive, missing, texts_of
from reconciler.core.errors import Problem
from reconciler.core.hints import nearest
from reconciler.core.identity import canonical_json
from reconciler.core.model import Json
from reconciler.core.spec import (
    Axis,
    Choice,
    Constant,
    Distribution,
    IntUniform,
    Linspace,
    Logspace,
    LogUniform,
    Normal,
    Parameter,
    Range,
    SweepSpec,
    Uniform,
    Values,
)

_NAME = re.compile(r"[+~]?[A-Za-z_][A-Za-z0-9_.@/-]{0,199}")
_MOST = 1e300  # the sum of a few such numbers is still one
_MOST_STEPS = 2**53  # beyond it a step is lost in the rounding
_MOST_PROBLEMS = 20  # of one space: who reads more?
_Path = tuple[str | int, ...]


def problems(spec: SweepSpec) -> list[Problem]:
    """The problems of the space, with paths from the manifest's root; empty means that `expand` will succeed."""
    known = _places(spec)
    entries = (_unknown(spec.exclude, "exclude", known), _unknown(spec.include, "include", known))
    found = chain(_names(spec), _axes(spec), _zips(spec), _when(spec), *entries)
    return list(islice(found, _MOST_PROBLEMS)) or list(islice(_included(spec), _MOST_PROBLEMS))


def never_matching(spec: SweepSpec) -> list[Problem]:
    """Entries of `exclude` with a value that its axis does not have: probably a slip of the pen, but no error."""
    found: list[Problem] = []
    texts: dict[str, set[str]] = {}
    for index, entry in enumerate(spec.exclude):
        for name, value in entry.items():
            axis = spec.parameters.get(name)
            if not isinstance(axis, Values) or len(found) >= _MOST_PROBLEMS:
                continue
            if name not in texts:
                texts[name] = set(map(canonical_json, axis.values))
            if any_of(value).isdisjoint(texts[name]):
                message = f"no point has {name} = {canonical_json(value)}: this entry excludes nothing"
                path = ("spec", "exclude", index, name)
                found.append(Problem(path=path, reason="ExcludesNothing", message=message, hint=_kinds(value, axis)))
    return found


def _kinds(value: Json, axis: Values) -> str:
    alike = [each for each in axis.values if str(each) == str(value) or each == value]
    return f"the axis has {canonical_json(alike[0])}, which is another value" if alike else ""


# ---------------------------------------------------------------------------------------------- names


def names(spec: SweepSpec) -> Collection[str]:
    """The names of all parameters, wherever they are declared."""
    return _places(spec)


def _places(spec: SweepSpec) -> dict[str, _Path]:
    """Where each name is declared first."""
    places: dict[str, _Path] = {name: ("spec", "parameters", name) for name in spec.parameters}
    for index, point in enumerate(spec.points or ()):
        for name in point:
            if name not in places:
                places[name] = ("spec", "points", index, name)
    for index, entry in enumerate(spec.when):
        for name in entry.parameters:
            places.setdefault(name, ("spec", "when", index, "parameters", name))
    return places


def _names(spec: SweepSpec) -> Iterator[Problem]:
    places = _places(spec)
    places |= {name: ("spec", "derived", name) for name in spec.derived if name not in places}
    for name, path in places.items():
        if not _NAME.fullmatch(name):
            message = f"`{name}` is not a name: a letter or `_`, then letters, digits and `_.@/-`"
            yield Problem(path=path, reason="InvalidName", message=message, at_key=True)
        if name in RESERVED:
            message = f"`{name}` is reserved: `$({name})` has a meaning of its own"
            yield Problem(path=path, reason="ReservedName", message=message, at_key=True)
    for name in spec.derived:
        if places[name][1] != "derived":
            message = f"`{name}` is a parameter already"
            yield Problem(path=("spec", "derived", name), reason="DuplicateName", message=message, at_key=True)
    yield from _nested(places)


def _nested(places: Mapping[str, _Path]) -> Iterator[Problem]:
    """`a` beside `a.b`: one of them would overwrite the other wherever names nest."""
    for name, path in places.items():
        parts = name.split(".")
        for end in range(1, len(parts)):
            outer = ".".join(parts[:end])
            if outer in places:
                message = f"`{outer}` is a value and cannot also contain `{name}`"
                yield Problem(path=path, reason="NestedName", message=message, hint="rename one of them", at_key=True)


def _unknown(entries: Iterable[Mapping[str, Json]], field: str, known: Collection[str]) -> Iterator[Problem]:
    for index, entry in enumerate(entries):
        for name in entry:
            if name not in known:
                message = f"`{name}` is no parameter of this sweep"
                path = ("spec", field, index, name)
                yield Problem(path=path, reason="UnknownName", message=message, hint=nearest(name, known), at_key=True)


# ---------------------------------------------------------------------------------------------- axes


def is_drawn(parameter: Parameter) -> bool:
    """Whether a parameter is a distribution."""
    return isinstance(parameter, Distribution)


def declared(spec: SweepSpec) -> Iterator[tuple[_Path, Parameter]]:
    """All parameters, with their paths from the manifest's root."""
    for name, parameter in spec.parameters.items():
        yield ("spec", "parameters", name), parameter
    for index, entry in enumerate(spec.when):
        for name, parameter in entry.parameters.items():
            yield ("spec", "when", index, "parameters", name), parameter


def _axes(spec: SweepSpec) -> Iterator[Problem]:
    for path, parameter in declared(spec):
        if isinstance(parameter, Constant):
            continue
        message = _beyond(parameter)
        if not message:
            message = _wrong_draw(parameter) if isinstance(parameter, Distribution) else _wrong_axis(parameter)
        if message:
            yield Problem(path=path, reason="InvalidParameter", message=message)


def _beyond(parameter: Axis | Distribution) -> str:
    """What is too large, or too fine, to be computed with."""
    numbers = [each for field in fields(parameter) if _is_number(each := getattr(parameter, field.name))]
    if any(abs(each) > _MOST for each in numbers):
        return f"numbers beyond {_MOST:g} cannot be computed with"
    match parameter:
        case Uniform() | LogUniform() if (
            parameter.step and parameter.max - parameter.min > parameter.step * _MOST_STEPS
        ):
            return f"a step of {parameter.step} is too fine for the range from {parameter.min} to {parameter.max}"
        case Normal() if parameter.step and abs(parameter.mean) + 10 * parameter.stddev > parameter.step * _MOST_STEPS:
            return f"a step of {parameter.step} is too fine for a mean of {parameter.mean} and such a deviation"
        case _:
            return ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _wrong_axis(axis: Axis) -> str:
    match axis:
        case Values(values=()):
            return "an axis needs at least one value"
        case Range(step=0):
            return "a step of 0 leads nowhere"
        case Range() if axes.length(axis) <= 0:
            return f"the range from {axis.start} to {axis.stop} by {axis.step} is empty (stop is excluded)"
        case Logspace() if axis.start <= 0 or axis.stop <= 0:
            return "the bounds of a logspace are values, not exponents, and above 0"
        case Linspace() | Logspace() if axis.num == 1 and axis.start != axis.stop:
            return f"one point cannot be both {axis.start} and {axis.stop}"
        case _:
            return ""


def _wrong_draw(distribution: Distribution) -> str:
    match distribution:
        case Uniform() | LogUniform() | IntUniform() if distribution.min >= distribution.max:
            return f"min must be below max, but {distribution.min} is not below {distribution.max}"
        case LogUniform() if distribution.min <= 0:
            return "the bounds of loguniform are values, not exponents, and above 0"
        case Normal() if distribution.stddev <= 0:
            return "stddev must be above 0"
        case Choice(values=()):
            return "a choice needs at least one value"
        case Choice(values=values, probabilities=tuple() as shares):
            return _wrong_shares(len(values), shares)
        case Uniform() | LogUniform() | IntUniform() | Normal() if distribution.step is not None:
            return "" if distribution.step > 0 else "step must be above 0"
        case _:
            return ""


def _wrong_shares(number: int, shares: tuple[float, ...]) -> str:
    if len(shares) != number:
        return f"{number} values need {number} probabilities, not {len(shares)}"
    if min(shares) < 0 or not isclose(sum(shares), 1.0, abs_tol=1e-6):
        return f"probabilities must not be negative and must sum to 1, not {sum(shares):.6g}"
    return ""


# ---------------------------------------------------------------------------------------------- zip, when, include


def _zips(spec: SweepSpec) -> Iterator[Problem]:
    homes = [spec.parameters, *(entry.parameters for entry in spec.when)]
    names = dict.fromkeys(
        name for home in homes for name, each in home.items() if not isinstance(each, Constant | Distribution)
    )
    taken: set[str] = set()
    for index, group in enumerate(spec.zip):
        path = ("spec", "zip", index)
        for place, name in enumerate(group):
            if name not in names:
                message = f"`{name}` is no axis, so it cannot be zipped"
                yield Problem(path=(*path, place), reason="UnknownName", message=message, hint=nearest(name, names))
            elif name in taken:
                yield Problem(path=(*path, place), reason="DuplicateName", message=f"`{name}` is zipped already")
            taken.add(name)
        if names.keys() >= set(group):
            yield from _uneven(path, group, homes)


def _uneven(path: _Path, group: tuple[str, ...], homes: list[Mapping[str, Parameter]]) -> Iterator[Problem]:
    for home in homes:
        lengths = {
            name: axes.length(each)
            for name, each in home.items()
            if name in group and not isinstance(each, Constant | Distribution)
        }
        if 0 < len(lengths) < len(group):
            message = f"{', '.join(group)} are not declared together, so they cannot advance together"
            yield Problem(path=path, reason="InvalidZip", message=message)
        elif len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            message = f"axes that are zipped need equally many values: {told}"
            yield Problem(path=path, reason="UnequalLengths", message=message)


def _when(spec: SweepSpec) -> Iterator[Problem]:
    base = {*spec.parameters, *(name for point in spec.points or () for name in point)}
    for index, point in enumerate(spec.points or ()):
        for name in (each for each in point if each in spec.parameters):
            message = f"`{name}` is among the parameters already"
            yield Problem(path=("spec", "points", index, name), reason="DuplicateName", message=message, at_key=True)
            return
    known = set(base)
    for index, entry in enumerate(spec.when):
        path = ("spec", "when", index)
        for name in entry.matches:
            if name not in known:
                message = f"`{name}` is no parameter declared before this condition"
                hint = nearest(name, sorted(known))
                yield Problem(path=(*path, "if", name), reason="UnknownName", message=message, hint=hint, at_key=True)
        for name in (each for each in entry.parameters if each in base):
            message = f"`{name}` has a value already, outside of this condition"
            hint = "give each case its own `when` entry"
            place = (*path, "parameters", name)
            yield Problem(path=place, reason="DuplicateName", message=message, hint=hint, at_key=True)
        known.update(entry.parameters)
    conditions = list(map(texts_of, spec.when))
    for (first, one), (second, other) in combinations(enumerate(spec.when), 2):
        shared = one.parameters.keys() & other.parameters.keys()
        if shared and not exclusive(conditions[first], conditions[second]):
            name = min(shared)
            message = f"`{name}` would get two values where both conditions hold"
            place = ("spec", "when", second, "parameters", name)
            hint = "let the two conditions ask different values of one name"
            yield Problem(path=place, reason="DuplicateName", message=message, hint=hint, at_key=True)


def _included(spec: SweepSpec) -> Iterator[Problem]:
    """Included points are whole: they name every axis."""
    tables = {frozenset(point) for point in spec.points or ()}
    columns = frozenset().union(*tables)
    needed = [name for name, each in spec.parameters.items() if not isinstance(each, Constant)]
    conditions = conditions_of(spec)
    for index, entry in enumerate(spec.include):
        lacking = [name for name in needed if name not in entry]
        named = columns & entry.keys()
        if tables and named not in tables:
            lacking += sorted(min(tables, key=lambda table: len(table ^ named)) - named)
        lacking += [] if lacking else missing(spec, conditions, entry)
        if lacking:
            message = f"an included point names every axis; {', '.join(f'`{name}`' for name in lacking)} is missing"
            yield Problem(path=("spec", "include", index), reason="IncompletePoint", message=message)
