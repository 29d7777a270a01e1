"""Is the code on this source the pinned code? Each (project, commit) is an immutable worktree there, made once.

Tasks run in it, so that a commit made later changes nothing for tasks that wait, and two revisions run side by side.
This version serves `self` (the repository of the manifests) on sources of this machine, which read our mirror directly.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.core.errors import Refused
from reconciler.core.model import Commit
from reconciler.core.wire import Hello
from reconciler.source import Source, worktree

SELF = "self"


class Projects:
    """Which worktrees are known to be on one source. A new session asks again: the other end may have changed."""

    def __init__(self, source: Source, mirror: Path) -> None:
        self._source = source
        self._mirror = mirror
        self._session: Hello | None = None
        self._paths: dict[tuple[str, Commit], str] = {}

    async def path(self, project: str, commit: Commit | None) -> str | None:
        """The worktree in which tasks of this project run; None: the project has no code.

        Raises what asking a source raises, and Refused for a project that cannot be brought there.
        """
        if commit is None:
            return None
        if project != SELF:
            raise Refused("UnknownProject", f"project {project!r} is not known", hint=f"this version knows `{SELF}`")
        if self._source.state.hello is not self._session:
            self._session = self._source.state.hello
            self._paths.clear()
        key = (project, commit)
        if key not in self._paths:
            self._paths[key] = await self._source.ask(worktree(project, commit, str(self._mirror)))
        return self._paths[key]
