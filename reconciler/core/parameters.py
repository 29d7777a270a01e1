"""The parameter space of a sweep: how many points it has, and which."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reconciler.core.errors import Problem
from reconciler.core.model import Point, SweepSpec


def count(spec: SweepSpec) -> int:
    """How many tasks the spec asks for, by multiplication, before `exclude`; an upper bound with `when`."""
    raise NotImplementedError


def expand(spec: SweepSpec, *, on_duplicate: Callable[[str], None] | None = None) -> Iterator[Point]:
    """The points in declared order, the last axis fastest, replicates innermost; streamed.

    Equal points collapse into one; `on_duplicate` is told so, in a sentence. The spec must be free of `problems`.
    """
    raise NotImplementedError


def problems(spec: SweepSpec) -> list[Problem]:
    """All that is wrong with the space; empty means that `count` and `expand` will succeed."""
    raise NotImplementedError
