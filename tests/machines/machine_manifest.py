"""Manifests as the machine edits them: a few fields with few values, and how each is written down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Any


@dataclass(frozen=True, kw_only=True)
class Written:
    """What stands in one manifest. Everything is hashable, and each field has a default that changes nothing."""

    name: str
    x: tuple[Json, ...] = (1, 2, 3)
    y: tuple[Json, ...] = ()
    swapped: bool = False  # y is declared before x
    zipped: bool = False  # x and y advance together, as far as the shorter one goes
    constant: Json = None  # of c; None: there is no c
    samples: int = 0  # draws of d; 0: there is no d
    exclude: Json = None  # the x of an excluded row
    include: Json = None  # the x of an included point
    replicates: int = 1
    command: int = 0
    environment: int = 0
    derived: int = 0
    revision: str = ""
    update: str = "Keep"
    remove: str = "Cancel"
    deletion: str = "Drain"
    state: str = "Active"
    parallelism: int = 0
    limit: int = 0

    def axes(self) -> dict[str, list[Json]]:
        """The axes in declared order; zipped ones are equally long."""
        x, y = list(self.x), list(self.y)
        if self.zips:
            x, y = x[: len(y)], y[: len(x)]
        axes = {"x": x, "y": y}
        order = ["y", "x"] if self.swapped else ["x", "y"]
        return {name: axes[name] for name in order if axes[name]}

    @property
    def zips(self) -> bool:
        return self.zipped and bool(self.x) and bool(self.y)

    def included(self) -> dict[str, Json] | None:
        """The whole point that `include` adds."""
        if self.include is None:
            return None
        point = {name: values[0] for name, values in self.axes().items()} | {"x": self.include}
        return point | ({"d": 0.5} if self.samples else {})

    def text(self) -> bytes:
        """As JSON, which is YAML."""
        return json.dumps(self.document()).encode()

    def document(self) -> dict[str, Json]:
        parameters: dict[str, Json] = dict(self.axes())
        if self.constant is not None:
            parameters["c"] = self.constant
        if self.samples:
            parameters["d"] = {"distribution": "uniform", "min": 0.0, "max": 1.0}
        included = self.included()
        spec: dict[str, Json] = {
            "command": ["run", str(self.command)],
            "environment": {"E": str(self.environment)},
            "derived": {"label": f"d{self.derived}"},
            "parameters": parameters,
            "replicates": self.replicates,
            "updatePolicy": self.update,
            "onRemove": self.remove,
            "deletionPolicy": self.deletion,
            "state": self.state,
            "retry": {"limit": self.limit, "backoff": {"duration": "10s", "factor": 1}},
            "zip": [["x", "y"]] if self.zips else [],
            "exclude": [] if self.exclude is None else [{"x": self.exclude}],
            "include": [] if included is None else [included],
        }
        optional: Mapping[str, Json] = {
            "samples": self.samples, "revision": self.revision, "parallelism": self.parallelism,
        }  # fmt: skip
        spec |= {name: value for name, value in optional.items() if value}
        return {"apiVersion": "reconciler/v1alpha1", "kind": "Sweep", "metadata": {"name": self.name}, "spec": spec}


# What can be wrong with a manifest: the text that is written instead, and whether the sweep's name can still be read.
FAULTS: Mapping[str, tuple[Any, bool]] = {
    "unknown field": (lambda text: text.replace(b'"command"', b'"comand"', 1), True),
    "duplicate key": (lambda text: text.replace(b'"state":', b'"state": "Active", "state":', 1), True),
    "too many": (lambda text: text.replace(b'"replicates": ', b'"replicates": 9999999', 1), True),
    "end missing": (lambda text: text[:-1], True),
    "nothing but a bracket": (lambda text: b"{", False),
    "no name": (lambda text: text.replace(b'"name"', b'"nome"', 1), False),
    "not UTF-8": (lambda text: text + b"\xff", False),
    "a name that is none": (lambda text: text.replace(b'"name": "', b'"name": "A ', 1), False),
}
