"""What compiled code of a job has instead of `typing`, which takes longer to import than all of that code.

Types are for those who read and check; all that they do when code runs is to name the fields of a tuple.
"""

import collections


class Type:
    """Any type; in brackets it is another."""

    def __getitem__(self, _parameters: object) -> "Type":
        return self


Callable = Dict = Iterable = Iterator = List = Mapping = Optional = Sequence = Set = Tuple = Union = Type()


class Named(type):
    """Makes of a class with annotated fields a tuple with such names."""

    def __new__(cls, name: str, bases: "tuple[type, ...]", space: "dict[str, object]") -> "Named":
        """What a class statement calls."""
        if not bases:
            return super().__new__(cls, name, bases, space)
        annotations = space.pop("__annotations__")
        assert isinstance(annotations, dict)
        fields = list(annotations)
        made = vars(collections)["namedtuple"](name, fields)
        made.__new__.__defaults__ = tuple(space.pop(field) for field in fields if field in space)
        for key, value in space.items():
            setattr(made, key, value)
        named: Named = made
        return named


class NamedTuple(metaclass=Named):
    """As that of `typing`."""
