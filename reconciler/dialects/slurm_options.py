"""The options of sbatch that manifests and the configuration may give, each with the form of its value.

What is rendered here goes to sbatch as one word of an argv, never through a shell; the forms are narrow all the same,
because job_submit plugins and prologs of sites put them into shells of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum

from reconciler.core.errors import Problem
from reconciler.core.hints import nearest
from reconciler.core.model import Json


class Form(Enum):
    """What the value of an option looks like."""

    NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:+-]{0,199}")
    NAMES = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:+-]{0,99}(,[A-Za-z0-9_][A-Za-z0-9_.@:+-]{0,99}){0,31}")
    NODES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,\[\]-]{0,999}")
    CONSTRAINT = re.compile(r"[A-Za-z0-9_\[(][A-Za-z0-9_.,:*&|()\[\]!-]{0,199}")
    COUNT = re.compile(r"[0-9]{1,9}")
    SIGNED = re.compile(r"-?[0-9]{1,9}")
    MEMORY = re.compile(r"[0-9]{1,9}[KMGT]?")
    DURATION = re.compile(r"[0-9]{1,5}(:[0-5]?[0-9]){0,2}|[0-9]{1,4}-[0-9]{1,2}(:[0-5]?[0-9]){0,2}")
    GRES = re.compile(r"(?!gpu\b)[A-Za-z_][A-Za-z0-9_.:]{0,99}(,(?!gpu\b)[A-Za-z_][A-Za-z0-9_.:]{0,99}){0,15}")
    COUNTED = re.compile(
        r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,99}(:[0-9]{1,9})?(,[A-Za-z0-9_][A-Za-z0-9_.@-]{0,99}(:[0-9]{1,9})?){0,15}"
    )
    MAIL = re.compile(r"[A-Za-z0-9_.+-]{1,100}@[A-Za-z0-9.-]{1,100}")
    WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_:,=.-]{0,99}")
    FLAG = re.compile("")  # it has no value: true or false
    FLAG_OR_WORD = re.compile(r"[a-z]{1,20}")


OPTIONS: Mapping[str, Form] = {
    "account": Form.NAME,
    "partition": Form.NAMES,
    "qos": Form.NAME,
    "reservation": Form.NAMES,
    "constraint": Form.CONSTRAINT,
    "prefer": Form.CONSTRAINT,
    "nodelist": Form.NODES,
    "exclude": Form.NODES,
    "exclusive": Form.FLAG_OR_WORD,
    "oversubscribe": Form.FLAG,
    "gres": Form.GRES,
    "gpu-freq": Form.WORD,
    "gpu-bind": Form.WORD,
    "licenses": Form.COUNTED,
    "nice": Form.SIGNED,
    "priority": Form.COUNT,
    "tmp": Form.MEMORY,
    "mincpus": Form.COUNT,
    "mem-per-cpu": Form.MEMORY,
    "mem-per-gpu": Form.MEMORY,
    "cpus-per-gpu": Form.COUNT,
    "hint": Form.WORD,
    "threads-per-core": Form.COUNT,
    "cores-per-socket": Form.COUNT,
    "sockets-per-node": Form.COUNT,
    "extra-node-info": Form.WORD,
    "core-spec": Form.COUNT,
    "thread-spec": Form.COUNT,
    "distribution": Form.WORD,
    "contiguous": Form.FLAG,
    "spread-job": Form.FLAG,
    "use-min-nodes": Form.FLAG,
    "switches": Form.WORD,
    "time-min": Form.DURATION,
    "deadline": Form.WORD,
    "delay-boot": Form.COUNT,
    "cpu-freq": Form.WORD,
    "network": Form.WORD,
    "profile": Form.WORD,
    "acctg-freq": Form.WORD,
    "wckey": Form.NAME,
    "mcs-label": Form.NAME,
    "mail-type": Form.NAMES,
    "mail-user": Form.MAIL,
    "bb": Form.WORD,
}

_RESOURCES = "write it under `resources`, where every source understands it"
_OURS = "the daemon decides this itself, so that no task is lost or started twice"
_NOT_HERE: Mapping[str, str] = {
    "cpus-per-task": f"{_RESOURCES}: cpus",
    "mem": f"{_RESOURCES}: memory",
    "time": f"{_RESOURCES}: walltime",
    "nodes": f"{_RESOURCES}: nodes",
    "ntasks": f"{_RESOURCES}: nodes and tasksPerNode",
    "ntasks-per-node": f"{_RESOURCES}: tasksPerNode",
    "gpus": f"{_RESOURCES}: gpus and gpuType",
    "gpus-per-node": f"{_RESOURCES}: gpus and gpuType",
    "gpus-per-task": f"{_RESOURCES}: gpus and gpuType",
    "clusters": "give each cluster a source of its own",
    "dependency": "use `dependsOn`",
    "begin": "use `schedule`",
    "signal": "only our shim would hear it: a task gets TERM when its walltime ends, or it is cancelled",
    **dict.fromkeys(
        ("array", "job-name", "comment", "requeue", "no-requeue", "parsable", "test-only", "wait", "wrap", "hold"),
        _OURS,
    ),
    **dict.fromkeys(("output", "error", "input", "open-mode", "chdir", "export", "export-file", "get-user-env"), _OURS),
    **dict.fromkeys(
        ("uid", "gid", "no-kill", "reboot", "kill-on-invalid-dep", "ignore-pbs", "quiet", "verbose"), _OURS
    ),
}


def problems(options: Mapping[str, Json], path: tuple[str | int, ...]) -> Iterator[Problem]:
    """What is wrong with options as written; path: where they stand in their document."""
    for name, value in options.items():
        form = OPTIONS.get(name)
        if form is None:
            hint = _NOT_HERE.get(name) or nearest(name, OPTIONS)
            message = f"`{name}` cannot be given to sbatch from here"
            yield Problem(path=(*path, name), reason="UnknownField", message=message, hint=hint, at_key=True)
        elif isinstance(value, bool):
            if form not in (Form.FLAG, Form.FLAG_OR_WORD):
                message = f"`{name}` needs a value, and is neither true nor false"
                yield Problem(path=(*path, name), reason="InvalidValue", message=message)
        elif form is Form.FLAG:
            yield Problem(path=(*path, name), reason="InvalidValue", message=f"`{name}` is true or false")
        elif not form.value.fullmatch(_text(value)):
            message = f"`{_text(value):.60}` is no value that `{name}` takes"
            hint = "GPUs are written under `resources`" if form is Form.GRES and "gpu" in _text(value) else ""
            yield Problem(path=(*path, name), reason="InvalidValue", message=message, hint=hint)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else str(value)
