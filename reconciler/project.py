"""Is the code on this source the pinned code? Each (project, commit) is an immutable worktree there, made once.

Tasks run in it, so that a commit made later changes nothing for tasks that wait, and two revisions run side by side.
This version serves `self` (the repository of the manifests) on sources of this machine, which read our mirror directly.

Code that cannot be brought there holds the sweeps that need it, and nothing else; it is tried again after a while.
"""

from __future__ import annotations

import logging
from collections.abc import Set
from dataclasses import replace
from pathlib import Path

from reconciler.clock import Clock
from reconciler.core.dispatch import Hold
from reconciler.core.errors import Busy, Refused
from reconciler.core.model import Commit
from reconciler.core.wire import Hello
from reconciler.crashpoints import crashpoint
from reconciler.source import Source, worktree

log = logging.getLogger("reconciler.project")

SELF = "self"
AGAIN_S = 30.0


class Projects:
    """Which worktrees are known to be on one source. A new session asks again: the other end may have changed."""

    def __init__(self, source: Source, mirror: Path, clock: Clock) -> None:
        self._source = source
        self._mirror = mirror
        self._clock = clock
        self._session: Hello | None = None
        self._paths: dict[Commit, str] = {}
        self._problems: dict[Commit, Hold] = {}
        self._again_at: dict[Commit, float] = {}  # elapsed: the wall clock may be set back meanwhile

    async def bring(self, wanted: Set[Commit]) -> bool:
        """Make the worktrees of these commits of `self`, unless they are there or failed a moment ago.

        Returns whether anything has changed. Raises what asking a source raises when there is no answer.
        """
        elapsed = self._clock.elapsed()
        due = {commit for commit in self._problems if self._again_at[commit] <= elapsed}
        missing = sorted((wanted | due) - self._there().keys() - (self._problems.keys() - due))
        for commit in missing:
            await self._make(commit)
        return bool(missing)

    def path(self, commit: Commit) -> str | None:
        """The worktree in which tasks run that are pinned to this commit; None: it was not brought there."""
        return self._there().get(commit)

    def problem(self, commit: Commit) -> Hold | None:
        """Why nothing that is pinned to this commit can start here; it is tried again soon after the hold's end.

        From its end on there is nothing to wait for but what comes of that: who waited for an instant that has passed
        would never wait again.
        """
        hold = self._problems.get(commit)
        overdue = hold is not None and hold.until is not None and hold.until <= self._clock.now()
        return replace(hold, until=None) if hold is not None and overdue else hold

    def forget(self, pinned: Set[Commit]) -> None:
        """Only these commits are of interest."""
        for commit in self._problems.keys() - pinned:
            del self._problems[commit]

    def _there(self) -> dict[Commit, str]:
        if self._source.state.hello is not self._session:
            self._session = self._source.state.hello
            self._paths = {}
        return self._paths

    async def _make(self, commit: Commit) -> None:
        name = self._source.config.name
        try:
            path = await self._source.ask(worktree(SELF, commit, str(self._mirror)))
            crashpoint("project.brought")
            self._there()[commit] = path
            self._problems.pop(commit, None)
        except (Refused, Busy) as error:
            log.warning("code not brought", extra={"source": name, "commit": commit, "why": error.message})
            message = f"the code of {commit[:12]} cannot be brought to {name}: {error.message}"
            again_at = self._clock.now() + AGAIN_S
            self._problems[commit] = Hold(reason="ProjectNotReady", message=message, until=again_at)
            self._again_at[commit] = self._clock.elapsed() + AGAIN_S
