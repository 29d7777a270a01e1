"""The part `sources` of the operator's file: where tasks run, and the way there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.core.addresses import parse_ssh_address
from reconciler.core.errors import Problem
from reconciler.core.jobs import options_of
from reconciler.core.model import Json, SourceName
from reconciler.core.quantities import parse_duration_s, parse_memory_mib
from reconciler.core.settings import SourceConfig
from reconciler.dialects import slurm_options
from reconciler.fields import Fields

_LATER_SCHEDULERS = {"pbs"}
_OF_SCHEDULERS = ("maxJobs", "pollInterval", "submitInterval", "arraySize", "options", "nodePython")
_OF_PROCESSES = ("slots", "gpus", "gpuType")
_LEAST_POLL_S = 10
_OF_SSH = ("identityFile", "knownHosts", "sshConfig")
_UNQUOTABLE = set("'\\!")  # what the login shells over there read differently


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a source is like that says nothing.

    path    makes a path of this machine absolute
    root    the folder of the roots of sources on this machine
    there   the same on others
    cpus    of this machine
    """

    path: Callable[[str], str]
    root: str
    there: str
    cpus: int


def later(sources: Json) -> Iterator[Problem]:
    """What a later version will understand; to accept it in silence would be a lie."""
    for name, source in sources.items() if isinstance(sources, Mapping) else ():
        written = source if isinstance(source, Mapping) else {}
        hint = "take the source out, or run plain processes there"
        if written.get("scheduler") in _LATER_SCHEDULERS:
            message = f"this version does not run {written['scheduler']} yet, only `process` and `slurm`"
            path = ("sources", name, "scheduler")
            yield Problem(path=path, reason="NotSupported", message=message, hint=hint)


def problems(sources: Fields) -> Iterator[Problem]:
    """What has the right form and still cannot be."""
    for name in sources.value:
        source, path = sources.part(name), ("sources", name)
        try:
            parse_memory_mib(source.text("memory", "1Gi"))
        except ValueError as error:
            yield Problem(path=(*path, "memory"), reason="InvalidValue", message=str(error))
        yield from _scheduled(source, path)
        if "host" in source:
            yield from _far(source, path)
            continue
        for field in _OF_SSH:
            if field in source:
                message = f"`{field}` is for sources with a `host`"
                yield Problem(path=(*path, field), reason="NoEffect", message=message, at_key=True)


def _scheduled(source: Fields, path: tuple[str | int, ...]) -> Iterator[Problem]:
    """Of what schedulers need to know, and of what only processes do."""
    scheduled = source.text("scheduler", "process") != "process"
    for field in _OF_PROCESSES if scheduled else _OF_SCHEDULERS:
        if field in source:
            whose = "plain processes: the scheduler knows its nodes" if scheduled else "schedulers"
            hint = "`maxJobs` limits how many are there at once" if field == "slots" else ""
            message = f"`{field}` is for {whose}"
            yield Problem(path=(*path, field), reason="NoEffect", message=message, hint=hint, at_key=True)
    for field in ("pollInterval", "submitInterval"):
        try:
            seconds = parse_duration_s(source.text(field, "1h"))
        except ValueError as error:
            yield Problem(path=(*path, field), reason="InvalidValue", message=str(error))
            continue
        if field == "pollInterval" and seconds < _LEAST_POLL_S:
            message = f"a scheduler that all share is not asked more often than every {_LEAST_POLL_S} s"
            yield Problem(path=(*path, field), reason="InvalidValue", message=message)
    python = source.text("nodePython", "python3")
    if _UNQUOTABLE & set(python) or ("/" in python and not python.startswith(("/", "~/"))):
        message = "a name, an absolute path or one below `~`, as the nodes see it, without quotes, backslashes and `!`"
        yield Problem(path=(*path, "nodePython"), reason="InvalidValue", message=message)
    if source.text("scheduler", "") == "slurm":
        yield from slurm_options.problems(source.mapping("options"), (*path, "options"))


def _far(source: Fields, path: tuple[str, ...]) -> Iterator[Problem]:
    """Of a source on another machine."""
    host = source.text("host", "")
    try:
        parse_ssh_address(host)
    except ValueError as error:
        if ":" in host.removeprefix("ssh://").rpartition("@")[0]:
            hint = "use a key, with `identityFile` or ssh_config"
            message = "a password does not belong into a file that people read"
            yield Problem(path=(*path, "host"), reason="PasswordInUrl", message=message, hint=hint)
        else:
            yield Problem(path=(*path, "host"), reason="InvalidValue", message=str(error))
    if not source.text("root", "/").startswith(("/", "~/")):
        message = "the root on another machine is absolute, or below `~`, the home folder there"
        yield Problem(path=(*path, "root"), reason="InvalidValue", message=message)
    if _UNQUOTABLE & set(source.text("python", "")):
        message = "a path of Python without quotes, backslashes and `!`, please: shells read them differently"
        yield Problem(path=(*path, "python"), reason="InvalidValue", message=message)


def read(sources: Fields, defaults: Defaults) -> tuple[SourceConfig, ...]:
    """The sources; without any, this machine as `local`."""
    return tuple(_source(SourceName(name), sources.part(name), defaults) for name in sources.value or ("local",))


def _source(name: SourceName, fields: Fields, defaults: Defaults) -> SourceConfig:
    memory, host = fields.text_or_none("memory"), fields.text_or_none("host")
    scheduler = fields.text("scheduler", "process")
    shared = host is not None or scheduler != "process"  # the nodes of a cluster see home folders
    root = fields.text("root", f"{defaults.there if shared else defaults.root}/{name}")
    most = fields.integer("maxJobs", 100) if scheduler != "process" else 1 if host else defaults.cpus

    def path(field: str) -> str | None:
        written = fields.text_or_none(field)
        return None if written is None else defaults.path(written)

    python = fields.text_or_none("python")
    return SourceConfig(
        name=name,
        scheduler=scheduler,
        host=host,
        slots=fields.integer("slots", most),
        gpus=tuple(int(str(each)) for each in fields.sequence("gpus")),
        gpu_type=fields.text_or_none("gpuType"),
        memory_mib=parse_memory_mib(memory) if memory is not None else None,
        labels=fields.text_mapping("labels"),
        root=root if host else defaults.path(root),
        enabled=fields.flag("enabled", default=True),
        node_python=fields.text_or_none("nodePython"),
        python=defaults.path(python) if python and "/" in python and not host else python,
        identity_file=path("identityFile"),
        known_hosts=path("knownHosts"),
        ssh_config=path("sshConfig"),
        poll_s=float(parse_duration_s(fields.text("pollInterval", "30s"))),
        submit_every_s=float(parse_duration_s(fields.text("submitInterval", "2s"))),
        array_size=fields.integer("arraySize", 1000),
        options=options_of(fields.mapping("options")),
    )
