"""What makes the reconciler look: each trigger only calls back, and the callback enqueues a key.

A watch may freeze silently (network file systems, replaced directories, exhausted inotify limits), so that no watch is ever
relied upon: the interval poll finds the same change, only later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from reconciler.clock import Clock

Notify: TypeAlias = Callable[[], None]


async def watch_repository(directory: Path, notify: Notify, *, clock: Clock) -> None:
    """Call `notify` soon after a reference of a local repository (bare, checkout or worktree) changes; runs until cancelled."""
    raise NotImplementedError


async def watch_requests(state_dir: Path, notify: Notify, *, clock: Clock) -> None:
    """Call `notify` soon after a file arrives in `<state_dir>/requests/new`; runs until cancelled."""
    raise NotImplementedError


async def poll(interval_s: float, notify: Notify, *, clock: Clock, random: Callable[[], float]) -> None:
    """Call `notify` every interval_s ± 10 %, the first time after one interval; runs until cancelled. random: numbers in [0, 1)."""
    raise NotImplementedError


class Schedules:
    """Cron ticks: one named expression each; a tick calls `notify(name)`."""

    def __init__(self, notify: Callable[[str], None], *, clock: Clock) -> None:
        raise NotImplementedError

    def set(self, name: str, cron: str, tz: str = "UTC") -> None:
        """Add or change one. Raises ValueError for an expression that cannot be read."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        """Tick until cancelled. A clock that jumps forward ticks once, not once per missed tick."""
        raise NotImplementedError


def handle_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, poll_now: Notify) -> Notify:
    """TERM and INT set `stop`; HUP calls `poll_now`. Returns what undoes it."""
    raise NotImplementedError
