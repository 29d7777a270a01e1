"""What makes the reconciler look: each trigger only calls back, and the callback enqueues a key.

A watch may freeze silently (network file systems, replaced directories, exhausted inotify limits), so that no watch is
ever relied upon: the interval poll finds the same change, only later. A watch calls back whenever it begins, because
nobody knows what happened before; and it begins anew when what it watches is not the same directory any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import watchfiles

from reconciler import requests
from reconciler.clock import Clock
from reconciler.core.model import Instant
from reconciler.cron import first_tick_after
from reconciler.repository import common_directory

Notify: TypeAlias = Callable[[], None]

# A change is told one or two steps after it. The watching thread wakes once a step, about 70 µs of a core each time, so
# that only what is urgent has short steps: together they cost 0.13 % of a core.
_REFERENCE_STEP_MS = 80
_REQUEST_STEP_MS = 200
_HEAD_STEP_MS = 1000
_LOOK_AGAIN_MS = 5000
_RETRY_S = 2.0
_POLL_JITTER = 0.1
_TICK_S = 1.0


async def watch_repository(directory: Path, notify: Notify, *, clock: Clock) -> None:
    """Call `notify` soon after a reference of a local repository changes, and at the beginning; runs until cancelled.

    directory: a bare repository, a checkout, or a worktree. It may not exist yet, vanish, and come back.
    """

    def below(name: str) -> Sequence[Path]:
        common = common_directory(directory)
        return () if common is None else (common / name,)

    async with asyncio.TaskGroup() as group:
        references = _Watch(wanted=_is_reference, notify=notify, step_ms=_REFERENCE_STEP_MS, recursive=True)
        heads = _Watch(wanted=_is_head, notify=notify, step_ms=_HEAD_STEP_MS)
        group.create_task(references.run(lambda: below("refs/heads"), clock))
        group.create_task(heads.run(lambda: below("."), clock))


async def watch_requests(state_dir: Path, notify: Notify, *, clock: Clock) -> None:
    """Call `notify` soon after a file arrives in `<state_dir>/requests/new`, and once at the beginning.

    Makes the directory if need be; runs until cancelled.
    """

    def new() -> Sequence[Path]:
        folder = requests.directory(state_dir)
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return (folder,)

    await _Watch(wanted=_is_request, notify=notify, step_ms=_REQUEST_STEP_MS).run(new, clock)


async def poll(interval_s: float, notify: Notify, *, clock: Clock, random: Callable[[], float]) -> None:
    """Call `notify` every interval_s ± 10 %, the first time after one interval; runs until cancelled.

    random: numbers in [0, 1), so that many daemons do not ask one server at once.
    """
    while True:
        await clock.sleep(interval_s * (1 + _POLL_JITTER * (2 * random() - 1)))
        notify()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schedule:
    cron: str
    tz: str
    due: Instant | None


class Schedules:
    """Cron ticks: one named expression each; a tick calls `notify(name)`."""

    def __init__(self, notify: Callable[[str], None], *, clock: Clock) -> None:
        self._notify = notify
        self._clock = clock
        self._schedules: dict[str, _Schedule] = {}

    def set(self, name: str, cron: str, tz: str = "UTC") -> None:
        """Add or change one. Raises ValueError for an expression that cannot be read."""
        known = self._schedules.get(name)
        if known is None or (known.cron, known.tz) != (cron, tz):
            due = first_tick_after(cron, self._clock.now(), tz)
            self._schedules[name] = _Schedule(cron=cron, tz=tz, due=due)

    def remove(self, name: str) -> None:
        """Forget one, or nothing."""
        self._schedules.pop(name, None)

    async def run(self) -> None:
        """Tick until cancelled. A clock that jumps forward ticks once, not once per missed tick."""
        while True:
            now = self._clock.now()
            for name, schedule in list(self._schedules.items()):
                if schedule.due is not None and schedule.due <= now:
                    due = first_tick_after(schedule.cron, now, schedule.tz)
                    self._schedules[name] = _Schedule(cron=schedule.cron, tz=schedule.tz, due=due)
                    self._notify(name)
            # The wall clock may be set at any time, so that the wait for a tick is never one long sleep.
            await self._clock.sleep(_TICK_S)


def handle_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, poll_now: Notify) -> Notify:
    """TERM and INT set `stop`; HUP calls `poll_now`. Returns what undoes it."""
    handlers: dict[signal.Signals, Notify] = {
        signal.SIGTERM: stop.set,
        signal.SIGINT: stop.set,
        signal.SIGHUP: poll_now,
    }
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)

    def undo() -> None:
        for number in handlers:
            loop.remove_signal_handler(number)

    return undo


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watch:
    """One watching thread."""

    wanted: Callable[[watchfiles.Change, str], bool]
    notify: Notify
    step_ms: int
    recursive: bool = False

    async def run(self, paths_now: Callable[[], Sequence[Path]], clock: Clock) -> None:
        """Watch what `paths_now` names, anew whenever it vanishes, appears, or is another directory than before."""
        while True:
            paths = paths_now()
            if _identities(paths) is None:
                await clock.sleep(_RETRY_S)
                continue
            self.notify()
            try:
                await self._until_replaced(paths)
            except (OSError, RuntimeError):  # it vanished, or inotify's limits are reached
                await clock.sleep(_RETRY_S)

    async def _until_replaced(self, paths: Sequence[Path]) -> None:
        watched = _identities(paths)
        changes = watchfiles.awatch(
            *paths,
            watch_filter=self.wanted,
            debounce=2 * self.step_ms,
            step=self.step_ms,
            rust_timeout=_LOOK_AGAIN_MS,
            yield_on_timeout=True,
            recursive=self.recursive,
        )
        async with contextlib.aclosing(changes):
            async for change in changes:
                if change:
                    self.notify()
                if _identities(paths) != watched:
                    return


def _identities(paths: Sequence[Path]) -> tuple[tuple[int, int], ...] | None:
    """Which directories these are; None when one of them, or any, is missing."""
    try:
        found = tuple((path.stat().st_dev, path.stat().st_ino) for path in paths)
    except OSError:
        return None
    return found or None


def _is_reference(change: watchfiles.Change, path: str) -> bool:
    return not path.endswith(".lock")


def _is_head(change: watchfiles.Change, path: str) -> bool:
    return path.endswith(("/HEAD", "/packed-refs")) and not path.endswith("/FETCH_HEAD")


def _is_request(change: watchfiles.Change, path: str) -> bool:
    return path.endswith(".json")
