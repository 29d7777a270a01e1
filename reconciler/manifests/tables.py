"""Points in a table beside the manifest: CSV or TSV, the names in the first line, values as YAML 1.2 reads them."""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import NamedTuple

from reconciler.core.errors import Position
from reconciler.core.model import Json
from reconciler.documents import MAX_PROBLEMS, Finding, NotScalarError, scalar, surprising, unusable

MAX_VALUES = 5_000_000  # of one table: a million of them take some 30 MB of memory
MAX_ROW = 1 << 20  # characters of one point


@dataclass(frozen=True, slots=True)
class Table:
    """What stands in the document in the place of `{file: …}`, or why nothing can."""

    columns: list[Json] = field(default_factory=list)
    rows: list[Json] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)


class _Place(NamedTuple):
    """Where a finding of a table is."""

    file: str
    line: int = 0

    def finding(self, reason: str, message: str, hint: str = "") -> Finding:
        position = Position(file=self.file, line=self.line, column=1 if self.line else 0)
        return Finding(position=position, pointer="", reason=reason, message=message, hint=hint)


def inside(path: str) -> bool:
    """Whether a relative path stays below where it starts."""
    return not (path.startswith("/") or "\\" in path or ".." in path.split("/"))


def load(
    path: str, *, beside: str, read: Callable[[str], bytes], most: int, unreadable: Callable[[str], Finding]
) -> Table:
    """The table at a path relative to the directory of the manifest `beside`; reads no more than `most` rows.

    `unreadable` makes the finding for a table that is not there, at the place where the manifest names it.
    """
    file = posixpath.normpath(posixpath.join(posixpath.dirname(beside), path))
    try:
        text = read(posixpath.normpath(path)).decode("utf-8-sig")
    except OSError as error:
        message = f"the table {file} cannot be read: {error.strerror or error}"
        return Table(findings=[unreadable(message)])
    except UnicodeDecodeError:
        return Table(findings=[_Place(file).finding("NotUtf8", "the table is not UTF-8")])
    lines = csv.reader(StringIO(text, newline=""), delimiter="\t" if path.endswith(".tsv") else ",", strict=True)
    table = Table()
    try:
        _fill(table, lines, file, lambda: lines.line_num, most)
    except csv.Error as error:
        table.findings.append(_Place(file, lines.line_num).finding("Syntax", str(error)))
    return table


def _fill(table: Table, lines: Iterator[Sequence[str]], file: str, line: Callable[[], int], most: int) -> None:
    names = [name.strip() for name in next(lines, [])]
    if not names or len(set(names)) < len(names):
        message = "two columns have the same name" if names else "the table is empty"
        table.findings.append(_Place(file, 1 if names else 0).finding("InvalidTable", message))
        return
    table.columns.extend(names)
    known: dict[str, Json] = {}
    for cells in lines:
        if not cells:
            continue
        if too_much := _too_much(table, cells):
            table.findings.append(_Place(file, line()).finding("TooLarge", too_much))
            return
        if len(cells) != len(names):
            message = f"{len(cells)} values where the first line has {len(names)} names"
            table.findings.append(_Place(file, line()).finding("InvalidTable", message))
        table.rows.append([_value(cell, known, table, _Place(file, line())) for cell in cells])
        if len(table.findings) >= MAX_PROBLEMS:
            return
        if len(table.rows) > most:
            message = f"more than {most} points in one table"
            table.findings.append(_Place(file, line()).finding("TooManyTasks", message))
            return
    if not table.rows:
        table.findings.append(_Place(file).finding("InvalidTable", "the table has no points below its names"))


def _too_much(table: Table, cells: Sequence[str]) -> str:
    """Why this row is not taken in, or ""."""
    if sum(map(len, cells)) > MAX_ROW:
        return f"one point has more than {MAX_ROW:,} characters"
    if (len(table.rows) + 1) * len(cells) > MAX_VALUES:
        return f"more than {MAX_VALUES:,} values in one table"
    return ""


def _value(cell: str, known: dict[str, Json], table: Table, place: _Place) -> Json:
    text = cell.strip()
    if text in known:
        return known[text]
    if len(table.findings) >= MAX_PROBLEMS:
        return None
    if why := unusable(text):
        table.findings.append(place.finding("InvalidText", why))
        return None
    try:
        value = scalar(text)
    except NotScalarError as error:
        table.findings.append(place.finding("InvalidNumber", str(error)))
        return None
    if (note := surprising(text)) and len(table.notes) < MAX_PROBLEMS:
        table.notes.append(place.finding("Scalar", note.replace("; quote it to keep the zeros", "")))
    if len(known) < 100_000:
        known[text] = value
    return value


def inlined(document: Mapping[str, Json], table: Table) -> Mapping[str, Json]:
    """The document with the table in the place of the reference to it."""
    spec = document["spec"]
    assert isinstance(spec, Mapping), "the schema promises a mapping"
    return {**document, "spec": {**spec, "points": {"columns": table.columns, "rows": table.rows}}}
