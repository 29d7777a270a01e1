"""How long the texts of a point can become, without making any of them.

A program takes no argument or variable beyond MOST_TEXT bytes, so that there is no use in making one; and a few lines
in which each text stands twice in the next would fill any memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from reconciler.core.errors import Problem
from reconciler.core.model import Json
from reconciler.core.spec import ArgumentStyle, Choice, Constant, Parameter, SweepSpec, Values
from reconciler.core.templates import references, text_of

MOST_TEXT = 131_071  # Linux: MAX_ARG_STRLEN, less its final NUL
MOST_TEXTS = 1 << 20  # of one point, all together
_COMPUTED = 400  # of a number that is computed, and written out
_PATH = 4_096  # what `$(output)` and `$(checkpoint)` become
_COUNT = 10  # what `$(replicate)` and `$(cpus)` become

_Path = tuple[str | int, ...]


def problems(spec: SweepSpec, templates: Sequence[tuple[_Path, str]]) -> Iterator[Problem]:
    """The first template, in order, that becomes too long for some point; or that all of them together do.

    templates: those of derived values come first, and each sees those before it.
    """
    named = {name for _, template in templates for name in references(template)}
    appended = spec.arguments is not ArgumentStyle.NONE
    longest = _longest(spec, None if appended else named)
    total = sum(len(name) + 4 + most for name, most in longest.items()) if appended else 0
    longest |= {"replicate": _COUNT, "cpus": _COUNT, "output": _PATH, "checkpoint": _PATH}
    for path, template in templates:
        most = _bytes(template) + sum(longest[name] for name in references(template))
        total += most
        if most > MOST_TEXT or total > MOST_TEXTS:
            what = "this text" if most > MOST_TEXT else "the command, its environment and what they are made of"
            limit = MOST_TEXT if most > MOST_TEXT else MOST_TEXTS
            message = f"{what} could become longer than the {limit:,} bytes that a program takes"
            yield Problem(path=path, reason="TooLarge", message=message, hint="let the task read it from a file")
            return
        if path[1] == "derived":
            longest[str(path[2])] = most


def _longest(spec: SweepSpec, wanted: set[str] | None) -> dict[str, int]:
    """The most bytes that the value of each wanted parameter takes as a text; None: of all."""
    longest: dict[str, int] = {}
    for name, values in _values(spec):
        if wanted is None or name in wanted:
            longest[name] = max(longest.get(name, 0), max(map(_length, values), default=_COMPUTED))
    return longest


def _values(spec: SweepSpec) -> Iterator[tuple[str, Iterable[Json]]]:
    """Names and values, in pieces; computed values are left out, their names are not."""
    declared: Iterable[Mapping[str, Parameter]] = (spec.parameters, *(entry.parameters for entry in spec.when))
    for parameters in declared:
        for name, parameter in parameters.items():
            match parameter:
                case Constant(value):
                    yield name, (value,)
                case Values(values) | Choice(values=values):
                    yield name, values
                case _:
                    yield name, ()
    for point in chain(spec.points or (), spec.include):
        for name, value in point.items():
            yield name, (value,)


def _length(value: Json) -> int:
    return _bytes(text_of(value))


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
