"""What a point runs: exact argv, environment and resources. A pure function of the spec and the point.

Three scopes follow each other: resources see the parameters and `replicate`; derived values see also `cpus`, `output`,
`checkpoint` and the derived values before them; command and environment see all of these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import fields, replace
from itertools import islice

from reconciler.core import sizes
from reconciler.core.errors import Problem
from reconciler.core.hints import nearest
from reconciler.core.model import Json, Point, Resources, Work
from reconciler.core.parameters import expand
from reconciler.core.quantities import parse_duration_s, parse_memory_mib
from reconciler.core.spec import ArgumentStyle, ResourcesTemplate, SweepSpec
from reconciler.core.templates import references, substitute, text_of

__all__ = [
    "CHECKPOINT_TOKEN",
    "OUTPUT_TOKEN",
    "RESERVED",
    "check",
    "distinct_resources",
    "fixed_resources",
    "parse_duration_s",
    "parse_memory_mib",
    "render",
]

# Known only on the source: they stand in argv and environment until the shim replaces them by absolute paths.
# No value may contain them (a manifest that does is refused), so the replacement can never hit data.
OUTPUT_TOKEN = "\0output\0"  # noqa: S105 - stands for a path until the agent knows it; NUL cannot occur in an argument
CHECKPOINT_TOKEN = "\0checkpoint\0"  # noqa: S105 - the same holds here

RESERVED = ("output", "checkpoint", "replicate", "cpus")  # what `$(name)` knows besides parameters

_MOST_PROBLEMS = 20
_AMOUNTS = ("memory_mib", "cpus", "walltime_s", "gpus", "nodes", "tasks_per_node")
_Path = tuple[str | int, ...]


def render(spec: SweepSpec, point: Point) -> Work:
    """The work of one point. Raises ValueError on what `check` would have refused."""
    texts = _parameter_texts(point)
    resources = _resources(spec.resources, texts)
    texts |= {"cpus": str(resources.cpus), "output": OUTPUT_TOKEN, "checkpoint": CHECKPOINT_TOKEN}
    for name, template in spec.derived.items():
        texts[name] = substitute(template, texts)
    argv = tuple([substitute(word, texts) for word in spec.command])
    return Work(
        argv=argv + _arguments(spec.arguments, point.parameters),
        environment={name: substitute(value, texts) for name, value in spec.environment.items()},
        setup=spec.setup,
        resources=resources,
    )


def fixed_resources(spec: SweepSpec) -> Resources | None:
    """What every point asks for; None when that depends on the point."""
    if any("$(" in str(written) for _, written in _written_resources(spec)):
        return None
    return _resources(spec.resources, {})


def distinct_resources(spec: SweepSpec, most: int) -> tuple[list[Resources], int]:
    """What points ask for, each once, and how many of these there are.

    Of more than `most` those are told that ask for the most of anything, as far as there is room, and then the first.
    """
    fixed = fixed_resources(spec)
    if fixed is not None:
        return [fixed], 1
    found = dict.fromkeys(_resources(spec.resources, _parameter_texts(point)) for point in expand(spec))
    if len(found) <= most:
        return list(found), len(found)
    greatest = [max(found, key=lambda each: getattr(each, name) or 0) for name in _AMOUNTS]
    return list(dict.fromkeys([*greatest, *found]))[:most], len(found)


def check(spec: SweepSpec) -> list[Problem]:
    """All templates of the spec that cannot be rendered for some point, with paths from the manifest's root.

    Expands all points only when a template's success depends on them: when it names a parameter that not every point
    has, or when resources name any.
    """
    everywhere, sometimes = _names(spec)
    named: set[str] = set()
    known = dict.fromkeys(["replicate", *everywhere, *sometimes])
    found = list(islice(_all_misnamed(spec, known, named), _MOST_PROBLEMS))
    found = found or list(sizes.problems(spec, [*_resource_templates(spec), *_late_templates(spec)]))
    if found:
        return found
    by_point = any(name != "replicate" for _, written in _resource_templates(spec) for name in references(written))
    if by_point or named & sometimes:
        return _failing_points(spec, sometimes)
    first = next(expand(spec), None)
    return _failures(spec, first) if first is not None else []


# ---------------------------------------------------------------------------------------------- rendering


def _parameter_texts(point: Point) -> dict[str, str]:
    texts = {name: text_of(value) for name, value in point.parameters.items()}
    texts["replicate"] = str(point.replicate)
    return texts


def _arguments(style: ArgumentStyle, parameters: Mapping[str, Json]) -> tuple[str, ...]:
    match style:
        case ArgumentStyle.NONE:
            return ()
        case ArgumentStyle.HYDRA:
            return tuple([f"{name}={text_of(value)}" for name, value in parameters.items()])
        case ArgumentStyle.EQUALS:
            return tuple([f"--{name}={text_of(value)}" for name, value in parameters.items()])
        case ArgumentStyle.FLAGS:
            return tuple([word for name, value in parameters.items() for word in (f"--{name}", text_of(value))])


def _resources(template: ResourcesTemplate, texts: Mapping[str, str]) -> Resources:
    return Resources(
        cpus=_number(template.cpus, texts, least=1, default=1),
        memory_mib=_quantity(template.memory, texts, parse_memory_mib),
        gpus=_number(template.gpus, texts, least=0, default=0),
        gpu_type=_gpu_type(template.gpu_type, texts),
        walltime_s=_quantity(template.walltime, texts, parse_duration_s),
        nodes=_number(template.nodes, texts, least=1, default=1),
        tasks_per_node=_number(template.tasks_per_node, texts, least=1, default=1),
    )


def _number(written: int | str | None, texts: Mapping[str, str], *, least: int, default: int) -> int:
    if written is None:
        return default
    text = substitute(str(written), texts)
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
        raise ValueError(f"`{text}` is not a whole number from {least} up")
    return int(text)


def _quantity(written: int | str | None, texts: Mapping[str, str], parse: Callable[[str], int]) -> int | None:
    return None if written is None else parse(substitute(str(written), texts))


def _gpu_type(written: str | None, texts: Mapping[str, str]) -> str | None:
    if written is None:
        return None
    text = substitute(written, texts)
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text):
        raise ValueError(f"`{text}` is not the type of a GPU: letters, digits, `_`, `.` and `-`")
    return text


# ---------------------------------------------------------------------------------------------- checking


def _names(spec: SweepSpec) -> tuple[set[str], set[str]]:
    """The parameters that every point has, and those that only some have."""
    tables = {frozenset(point) for point in spec.points or ()}
    everywhere = {*spec.parameters, *(frozenset.intersection(*tables) if tables else ())}
    sometimes = {name for entry in spec.when for name in entry.parameters}.union(*tables)
    return everywhere, sometimes - everywhere


def _resource_templates(spec: SweepSpec) -> Iterator[tuple[_Path, str]]:
    for name, written in _written_resources(spec):
        yield ("spec", "resources", _camel(name)), str(written)


def _written_resources(spec: SweepSpec) -> Iterator[tuple[str, int | str]]:
    for each in fields(spec.resources):
        written: int | str | None = getattr(spec.resources, each.name)
        if written is not None:
            yield each.name, written


def _late_templates(spec: SweepSpec) -> Iterator[tuple[_Path, str]]:
    for name, template in spec.derived.items():
        yield ("spec", "derived", name), template
    for index, word in enumerate(spec.command):
        yield ("spec", "command", index), word
    for name, value in spec.environment.items():
        yield ("spec", "environment", name), value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _all_misnamed(spec: SweepSpec, known: dict[str, None], named: set[str]) -> Iterator[Problem]:
    """References to names that are not known where they stand."""
    for path, template in _resource_templates(spec):
        yield from _misnamed(path, template, known, named)
    known.update(dict.fromkeys(RESERVED))
    for path, template in _late_templates(spec):
        yield from _misnamed(path, template, known, named)
        if path[1] == "derived":
            known[str(path[2])] = None


def _misnamed(path: _Path, template: str, known: Collection[str], named: set[str]) -> Iterator[Problem]:
    """References to names that no point has; the names that are known are added to `named`."""
    try:
        names = references(template)
    except ValueError as error:
        yield Problem(path=path, reason="InvalidTemplate", message=str(error), hint="`$$(` writes a literal `$(`")
        return
    for name in names:
        if name in known:
            named.add(name)
            continue
        hint = f"{nearest(name, known)}; to write it literally: `$$({name})`"
        yield Problem(path=path, reason="UnknownName", message=f"`$({name})` names no parameter", hint=hint)


def _failing_points(spec: SweepSpec, sometimes: set[str]) -> list[Problem]:
    """What fails in any point. Points that have the same names and the same resources are tried once."""
    in_resources = {name for _, template in _resource_templates(spec) for name in references(template)}
    tried: set[object] = set()
    found: dict[_Path, Problem] = {}
    for point in expand(spec):
        values = point.parameters
        key = (
            frozenset(sometimes & values.keys()),
            *[text_of(values[name]) for name in in_resources if name in values],
        )
        if key not in tried:
            tried.add(key)
            for problem in _failures(spec, point):
                found.setdefault(problem.path, problem)
    return list(found.values())


def _failures(spec: SweepSpec, point: Point) -> list[Problem]:
    """Everything of one point that cannot be rendered."""
    texts = _parameter_texts(point)
    found: list[Problem] = []
    for name, written in _written_resources(spec):
        try:
            _resources(_only(name, spec.resources), texts)
        except ValueError as error:
            place = ("spec", "resources", _camel(name))
            found.append(Problem(path=place, reason="InvalidResources", message=f"{error}{_where(written, point)}"))
    texts |= {"cpus": "1", "output": OUTPUT_TOKEN, "checkpoint": CHECKPOINT_TOKEN}
    for path, template in _late_templates(spec):
        text = ""
        try:
            text = substitute(template, texts)
        except ValueError as error:
            found.append(Problem(path=path, reason="UnknownName", message=f"{error}{_where(template, point)}"))
        if path[1] == "derived":
            texts[str(path[2])] = text
    return found


def _only(name: str, template: ResourcesTemplate) -> ResourcesTemplate:
    others = {each.name: None for each in fields(template) if each.name != name}
    return replace(template, **others)


def _where(template: int | str, point: Point) -> str:
    """Which point it is, when that makes a difference."""
    if not references(str(template)):
        return ""
    values = ", ".join(f"{name}={text_of(value)}" for name, value in point.parameters.items())
    return f", in the point {values[:200]}"
