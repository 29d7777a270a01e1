"""From a document to a spec without problems, or to the findings that stand in the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from reconciler import cron, schema
from reconciler.core import command, parameters, validity
from reconciler.core.errors import Problem
from reconciler.core.model import Json, SweepName
from reconciler.core.spec import SweepSpec
from reconciler.dialects import slurm_options
from reconciler.documents import Document, Finding
from reconciler.fields import Fields
from reconciler.manifests import tables
from reconciler.manifests.convert import spec_of

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?")
_MANY = 10**18
_NAMES_EACH = 200  # parameters that as many tasks as there may be could have
_IDLE = {  # accepted, and without effect in this version
    "results": "this version collects nothing: what tasks write stays in the output folders of their attempts",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Either a spec, or findings. The document is the one to keep: with the points table inlined."""

    document: Json
    spec: SweepSpec | None = None
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()


def name_of(document: Json) -> SweepName | None:
    """The name of the sweep, if that much of a document can be read."""
    metadata = document.get("metadata") if isinstance(document, Mapping) else None
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return SweepName(name) if isinstance(name, str) and _NAME.fullmatch(name) else None


def check(document: Document, *, read: Callable[[str], bytes], max_tasks: int) -> Checked:
    """All stages, up to the first that finds something."""
    value = document.value
    if document.findings:
        return Checked(document=value, findings=document.findings)
    if problems := schema.problems("sweep", value) or list(_unread(value)):
        return _failed(document, problems)
    notes = list(document.notes)
    path = _table_path(value)
    if path is not None:
        table = _table(path, document, read, max_tasks)
        if table.findings:
            return Checked(document=value, findings=tuple(table.findings))
        notes += table.notes
        value = tables.inlined(Fields.of(value).value, table)
    spec = spec_of(value)
    if problems := list(_spec_problems(spec, Fields.of(value).part("spec"), max_tasks)):
        return _failed(document, problems)
    notes += map(document.locate, _notes(spec, value))
    return Checked(document=value, spec=spec, notes=tuple(notes))


def _table(path: str, document: Document, read: Callable[[str], bytes], max_tasks: int) -> tables.Table:
    def unreadable(message: str) -> Finding:
        return document.locate(Problem(path=("spec", "points", "file"), reason="TableUnreadable", message=message))

    if not tables.inside(path):
        return tables.Table(findings=[unreadable("a table must lie in the manifest's folder or below")])
    return tables.load(path, beside=document.file, read=read, most=max_tasks, unreadable=unreadable)


def _failed(document: Document, problems: list[Problem]) -> Checked:
    return Checked(document=document.value, findings=tuple(map(document.locate, problems)))


def _table_path(document: Json) -> str | None:
    points = Fields.of(document).part("spec").value.get("points")
    return Fields(points).text_or_none("file") if isinstance(points, Mapping) else None


def _spec_problems(spec: SweepSpec, written: Fields, max_tasks: int) -> Iterator[Problem]:
    """What is wrong with a spec of the right form. What must be expanded to be seen comes last, within limits."""
    problems = [*validity.problems(spec), *_samples(spec, written), *_schedule(spec), *_options(spec)]
    problems += _checkpoint(spec)
    yield from problems or list(_size(spec, max_tasks)) or command.check(spec)


def _size(spec: SweepSpec, max_tasks: int) -> Iterator[Problem]:
    """More than we want to expand. Tasks are counted by multiplication, so that this costs nothing."""
    count, names, path = parameters.count(spec), len(validity.names(spec)), ("spec", "parameters")
    told = str(count) if count < _MANY else f"more than {_MANY}"
    hint = "counted before `exclude`; the operator can raise limits.maxTasksPerSweep"
    if count > max_tasks:
        message = f"{told} tasks are more than a sweep may have ({max_tasks})"
        yield Problem(path=path, reason="TooManyTasks", message=message, hint=hint)
    elif count * names > max_tasks * _NAMES_EACH:
        message = f"{told} tasks with {names} parameters each are more values than a sweep may have"
        yield Problem(path=path, reason="TooLarge", message=message, hint=hint)


def _samples(spec: SweepSpec, written: Fields) -> Iterator[Problem]:
    if "samples" in written:
        return
    for path, parameter in validity.declared(spec):
        if validity.is_drawn(parameter):
            message = "a distribution needs `samples`, the number of draws"
            yield Problem(path=path, reason="MissingField", message=message, hint="add spec.samples")
            return


def _checkpoint(spec: SweepSpec) -> Iterator[Problem]:
    """A signal before the end of a walltime needs one, and a longer one."""
    before_s, walltime = spec.checkpoint.before_s, spec.resources.walltime
    path = ("spec", "checkpoint", "before")
    if before_s is None or (isinstance(walltime, str) and "$(" in walltime):
        return
    if walltime is None:
        hint = "add spec.resources.walltime"
        yield Problem(path=path, reason="MissingField", message="without a walltime nothing ends soon", hint=hint)
        return
    try:
        walltime_s = command.parse_duration_s(str(walltime))
    except ValueError:  # told where it stands
        return
    if before_s * 2 > walltime_s:
        message = f"{before_s} s before the end of {walltime_s} s: at most half of the walltime"
        yield Problem(path=path, reason="InvalidValue", message=message)


def _options(spec: SweepSpec) -> Iterator[Problem]:
    """What no sbatch could be given from here, whether or not there is a cluster."""
    yield from slurm_options.problems(spec.scheduler_options.get("slurm", {}), ("spec", "schedulerOptions", "slurm"))


def _schedule(spec: SweepSpec) -> Iterator[Problem]:
    if spec.schedule is not None:
        try:
            cron.first_tick_after(spec.schedule, 0.0)
        except ValueError as error:
            yield Problem(path=("spec", "schedule"), reason="InvalidSchedule", message=str(error))


def _unread(document: Json) -> Iterator[Problem]:
    """Quantities in `retry` that cannot be read, and rows of `points` that are not as long as their names."""
    spec = Fields.of(document).part("spec")
    backoff = spec.part("retry").part("backoff")
    for name in ("duration", "maxDuration"):
        yield from _unparsed(backoff, name, ("spec", "retry", "backoff", name), command.parse_duration_s)
    for index, rule in enumerate(spec.part("retry").sequence("rules")):
        most, path = Fields.of(rule).part("max"), ("spec", "retry", "rules", index, "max")
        yield from _unparsed(most, "memory", (*path, "memory"), command.parse_memory_mib)
        yield from _unparsed(most, "walltime", (*path, "walltime"), command.parse_duration_s)
    for name in ("before", "grace"):
        yield from _unparsed(spec.part("checkpoint"), name, ("spec", "checkpoint", name), command.parse_duration_s)
    points = spec.value.get("points")
    if isinstance(points, Mapping):
        table = Fields(points)
        wanted = len(table.sequence("columns"))
        for index, row in enumerate(table.sequence("rows")):
            if isinstance(row, list | tuple) and len(row) != wanted:
                message = f"{len(row)} values for {wanted} columns"
                yield Problem(path=("spec", "points", "rows", index), reason="InvalidTable", message=message)


def _unparsed(fields: Fields, name: str, path: tuple[str | int, ...], parse: Callable[[str], int]) -> Iterator[Problem]:
    try:
        if name in fields:
            parse(fields.text(name, ""))
    except ValueError as error:
        yield Problem(path=path, reason="InvalidValue", message=str(error))


def _notes(spec: SweepSpec, document: Json) -> Iterator[Problem]:
    """What is allowed, and probably not meant."""
    yield from validity.never_matching(spec)
    for sentence in parameters.notes(spec):
        yield Problem(path=("spec", "parameters"), reason="EqualPoints", message=sentence)
    written = Fields.of(document).part("spec")
    for name, message in _IDLE.items():
        if name in written:
            yield Problem(path=("spec", name), reason="NoEffect", message=message, at_key=True)
    if "pbs" in written.part("schedulerOptions"):
        message = "this version runs on no PBS that would take options"
        yield Problem(path=("spec", "schedulerOptions", "pbs"), reason="NoEffect", message=message, at_key=True)
    drawn = any(validity.is_drawn(parameter) for _, parameter in validity.declared(spec))
    if "samples" in written and not drawn:
        message = "without a distribution `samples` has no effect; `replicates` repeats points"
        yield Problem(path=("spec", "samples"), reason="NoEffect", message=message, at_key=True)
