"""The way Verify: somebody's own checkout, or folder, on the source. We look at it, and never write into it.

Tasks start in it only while it is exactly the pinned code: HEAD is the pinned commit and no tracked file differs, or
all its files have the pinned hash. What was found is sealed there, and the seal is looked at once more just before each
start, so that an edit made meanwhile starts nothing; then everything is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconciler.core.dispatch import Hold
from reconciler.core.model import Commit
from reconciler.core.settings import ProjectConfig, ProjectKind
from reconciler.core.trees import TREE_PIN, State, differs_from, hash_of, tree_differs_from
from reconciler.core.wire_trees import checkout, tree
from reconciler.project.base import Brought
from reconciler.source import Source

LOOK_AGAIN_S = 300.0  # so that status tells of an edit though nothing starts
CHANGING = "its files changed while they were looked at"

Wanted = Callable[[Commit], Mapping[str, State] | None]


class Verify:
    """Of one project. wanted: the files of a pin without git, as far as they are known here."""

    def __init__(self, project: ProjectConfig, wanted: Wanted) -> None:
        self._project = project
        self._wanted = wanted

    async def bring(self, source: Source, pin: Commit) -> Brought | Hold:
        """See `Way`. Nothing is brought: it is there, or what differs is named."""
        project, name = self._project, source.config.name
        path = project.path_on(name)
        if not path:
            message = f"the project {project.name} has no `path` on {name}"
            return Hold(reason="ProjectNotReady", message=message)
        if pin.startswith(TREE_PIN) != (project.kind is ProjectKind.TREE):
            message = f"the project {project.name} was pinned to {pin[:12]} while it was of another kind"
            return Hold(reason="ProjectNotReady", message=message)
        path, seal, differs = await self._look(source, path, pin)
        if seal:
            return Brought(path=path, seal=seal, look_again_s=LOOK_AGAIN_S)
        return Hold(reason="ProjectDiffers", message=f"{path} on {name}: {differs or CHANGING}")

    async def _look(self, source: Source, path: str, pin: Commit) -> tuple[str, str, str]:
        """Where it lies, its seal or "", and what differs."""
        if self._project.kind is ProjectKind.TREE:
            found = await source.ask(tree(path, hash_of(pin), self._project.name))
            return found.path, found.seal, tree_differs_from(found, self._wanted(pin), pin)
        state = await source.ask(checkout(path, pin, self._project.name))
        return state.path, state.seal, differs_from(state, pin)
