"""The values of one parameter: axes by index, and draws that are pure functions of (seed, name, index).

Ranges are computed in decimal, as they are written: 0.1 · 3 is 0.3, and a stop of 1.1 excludes 1.1. No platform's
`libm` takes part where its last digit could show, because a value is part of a task's identity.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from itertools import accumulate
from statistics import NormalDist

from reconciler.core.identity import canonical_json, round_float
from reconciler.core.model import Json
from reconciler.core.spec import (
    Axis,
    Choice,
    Distribution,
    IntUniform,
    Linspace,
    Logspace,
    LogUniform,
    Normal,
    Range,
    Uniform,
    Values,
)

_DECIMAL = Context(prec=40)
_LOGARITHM = Context(prec=20)


def length(axis: Axis) -> int:
    """How many values an axis has, without making them; 0 or less means none."""
    match axis:
        case Values():
            return len(axis.values)
        case Range():
            return math.ceil((_exact(axis.stop) - _exact(axis.start)) / _exact(axis.step))
        case Linspace() | Logspace():
            return axis.num


def values(axis: Axis) -> Iterator[Json]:
    """The values of an axis, in order."""
    match axis:
        case Values():
            return iter(axis.values)
        case Range():
            return _range(axis)
        case Linspace():
            return _linspace(axis)
        case Logspace():
            return _logspace(axis)


def draw(distribution: Distribution, seed: int, name: str, index: int) -> Json:
    """Draw number `index` of a parameter: the same for ever, whatever the number of samples."""
    u = _unit(seed, name, index)
    match distribution:
        case Uniform(min=low, max=high, step=step):
            return _stepped(low + u * (high - low), low, high, step)
        case LogUniform(min=low, max=high, step=step):
            return _stepped(float(_between_logarithms(low, high, Decimal(u))), low, high, step)
        case IntUniform(min=first, max=last, step=whole):
            return first + whole * math.floor(u * ((last - first) // whole + 1))
        case Normal(mean=mean, stddev=stddev, step=step):
            value = NormalDist(mean, stddev).inv_cdf(u)
            return round_float(value) if step is None else _number(round(value / step) * _exact(step), step)
        case Choice(values=options, probabilities=probabilities):
            return _chosen(options, probabilities, u)


def _exact(number: int | float) -> Fraction:
    return Fraction(repr(number))


def _range(axis: Range) -> Iterator[Json]:
    if isinstance(axis.start, int) and isinstance(axis.stop, int) and isinstance(axis.step, int):
        yield from range(axis.start, axis.stop, axis.step)
        return
    start, step = Decimal(repr(axis.start)), Decimal(repr(axis.step))
    for index in range(length(axis)):
        yield round_float(float(_DECIMAL.add(start, _DECIMAL.multiply(step, Decimal(index)))))


def _linspace(axis: Linspace) -> Iterator[Json]:
    start, stop, last = Decimal(repr(axis.start)), Decimal(repr(axis.stop)), max(axis.num - 1, 1)
    for index in range(axis.num):
        weighted = _DECIMAL.add(_DECIMAL.multiply(start, last - index), _DECIMAL.multiply(stop, index))
        yield round_float(float(_DECIMAL.divide(weighted, last)))


def _logspace(axis: Logspace) -> Iterator[Json]:
    last = max(axis.num - 1, 1)
    for index in range(axis.num):
        yield round_float(float(_between_logarithms(axis.start, axis.stop, _LOGARITHM.divide(index, last))))


def _between_logarithms(low: float, high: float, share: Decimal) -> Decimal:
    start, stop = (_LOGARITHM.ln(Decimal(repr(bound))) for bound in (low, high))
    return _LOGARITHM.exp(_LOGARITHM.fma(share, _LOGARITHM.subtract(stop, start), start))


def _unit(seed: int, name: str, index: int) -> float:
    """A number in (0, 1), the ends excluded, from the first 52 bits of a hash."""
    digest = hashlib.sha256(canonical_json([seed, name, index]).encode()).digest()
    return float(((int.from_bytes(digest[:7], "big") >> 4) + 0.5) / 2.0**52)


def _stepped(value: float, low: float, high: float, step: float | None) -> float:
    """The nearest of low, low + step, … that is not above high; without a step the value itself.

    From whole numbers by whole steps come whole numbers.
    """
    if step is None:
        return round_float(value)
    most = math.floor((_exact(high) - _exact(low)) / _exact(step))
    steps = min(round((value - low) / step), most)
    return _number(_exact(low) + steps * _exact(step), low, step)


def _number(value: Fraction, *written: float) -> float:
    """A whole number if all that it comes from were written as such."""
    return int(value) if all(isinstance(each, int) for each in written) else round_float(float(value))


def _chosen(options: Sequence[Json], probabilities: Sequence[float] | None, u: float) -> Json:
    if probabilities is None:
        return options[math.floor(u * len(options))]
    bounds = list(accumulate(probabilities))
    return options[min(bisect_right(bounds, u * bounds[-1]), len(options) - 1)]
