"""Reading a document that its schema has accepted: each accessor states the type that the schema promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.model import Json


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping of a checked document. Absent fields give the default."""

    value: Mapping[str, Json]

    @classmethod
    def of(cls, value: Json) -> Fields:
        assert isinstance(value, Mapping), "the schema promises a mapping"
        return cls(value)

    def __contains__(self, name: str) -> bool:
        return name in self.value

    def part(self, name: str) -> Fields:
        """A mapping inside; an empty one when it is absent."""
        return Fields.of(self.value.get(name, {}))

    def mapping(self, name: str) -> Mapping[str, Json]:
        return self.part(name).value

    def sequence(self, name: str) -> Sequence[Json]:
        return sequence(self.value.get(name, ()))

    def text(self, name: str, default: str) -> str:
        value = self.value.get(name, default)
        assert isinstance(value, str), "the schema promises text"
        return value

    def text_or_none(self, name: str) -> str | None:
        return self.text(name, "") if name in self.value else None

    def integer(self, name: str, default: int) -> int:
        return int(self.number(name, default))

    def integer_or_none(self, name: str) -> int | None:
        return self.integer(name, 0) if name in self.value else None

    def number(self, name: str, default: float) -> int | float:
        value = self.value.get(name, default)
        assert isinstance(value, int | float), "the schema promises a number"
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.value.get(name, default)
        assert isinstance(value, bool), "the schema promises true or false"
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; numbers become text."""
        return tuple(str(each) for each in self.sequence(name))

    def text_mapping(self, name: str) -> dict[str, str]:
        """A mapping of texts; numbers become text."""
        return {key: str(value) for key, value in self.mapping(name).items()}


def sequence(value: Json) -> Sequence[Json]:
    """A list of a checked document."""
    assert isinstance(value, list | tuple), "the schema promises a list"
    return value
