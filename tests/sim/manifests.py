"""Sweeps as this world thinks of them: values that are edited, written as manifests, and asked what they desire."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import reconciler.catalog
import reconciler.controller.survey
from reconciler.core import identity
from reconciler.core.model import SweepName, TaskId
from reconciler.manifests import from_document, load_all


@dataclass(frozen=True)
class Sweep:
    """A manifest. Ranges are small, so that the same text comes again, and is parsed once for many worlds."""

    name: str
    values: tuple[int, ...]
    replicates: int = 1
    program: int = 1  # what `command` says; another one makes tasks outdated
    state: str = "Active"
    parallelism: int | None = None
    on_remove: str = "Cancel"
    deletion: str = "Drain"
    update: str = "Keep"
    retries: int = 2
    backoff_s: int = 10
    max_failures: str | int | None = None
    walltime_s: int | None = None
    gpus: int = 0
    priority: int = 0
    sources: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()  # failure classes that do not count

    def text(self) -> str:
        """As it lies in the repository."""
        return _text(self)

    @property
    def tasks(self) -> frozenset[TaskId]:
        """The tasks that it desires."""
        return _tasks(self.name, self.values, self.replicates)


@lru_cache(maxsize=65536)
def _text(sweep: Sweep) -> str:
    spec: dict[str, Any] = {
        "command": ["/bin/task", f"v{sweep.program}", "$(n)"],
        "parameters": {"n": list(sweep.values)},
        "replicates": sweep.replicates,
        "state": sweep.state,
        "onRemove": sweep.on_remove,
        "deletionPolicy": sweep.deletion,
        "updatePolicy": sweep.update,
        "priority": sweep.priority,
        "retry": {"limit": sweep.retries, "backoff": {"duration": f"{sweep.backoff_s}s", "maxDuration": "5m"}},
    }
    if sweep.uncounted:
        spec["retry"]["rules"] = [{"class": list(sweep.uncounted), "action": "Retry", "count": False}]
    resources: dict[str, Any] = {}
    if sweep.walltime_s is not None:
        resources["walltime"] = f"{sweep.walltime_s}s"
    if sweep.gpus:
        resources["gpus"] = sweep.gpus
    optional = {
        "parallelism": sweep.parallelism,
        "maxFailures": sweep.max_failures,
        "resources": resources,
        "placement": {"sources": list(sweep.sources)} if sweep.sources else None,
        "dependsOn": list(sweep.depends_on),
    }
    spec.update((name, value) for name, value in optional.items() if value)
    return json.dumps(
        {"apiVersion": "reconciler/v1alpha1", "kind": "Sweep", "metadata": {"name": sweep.name}, "spec": spec}
    )


@lru_cache(maxsize=65536)
def _tasks(name: str, values: tuple[int, ...], replicates: int) -> frozenset[TaskId]:
    return frozenset(
        identity.task_id(SweepName(name), {"n": value}, number) for value in values for number in range(replicates)
    )


@dataclass(frozen=True)
class Tree:
    """All manifests at one commit: by path the text, and what was meant by it (None: nobody can tell)."""

    files: Mapping[str, tuple[str, Sweep | None]] = field(default_factory=dict)

    @property
    def sweeps(self) -> dict[str, Sweep]:
        return {sweep.name: sweep for _, sweep in self.files.values() if sweep is not None}

    @property
    def broken(self) -> frozenset[str]:
        """The names of sweeps whose manifests are broken, as far as they can be read."""
        texts = [text for text, sweep in self.files.values() if sweep is None and '"name"' in text]
        return frozenset(json.loads(text)["metadata"]["name"] for text in texts)

    @property
    def named(self) -> bool:
        """Whether each file tells at least its sweep's name."""
        return all(sweep is not None or '"name"' in text for text, sweep in self.files.values())


@contextlib.contextmanager
def parsed_once() -> Iterator[None]:
    """A text is parsed once in this interpreter, by the production parser, however often daemons start."""
    survey, catalog = reconciler.controller.survey, reconciler.catalog
    before = survey.load_all, catalog.from_document
    survey.load_all = _load
    catalog.from_document = _from_document
    try:
        yield
    finally:
        survey.load_all, catalog.from_document = before


def _load(text: bytes, *, file: str, read: Callable[[str], bytes], max_tasks: int) -> Any:
    return _loaded(text, file, max_tasks)


@lru_cache(maxsize=65536)
def _loaded(text: bytes, file: str, max_tasks: int) -> Any:
    return load_all(text, file=file, read=_no_table, max_tasks=max_tasks)


def _from_document(document: Any) -> Any:
    return _understood(json.dumps(document))


@lru_cache(maxsize=65536)
def _understood(text: str) -> Any:
    return from_document(json.loads(text))


def _no_table(path: str) -> bytes:
    raise OSError(f"there is no table {path}")
