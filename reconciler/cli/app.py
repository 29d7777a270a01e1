"""What every command starts from: the configuration, the store read-only, and names that a person typed in part."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.core.errors import UsageError
from reconciler.core.model import SweepName, Task
from reconciler.core.settings import MAX_TASKS_PER_SWEEP, Config

if TYPE_CHECKING:
    from reconciler.clock import Clock
    from reconciler.store import Reader, SweepRow

NEAR = 1000  # of so many tasks the nearest id is looked for
LISTED = 10


class App:
    """One command line at work."""

    def __init__(self, config_file: Path | None) -> None:
        self._file = config_file

    @cached_property
    def clock(self) -> Clock:
        from reconciler.clock import SystemClock

        return SystemClock()

    @cached_property
    def config(self) -> Config:
        """The configuration. Raises InvalidConfig."""
        from reconciler import config

        return config.load(
            self._file, cwd=Path.cwd(), env=os.environ, home=Path.home(), cpus=len(os.sched_getaffinity(0))
        )

    @property
    def max_tasks(self) -> int:
        """How many tasks a sweep may have. Without a configuration: as many as by default."""
        from reconciler import config

        found = config.find(self._file, cwd=Path.cwd(), env=os.environ, home=Path.home())
        return MAX_TASKS_PER_SWEEP if found is None else self.config.max_tasks_per_sweep

    @property
    def state_dir(self) -> Path:
        return Path(self.config.state_dir)

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """The store, read-only. Raises StoreError, NoState when nothing ever ran."""
        from reconciler.store import Reader

        reader = Reader.open(self.state_dir)
        try:
            yield reader
        finally:
            reader.close()

    def daemon_runs(self) -> bool:
        """Whether a daemon serves this state now."""
        from reconciler.locks import is_held

        return is_held(self.state_dir)


pass_app: Callable[[Callable[..., int]], Callable[..., int]] = click.make_pass_decorator(App)


def find_sweep(reader: Reader, name: str) -> SweepRow:
    """A sweep by its name. Raises UsageError (UnknownSweep, with the nearest one; NeverAccepted)."""
    row = reader.sweep(SweepName(name))
    if row is not None:
        return row
    for invalid in reader.invalid():
        if invalid.sweep == name:
            hint = "`reconciler status` shows what is wrong with it"
            raise UsageError("NeverAccepted", f"the manifest of sweep {name!r} was never valid", hint=hint)
    names = [each.name for each in reader.sweeps()]
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        hint = f"did you mean {near[0]}?"
    elif names:
        hint = "there are: " + ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")
    else:
        hint = "no sweep was accepted so far; `reconciler status` tells whether a manifest is wrong"
    raise UsageError("UnknownSweep", f"there is no sweep {name!r}", hint=hint)


def find_task(reader: Reader, sweep: SweepRow, prefix: str) -> Task:
    """A task of a sweep by the beginning of its id. Raises UsageError for none and for several."""
    found = reader.find_task(sweep.name, prefix.lower(), limit=LISTED + 1) if prefix else []
    exact = [task for task in found if task.key.task == prefix.lower()]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        ids = ", ".join(task.key.task for task in found[:LISTED]) + (", …" if len(found) > LISTED else "")
        raise UsageError(
            "AmbiguousTask", f"several tasks of {sweep.name} begin with {prefix!r}: {ids}", hint="type more of the id"
        )
    ids_near = [task.key.task for task in reader.tasks(sweep.name, limit=NEAR)]
    near = difflib.get_close_matches(prefix, ids_near, n=1)
    hint = f"did you mean {near[0]}?" if near else f"list them with `reconciler tasks {sweep.name}`"
    raise UsageError("UnknownTask", f"sweep {sweep.name} has no task {prefix!r}", hint=hint)
