"""Names that are hashes of what they name, so that they are the same on every machine, for ever.

Everything is hashed as canonical JSON: keys sorted, no spaces, `1` apart from `1.0` and `"1"`. A task's id depends on
the sweep's name, the parameters and the replicate, never on a position; an attempt's on its task and number.
`work_digest` covers the rest of what defines the work: it tells whether a task is outdated.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import Enum
from math import isfinite

from reconciler.core.model import Commit, Digest, Eid, InstanceId, Json, SweepName, TaskId, TaskKey
from reconciler.core.spec import SweepSpec

SIGNIFICANT_DIGITS = 12
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode
_encode_declared = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def canonical_json(value: Json) -> str:
    """The one JSON text of a value: sorted keys, no spaces. Raises ValueError on NaN and infinities."""
    if type(value) is int or (type(value) is float and isfinite(value)):  # most values are, and the encoder is slow
        return repr(value)
    return _encode(value)


def declared_json(value: Json) -> str:
    """The JSON text of a document that is kept: in declared order, which means something. Raises ValueError on NaN."""
    return _encode_declared(value)


def round_float(value: float) -> float:
    """To 12 significant digits, and without a negative zero: every computed float passes through here."""
    return float(f"{value:.{SIGNIFICANT_DIGITS - 1}e}") + 0.0


def short_hash(text: str) -> str:
    """The first 10 base32 characters, lower case, of the SHA-256 of a text: 50 bits."""
    bits = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") >> 6
    return (
        _PAIRS[bits >> 40]
        + _PAIRS[bits >> 30 & 1023]
        + _PAIRS[bits >> 20 & 1023]
        + _PAIRS[bits >> 10 & 1023]
        + _PAIRS[bits & 1023]
    )


def task_id(sweep: SweepName, parameters: Mapping[str, Json], replicate: int) -> TaskId:
    """A task's id: ten characters [a-z2-7]; the order of the parameters does not matter."""
    return TaskId(short_hash(canonical_json([sweep, parameters, replicate])))


def eid(instance: InstanceId, key: TaskKey, number: int) -> Eid:
    """An attempt's name on its source: "g", the instance, and ten characters of a hash; fits any PBS job name."""
    return Eid(f"g{instance}{short_hash(canonical_json([key.sweep, key.task, number]))}")


def batch_eid(instance: InstanceId, eids: Iterable[Eid]) -> Eid:
    """The name of attempts that are submitted as one job array: like an attempt's, with "b" in front."""
    return Eid(f"b{instance}{short_hash(canonical_json(sorted(eids)))}")


def work_digest(spec: SweepSpec, commit: Commit | None) -> Digest:
    """What defines the work besides the point: when it changes, tasks are outdated."""
    return _digest(
        [spec.command, spec.arguments.value, spec.environment, spec.setup, spec.derived, spec.project, commit]
    )


def spec_digest(spec: SweepSpec) -> Digest:
    """The whole spec, the declared order of names included: when it changes, the sweep has a new generation."""
    return _digest(_plain(spec))


def pin_key(spec: SweepSpec) -> str:
    """What decides when the commit is pinned anew."""
    return _digest([spec.project, spec.revision, spec.command, spec.arguments.value, spec.environment, spec.setup])


def _digest(value: Json) -> Digest:
    return Digest(hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16])


def _plain(value: object) -> Json:
    """A spec's nouns as JSON: types are named, mappings become pairs so that their order counts."""
    match value:
        case Enum():
            return str(value.value)
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {"pairs": [[str(name), _plain(item)] for name, item in value.items()]}
        case tuple() | list():
            return [_plain(item) for item in value]
        case _ if dataclasses.is_dataclass(value):
            fields = dataclasses.fields(value)
            return [type(value).__name__, {each.name: _plain(getattr(value, each.name)) for each in fields}]
        case _:
            raise TypeError(f"a spec holds no {type(value).__name__}")
