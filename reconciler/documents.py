"""YAML and JSON text → plain values that remember where they stood.

Read event by event, so that what is refused is refused before anything is built: anchors, aliases, merge keys, tags,
duplicate keys, too deep, too many. Scalars follow YAML 1.2's core schema, whatever the parser's default: `no`, `1:30`
and `2024-01-01` are text, `1e-3` is a number, `010` is ten. Not a number and infinities are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NoReturn, Protocol, TypeAlias

import yaml

from reconciler.core.command import CHECKPOINT_TOKEN, OUTPUT_TOKEN
from reconciler.core.errors import Position, Problem
from reconciler.core.model import Json

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 100_000
MAX_DIRECTIVES = 20
MAX_PROBLEMS = 20  # of one file: who reads more?
_MAX_DIGITS = 300

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

Path: TypeAlias = tuple[str | int, ...]
Place: TypeAlias = tuple[int, int]  # line and column, from 1
_Container: TypeAlias = "dict[str, Json] | list[Json]"

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_INTEGER = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_DIRECTIVE = re.compile(r"^%TAG", re.MULTILINE)
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_OLD_BOOLEANS = frozenset(word for each in ("yes", "no", "on", "off") for word in (each, each.title(), each.upper()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem whose place in the file is known."""

    position: Position
    pointer: str
    reason: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.position}: {self.message} [{self.reason}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of a file. With findings, `value` holds what could be read before and beside them."""

    file: str
    value: Json
    values_at: dict[Path, Place] = field(default_factory=dict)
    keys_at: dict[Path, Place] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()  # what is no error, but may not be meant

    def locate(self, problem: Problem) -> Finding:
        """A problem with the place of its path, or of the nearest container of it that stands anywhere."""
        return Finding(
            position=self._position(problem.path, at_key=problem.at_key),
            pointer=problem.pointer,
            reason=problem.reason,
            message=problem.message,
            hint=problem.hint,
        )

    def outline(self, parts: Collection[Path]) -> Document:
        """Only the places of these parts and of what they lie in: what is worth keeping of a large file."""

        def kept(path: Path) -> bool:
            return any(path[: len(part)] == part[: len(path)] for part in parts)

        return Document(
            file=self.file,
            value=None,
            values_at={path: place for path, place in self.values_at.items() if kept(path)},
            keys_at={path: place for path, place in self.keys_at.items() if kept(path)},
        )

    def _position(self, path: Path, *, at_key: bool) -> Position:
        if at_key and path in self.keys_at:
            line, column = self.keys_at[path]
            return Position(file=self.file, line=line, column=column)
        for end in range(len(path), -1, -1):
            if path[:end] in self.values_at:
                line, column = self.values_at[path[:end]]
                return Position(file=self.file, line=line, column=column)
        return Position(file=self.file)


class NotScalarError(ValueError):
    """A plain scalar that has no value here; the text says why."""


def scalar(text: str) -> Json:
    """The value of a plain (unquoted) scalar. Raises NotScalarError for infinities, NaN and excessive numbers."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text) or _OTHER_INTEGER.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            raise NotScalarError(f"a number of {len(text)} digits is too long; quote it if it is text")
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        if math.isinf(number := float(text)):
            raise NotScalarError(f"`{text[:40]}` is beyond the range of floating point numbers")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise NotScalarError(f"`{text}` is no number that can be compared or written as JSON")
    return text


def dump(value: Json) -> str:
    """A document that any reader of YAML understands; mappings keep their order."""
    return yaml.dump(value, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=MAX_BYTES)


def surprising(text: str) -> str:
    """Why a plain scalar may not mean what its writer believes; "" when it does."""
    if _LEADING_ZERO.fullmatch(text):
        return f"{text} is the number {int(text)}; quote it to keep the zeros" if len(text) < _MAX_DIGITS else ""
    if text in _OLD_BOOLEANS:
        return f'{text} is the text "{text}" (YAML 1.2); write true or false for a boolean'
    return ""


def unusable(text: str) -> str:
    """Why a text can be no value: no command line could carry it, or it would be taken for a path; "" when it can."""
    if "\0" in text:
        return "a NUL character cannot be passed to a program"
    if OUTPUT_TOKEN in text or CHECKPOINT_TOKEN in text:
        return "this text is reserved: it marks where a path is put in"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "half of a surrogate pair is no character"
    return ""


def parse(text: bytes, *, file: str) -> Iterator[Document]:
    """The documents of a file, in order. Never raises for bad input: the last document then carries the findings."""
    if len(text) > MAX_BYTES:
        yield _failed(file, "TooLarge", f"{len(text)} bytes are more than a file may have ({MAX_BYTES})")
        return
    try:
        characters = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        column = error.start - text.rfind(b"\n", 0, error.start)
        yield _failed(file, "NotUtf8", "the file is not UTF-8", place=(line, column))
        return
    if control := _CONTROL.search(characters):
        line = characters.count("\n", 0, control.start()) + 1
        column = control.start() - characters.rfind("\n", 0, control.start())
        message = f"the control character U+{ord(control[0]):04X} is not allowed"
        yield _failed(file, "Syntax", message, place=(line, column))
        return
    directives = list(islice(_DIRECTIVE.finditer(characters), MAX_DIRECTIVES + 1))
    if len(directives) > MAX_DIRECTIVES:  # the parser compares each with all
        line = characters.count("\n", 0, directives[-1].start()) + 1
        yield _failed(file, "Tag", "tag directives are not allowed", place=(line, 1))
        return
    yield from _documents(characters, file)


def _failed(file: str, reason: str, message: str, *, place: Place = (0, 0)) -> Document:
    position = Position(file=file, line=place[0], column=place[1])
    return Document(
        file=file, value=None, findings=(Finding(position=position, pointer="", reason=reason, message=message),)
    )


class _Refused(Exception):
    """Reading cannot go on."""


def _documents(text: str, file: str) -> Iterator[Document]:
    builder = _Builder(file)
    nodes = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            nodes += isinstance(event, yaml.NodeEvent)
            if nodes > MAX_NODES:
                builder.refuse("TooLarge", f"more than {MAX_NODES} values in one file", event)
            match event:
                case yaml.DocumentStartEvent():
                    builder = _Builder(file)
                    if event.tags:
                        builder.refuse("Tag", "tag directives are not allowed", event)
                case yaml.DocumentEndEvent():
                    if builder.wrote:
                        yield builder.document()
                case yaml.StreamEndEvent():
                    return
                case _:
                    builder.take(event)
    except _Refused:
        yield builder.document()
    except yaml.YAMLError as error:
        builder.broken(error)
        yield builder.document()


class _Builder:
    """Builds one document from its events and remembers the places. Containers hang in their parents from the start."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._root: list[Json] = []
        self._open: list[_Container] = [self._root]
        self._path: list[str | int] = []
        self._key: str | None = None  # of the open mapping, when its value is next
        self._values_at: dict[Path, Place] = {}
        self._keys_at: dict[Path, Place] = {}
        self._findings: list[Finding] = []
        self._notes: list[Finding] = []

    @property
    def wrote(self) -> bool:
        """Whether the document has anything in it (an empty one, as after a last `---`, is none)."""
        return bool(self._findings) or self._root != [None]

    def document(self) -> Document:
        return Document(
            file=self._file,
            value=self._root[0] if self._root else None,
            values_at=self._values_at,
            keys_at=self._keys_at,
            findings=tuple(self._findings),
            notes=tuple(self._notes[:MAX_PROBLEMS]),
        )

    def refuse(self, reason: str, message: str, event: yaml.Event, *, hint: str = "") -> NoReturn:
        """A problem after which reading on is of no use."""
        self._problem(reason, message, event, hint=hint)
        raise _Refused

    def broken(self, error: yaml.YAMLError) -> None:
        """The parser gave up."""
        message, mark = "this is no YAML", None
        if isinstance(error, yaml.MarkedYAMLError):
            message = " ".join(part for part in (error.problem, error.context) if part) or message
            mark = error.problem_mark or error.context_mark
        hint = "a bracket, a quote or some indentation is missing here or before"
        self._findings.append(self._finding("Syntax", message, mark, hint))

    def take(self, event: yaml.Event) -> None:
        """One event inside of the document."""
        if isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            if self._path:
                self._path.pop()
            return
        if isinstance(event, yaml.AliasEvent):
            self._take_alias(event)
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            return
        if event.anchor is not None:
            self._problem("Anchor", "anchors are not allowed", event, hint="write the value out where it is used")
        if event.tag is not None:
            self._problem("Tag", f"tags are not allowed (`{event.tag}`)", event, hint="quote a value to make it text")
        if isinstance(self._open[-1], dict) and self._key is None:
            self._take_key(event)
        elif isinstance(event, yaml.ScalarEvent):
            path = self._attach(self._scalar(event))
            self._values_at[path] = _place(event.start_mark)
        else:
            self._enter(event)

    def _take_alias(self, event: yaml.AliasEvent) -> None:
        """An alias is never followed; reading goes on, so that at least the sweep's name is known."""
        if isinstance(self._open[-1], dict) and self._key is None:
            self.refuse("Alias", "aliases are not allowed", event)
        self._problem("Alias", "aliases are not allowed", event, hint="write the value out where it is used")
        self._attach(None)

    def _enter(self, event: yaml.CollectionStartEvent) -> None:
        if len(self._open) > MAX_DEPTH:
            self.refuse("TooDeep", f"values nest deeper than {MAX_DEPTH} levels", event)
        container: _Container = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self._attach(container)
        self._values_at[path] = _place(event.start_mark)
        self._open.append(container)
        self._path = list(path)

    def _attach(self, value: Json) -> Path:
        """Puts a value into the open container; its path."""
        parent = self._open[-1]
        if isinstance(parent, dict):
            assert self._key is not None, "a mapping's value follows its key"
            path = (*self._path, self._key)
            parent[self._key] = value
            self._key = None
            return path
        parent.append(value)
        return () if parent is self._root else (*self._path, len(parent) - 1)

    def _take_key(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            self.refuse("InvalidKey", "a key must be text, not a list or mapping", event)
        key = event.value
        if event.implicit[0]:
            if key == "<<":
                self._problem("MergeKey", "merge keys are not allowed", event, hint="write the fields out")
            if not isinstance(self._scalar(event), str):
                self._problem("InvalidKey", f"the key `{key[:40]}` is not text", event, hint=f'write "{key[:40]}"')
        path = (*self._path, key)
        if path in self._keys_at:
            line, column = self._keys_at[path]
            self._problem("DuplicateKey", f"the key `{key[:40]}` stands at {line}:{column} already", event)
        else:
            self._keys_at[path] = _place(event.start_mark)
        self._key = key

    def _scalar(self, event: yaml.ScalarEvent) -> Json:
        text = event.value
        if reason := unusable(text):
            self._problem("InvalidText", reason, event)
            return ""
        if not event.implicit[0]:
            return text
        if note := surprising(text):
            self._notes.append(self._finding("Scalar", note, event.start_mark))
        try:
            return scalar(text)
        except NotScalarError as error:
            self._problem("InvalidNumber", str(error), event)
            return None

    def _problem(self, reason: str, message: str, event: yaml.Event, *, hint: str = "") -> None:
        self._findings.append(self._finding(reason, message, event.start_mark, hint))
        if len(self._findings) >= MAX_PROBLEMS:
            raise _Refused

    def _finding(self, reason: str, message: str, mark: Mark | None, hint: str = "") -> Finding:
        line, column = _place(mark)
        return Finding(
            position=Position(file=self._file, line=line, column=column),
            pointer=Problem(path=tuple(self._path), reason=reason, message=message).pointer,
            reason=reason,
            message=message,
            hint=hint,
        )


class Mark(Protocol):
    """Where the parser is; lines and columns from 0."""

    line: int
    column: int


def _place(mark: Mark | None) -> Place:
    return (0, 0) if mark is None else (mark.line + 1, mark.column + 1)
