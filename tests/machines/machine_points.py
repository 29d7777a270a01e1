"""Which points a manifest asks for, and their ids: hashed anew here, and nothing taken from the code."""

from __future__ import annotations

import json
from base64 import b32encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from itertools import product
from typing import Any

from machine_manifest import Written

from reconciler.core import axes
from reconciler.core.spec import Uniform

Draw = Callable[[int], float]


def draw(_: str) -> Callable[[int], float]:
    """Draw number i of d: asked of the code, since a pure function has no simpler model than itself."""
    return lambda index: axes.draw(Uniform(min=0.0, max=1.0), 0, "d", index)


def points(spec: Written, draw: Draw) -> list[str]:
    """The ids of a manifest's tasks in declared order: the last axis fastest, draws inside, replicates innermost."""
    axes = spec.axes()
    rows = list(zip(*axes.values(), strict=True)) if spec.zips else list(product(*axes.values()))
    grid = [dict(zip(axes, row, strict=True)) for row in rows]
    grid = [{**point, "d": draw(i)} for point in grid for i in range(spec.samples)] if spec.samples else grid
    grid = [point for point in grid if "x" not in point or not _same(point["x"], spec.exclude)]
    included = spec.included()
    constants = {} if spec.constant is None else {"c": spec.constant}
    wanted = [{**point, **constants} for point in [*grid, *([included] if included is not None else [])]]
    return list(dict.fromkeys(_id(spec.name, point, r) for point in wanted for r in range(spec.replicates)))


def _same(value: Any, other: Any) -> bool:
    return other is not None and json.dumps(value) == json.dumps(other)


def _id(name: str, point: Mapping[str, Any], replicate: int) -> str:
    text = json.dumps([name, point, replicate], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return b32encode(sha256(text.encode()).digest()).decode().lower()[:10]
