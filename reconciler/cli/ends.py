"""The two ends of a project that a command speaks with: the folder here, and the one on a source.

Both sessions are visitors': they win no epoch, so that a daemon that rules the source is not disturbed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from reconciler.cli.app import App
from reconciler.core.errors import UsageError
from reconciler.core.model import InstanceId
from reconciler.core.settings import ProjectConfig, ProjectKind, SourceConfig, Sync
from reconciler.links.base import Link
from reconciler.links.choice import link_to
from reconciler.links.local import LocalLink
from reconciler.sync import Base, End

VISITOR = InstanceId("")


class Ends(NamedTuple):
    """here: None when no folder of this machine was named, nor is the project's url one."""

    project: ProjectConfig
    source: SourceConfig
    here: End | None
    there: End
    base: Base  # for projects without git


@asynccontextmanager
async def ends_of(app: App, name: str, source: str, here: Path | None) -> AsyncIterator[Ends]:
    """Both ends. Raises UsageError, and what opening a session raises."""
    config = app.config
    project, place = _project(app, name), _source(app, source)
    path = project.path_on(place.name)
    if project.sync is not Sync.VERIFY or not path:
        message = f"the project {name} has no folder of its own on {source}: sources get copies of what is pinned"
        raise UsageError(
            "NothingToSync", message, hint="`sync: Verify` with a `path` makes it a folder that people edit"
        )
    folder = here if here is not None else _folder(project)
    async with AsyncExitStack() as stack:
        there = await _session(stack, link_to(place), place.root, path)
        ours = None
        if folder is not None:
            root = Path(config.state_dir) / "here"
            with suppress(OSError):  # only to remember hashes
                if root.parent.is_dir():
                    (root / "projects").mkdir(parents=True, exist_ok=True)
            ours = await _session(stack, LocalLink(), str(root), str(folder.absolute()))
        file = Path(config.state_dir) / "sync" / f"{project.name}@{place.name}.json"
        yield Ends(project, place, ours, there, Base(file))


def the_one_here(ends: Ends) -> End:
    """The folder here. Raises UsageError when there is none."""
    if ends.here is None:
        message = f"the url of {ends.project.name} is no checkout on this machine"
        raise UsageError("NothingHere", message, hint="name the folder with `--from DIR`")
    return ends.here


async def _session(stack: AsyncExitStack, link: Link, root: str, path: str) -> End:
    session = await link.open(instance=VISITOR, root=root, slots=1, gpus=())
    stack.push_async_callback(session.aclose)
    return End(session, path)


def _project(app: App, name: str) -> ProjectConfig:
    found = app.config.project(name)
    if found is None:
        names = ", ".join(sorted({"self", *(each.name for each in app.config.projects)}))
        raise UsageError("UnknownProject", f"there is no project {name!r}", hint=f"there are: {names}")
    return found


def _source(app: App, name: str) -> SourceConfig:
    for each in app.config.sources:
        if each.name == name:
            return each
    names = ", ".join(sorted(each.name for each in app.config.sources))
    raise UsageError("UnknownSource", f"there is no source {name!r}", hint=f"there are: {names}")


def _folder(project: ProjectConfig) -> Path | None:
    """The project's url, when it is a folder of this machine in which somebody works."""
    path = Path(project.url)
    if not project.url or not path.is_absolute() or not path.is_dir():
        return None
    return path if project.kind is ProjectKind.TREE or (path / ".git").exists() else None
