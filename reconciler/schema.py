"""JSON Schema → problems that a person understands.

The schemas are written so that they can be told well: they dispatch with `if`/`then` instead of trying alternatives,
and a description says what a field means, which is the hint when its pattern does not match.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sized
from functools import cache
from importlib.resources import files
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import jsonschema
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator

from reconciler.core.errors import Problem
from reconciler.core.hints import nearest
from reconciler.core.model import Json

MAX_PROBLEMS = 100

_KINDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a mapping",
    "string": "text",
}


def text(name: str) -> str:
    """A schema as it is published, "sweep" or "config": package data in a wheel, beside the package in a checkout."""
    packaged = files("reconciler").joinpath("schemas", f"{name}.schema.json")
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parent.parent / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8")


def problems(name: str, value: Json) -> list[Problem]:
    """What the schema finds wrong, with paths from the document's root; at most MAX_PROBLEMS."""
    found: dict[object, Problem] = {}
    errors = islice(_validator(name).iter_errors(value), MAX_PROBLEMS)
    for problem in islice(chain.from_iterable(_told(_Failure.of(error)) for error in errors), MAX_PROBLEMS):
        found.setdefault((problem.path, problem.message), problem)
    return list(found.values())


@cache
def _validator(name: str) -> Validator:
    extend = jsonschema.validators.extend
    kind = extend(jsonschema.Draft202012Validator, {"uniqueItems": _unique_items})  # type: ignore[no-untyped-call]  # so it is in the stubs
    validator: Validator = kind(json.loads(text(name), object_hook=_strict))
    return validator


def _unique_items(_: object, wanted: bool, value: object, __: object) -> Iterator[ValidationError]:
    """As the library does it, but not by comparing each item with all: our lists hold texts."""
    if wanted and isinstance(value, list):
        texts = [item for item in value if isinstance(item, str)]
        if len(set(texts)) < len(texts):
            yield ValidationError("the same item twice")


def _strict(part: dict[str, Json]) -> dict[str, Json]:
    """Patterns as JSON Schema means them: in Python's, `$` would let a line break at the end pass."""
    pattern = part.get("pattern")
    if isinstance(pattern, str) and pattern.endswith("$"):
        part["pattern"] = pattern[:-1] + r"\Z"
    return part


class _Failure(NamedTuple):
    """A validation error as far as we look at it; jsonschema's own is typed loosely."""

    keyword: str
    wanted: object
    value: object
    path: tuple[str | int, ...]
    description: str
    fields: tuple[str, ...]  # that the schema knows
    at_key: bool  # the value is the key at the end of the path

    @classmethod
    def of(cls, error: ValidationError) -> _Failure:
        schema: object = error.schema
        described: Mapping[str, object] = schema if isinstance(schema, Mapping) else {}
        fields = described.get("properties")
        at_key = "propertyNames" in error.absolute_schema_path
        return cls(
            keyword=str(error.validator),
            wanted=error.validator_value,
            value=error.instance,
            path=(*error.absolute_path, str(error.instance)) if at_key else tuple(error.absolute_path),
            description=str(described.get("description", "")),
            fields=tuple(fields) if isinstance(fields, Mapping) else (),
            at_key=at_key,
        )

    @property
    def words(self) -> tuple[str, ...]:
        """What is wanted, as a list of words."""
        return tuple(map(str, self.wanted)) if isinstance(self.wanted, list) else (str(self.wanted),)

    @property
    def size(self) -> int:
        return len(self.value) if isinstance(self.value, Sized) else 0


def kind(value: object) -> str:
    """What a value is, for a person."""
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return "true" if value else "false"
        case int():
            return f"the number {str(value)[:40]}"
        case float():
            return f"the number {value!r}"
        case str():
            return f'the text "{value[:40]}"'
        case Mapping():
            return "a mapping"
        case _:
            return "a list"


def _told(failure: _Failure) -> Iterator[Problem]:
    match failure.keyword:
        case "additionalProperties" | "required" | "dependentRequired":
            yield from _wrong_fields(failure)
        case "type":
            message = f"must be {' or '.join(_KINDS[each] for each in failure.words)}, not {kind(failure.value)}"
            yield Problem(path=failure.path, reason="InvalidType", message=message, hint=_type_hint(failure))
        case "enum":
            message = f"{kind(failure.value)} is not one of {', '.join(failure.words)}"
            hint = nearest(str(failure.value), failure.words)
            yield Problem(path=failure.path, reason="InvalidValue", message=message, hint=hint)
        case keyword:
            message = _SENTENCES[keyword](failure) if keyword in _SENTENCES else f"breaks the rule `{keyword}`"
            yield Problem(
                path=failure.path,
                reason="InvalidValue",
                message=message,
                hint=failure.description,
                at_key=failure.at_key,
            )


def _wrong_fields(failure: _Failure) -> Iterator[Problem]:
    """Fields that are unknown, missing, or without another one that they need."""
    present = failure.value if isinstance(failure.value, Mapping) else {}
    if failure.keyword == "additionalProperties":
        for name in present:
            if name not in failure.fields:
                yield _unknown_field(failure, str(name))
    elif isinstance(failure.wanted, Mapping):
        for name, others in failure.wanted.items():
            if name in present:
                message = f"`{name}` needs {' and '.join(f'`{each}`' for each in others)} beside it"
                yield Problem(path=(*failure.path, str(name)), reason="MissingField", message=message, at_key=True)
    else:
        for name in failure.words:
            if name not in present:
                yield Problem(path=failure.path, reason="MissingField", message=f"the field `{name}` is missing")


def _unknown_field(failure: _Failure, name: str) -> Problem:
    hint = nearest(name, failure.fields)
    path = (*failure.path, name)
    return Problem(path=path, reason="UnknownField", message=f"unknown field `{name}`", hint=hint, at_key=True)


def _type_hint(failure: _Failure) -> str:
    if failure.words == ("string",) and isinstance(failure.value, int | float):
        return f"{failure.description} A number becomes text in quotes.".strip()
    return failure.description


_SENTENCES: dict[str, Callable[[_Failure], str]] = {
    "const": lambda failure: f"must be {failure.wanted}, not {kind(failure.value)}",
    "pattern": lambda failure: f"{kind(failure.value)} is not of the form that is wanted here",
    "minimum": lambda failure: f"{failure.value} is less than {failure.wanted}",
    "exclusiveMinimum": lambda failure: f"{failure.value} is not above {failure.wanted}",
    "maximum": lambda failure: f"{failure.value} is more than {failure.wanted}",
    "minItems": lambda failure: f"needs at least {failure.wanted}, has {failure.size}",
    "maxItems": lambda failure: f"has {failure.size}, more than {failure.wanted}",
    "minLength": lambda _: "must not be empty",
    "maxLength": lambda failure: f"is longer than {failure.wanted} characters",
    "minProperties": lambda _: "must not be empty",
    "maxProperties": lambda failure: f"takes {failure.wanted} of its fields only, has {failure.size}",
    "uniqueItems": lambda _: "has the same item twice",
}
