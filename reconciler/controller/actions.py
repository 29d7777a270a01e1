"""What people ask of the daemon, carried out: each action is read from its file, done, and answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler import requests
from reconciler.catalog import Catalog
from reconciler.clock import Clock
from reconciler.controller.acceptance import Acceptance
from reconciler.controller.steps import drive
from reconciler.core.diagnosis import lost
from reconciler.core.errors import ReconcilerError, UsageError
from reconciler.core.model import Json, Phase, SourceName, SweepName, Task, TaskKey
from reconciler.core.settings import SourceConfig
from reconciler.crashpoints import crashpoint
from reconciler.requests import Action, Outcome, Verb
from reconciler.store import Store

RETRIABLE = (Phase.FAILED, Phase.LOST, Phase.CANCELLED)
ASSUMED = "a person said that it is dead"  # the message of an attempt that ended so


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What an action came to: a sentence, and the sweeps it touched."""

    message: str
    sweeps: tuple[SweepName, ...] = ()
    look: bool = False  # the repository should be looked at now
    source: SourceName | None = None  # that was switched on or off


class Actions:
    """The pending requests of one state directory."""

    def __init__(
        self,
        state_dir: Path,
        *,
        store: Store,
        catalog: Catalog,
        acceptance: Acceptance,
        clock: Clock,
        sources: Sequence[SourceConfig] = (),
    ) -> None:
        self._sources = sources
        self._state_dir = state_dir
        self._store = store
        self._catalog = catalog
        self._acceptance = acceptance
        self._clock = clock

    async def run(self) -> list[Done]:
        """Carry out what is pending, oldest first. An action that is refused is answered so, and stops nothing."""
        results = []
        for action in requests.pending(self._state_dir):
            try:
                done = await self._carry_out(action)
                results.append(done)
                outcome = Outcome(ok=True, message=done.message, at=self._clock.now())
            except ReconcilerError as error:
                message = f"{error.message}\n{error.hint}" if error.hint else error.message
                outcome = Outcome(ok=False, message=message, at=self._clock.now())
            crashpoint("requests.done")
            requests.done(self._state_dir, action, outcome)
        return results

    async def _carry_out(self, action: Action) -> Done:
        match action.verb:
            case Verb.RECONCILE:
                return self._reconcile(action)
            case Verb.RETRY:
                return await self._retry(action)
            case Verb.APPROVE:
                return await self._approve(action)
            case Verb.ENABLE | Verb.DISABLE:
                return self._switch(str(action.arguments.get("source", "")), on=action.verb is Verb.ENABLE)

    def _reconcile(self, action: Action) -> Done:
        named = action.arguments.get("sweep")
        names = (
            (self._known(named),) if isinstance(named, str) else tuple(sweep.name for sweep in self._catalog.sweeps())
        )
        what = ""
        if action.arguments.get("repin") is True:
            self._store.want_repins(names)
            what = "resolve the commits anew and "
        return Done(message=f"will {what}look at the repository now", sweeps=names, look=True)

    def _switch(self, name: str, *, on: bool) -> Done:
        """Asked again it changes nothing; a source that the configuration disables stays so."""
        source = next((source for source in self._sources if source.name == name), None)
        if source is None:
            hint = "there are: " + ", ".join(source.name for source in self._sources)
            raise UsageError("UnknownSource", f"there is no source {name!r}", hint=hint)
        if on and not source.enabled:
            hint = "take `enabled: false` out of it, and restart the daemon: tasks live on"
            raise UsageError("DisabledByConfiguration", f"the configuration disables {name}", hint=hint)
        self._store.switch(source.name, on=on, at=self._clock.now())
        told = f"{name} takes new tasks" if on else f"nothing new starts on {name}; what runs there goes on"
        return Done(message=told, source=source.name)

    async def _retry(self, action: Action) -> Done:
        name = self._known(str(action.arguments.get("sweep", "")))
        asked = action.arguments.get("tasks")
        keys = None
        if isinstance(asked, Sequence) and not isinstance(asked, str) and asked:
            keys = [self._task(name, str(prefix)).key for prefix in asked]
        if (numbers := action.arguments.get("assumeDead")) is not None:
            self._assume_dead(keys, numbers)
        count = await self._reset(name, keys)
        return Done(message=f"{count} tasks of {name} wait again, with a fresh retry budget", sweeps=(name,))

    def _assume_dead(self, keys: list[TaskKey] | None, numbers: Json) -> None:
        """A person vouches that what runs, as far as we know, runs no more: the one end without evidence of our own.

        numbers: of the attempts that the person saw. When their turn comes, or comes once more after a crash, others
        may run in their place, of which nobody has said anything.
        """
        if keys is None or not isinstance(numbers, Sequence) or len(numbers) != len(keys):
            raise UsageError("TaskNeeded", "--assume-dead takes the tasks by name", hint="name each of them")
        now = self._clock.now()
        pairs = []
        for key, number in zip(keys, numbers, strict=True):
            newest = next(iter(reversed(self._store.attempts(key))), None)
            if newest is None or newest.phase is not Phase.RUNNING or newest.key.number != number:
                if self._was_said_before(key, number):
                    continue
                raise UsageError(
                    "NotRunning",
                    f"attempt {number} of {key.sweep}/{key.task} is not running, as far as we know",
                    hint="what is queued can be cancelled safely, and what has ended needs no assumption",
                )
            dead = lost(newest, now, ASSUMED)
            pairs.append((dead, self._catalog.settled(self._known_task(key), dead, now)))
        self._store.record(pairs, now)

    def _was_said_before(self, key: TaskKey, number: Json) -> bool:
        """This very action was carried out, and its answer was lost with the daemon."""
        return any(each.key.number == number and each.message == ASSUMED for each in self._store.attempts(key))

    def _known_task(self, key: TaskKey) -> Task:
        task = self._store.task(key)
        assert task is not None, "its attempt was just read"
        return task

    async def _reset(self, name: SweepName, keys: list[TaskKey] | None) -> int:
        steps = self._store.reset(name, keys, phases=RETRIABLE, reason="RetryRequested", at=self._clock.now())
        return await drive(steps, self._clock)

    async def _approve(self, action: Action) -> Done:
        released = await self._acceptance.approve(str(action.arguments.get("plan", "")))
        return Done(message=f"approved: removals go ahead in {', '.join(released)}", sweeps=tuple(released))

    def _known(self, name: str) -> SweepName:
        sweep = self._catalog.get(SweepName(name))
        if sweep is None:
            raise UsageError("UnknownSweep", f"there is no sweep {name!r}", hint="`reconciler status` lists them")
        return sweep.name

    def _task(self, name: SweepName, prefix: str) -> Task:
        found = self._store.find_task(name, prefix, limit=2)
        if len(found) != 1:
            what = "no task" if not found else "more than one task"
            raise UsageError("UnknownTask", f"{what} of {name} begins with {prefix!r}")
        return found[0]
