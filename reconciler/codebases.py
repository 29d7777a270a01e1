"""The `projects` of the operator's file: which code sweeps may name, and how each source comes to hold it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

from reconciler.core.errors import Problem
from reconciler.core.model import ProjectName, SourceName
from reconciler.core.settings import SELF, ProjectConfig, ProjectKind, Sync, Transfer
from reconciler.fields import Fields

REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[^/]+:")  # a scheme, or user@host:path
PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/@:]*:[^/@]+@")


def problems(projects: Fields, sources: Collection[str]) -> Iterator[Problem]:
    """What has the right form and still cannot be. sources: the names of the configured ones."""
    for name in projects.value:
        yield from _problems(name, projects.part(name), sources)


def _problems(name: str, fields: Fields, sources: Collection[str]) -> Iterator[Problem]:
    place = ("projects", name)
    sync, kind = _sync(fields), _kind(fields)
    if name == SELF and "url" in fields:
        message = f"`{SELF}` is the repository of the manifests: its url stands there"
        yield Problem(path=(*place, "url"), reason="NoEffect", message=message, at_key=True)
    if name == SELF and kind is ProjectKind.TREE:
        message = f"`{SELF}` is the repository of the manifests, which is git"
        yield Problem(path=(*place, "kind"), reason="InvalidValue", message=message)
    if name != SELF and "url" not in fields and sync is Sync.WORKTREE:
        message = "a project needs a `url`: where its code comes from"
        yield Problem(path=place, reason="MissingField", message=message)
    if PASSWORD.match(fields.text("url", "")):
        hint = "use an SSH key, or for https an entry in ~/.netrc"
        message = "a password does not belong into a file that people read"
        yield Problem(path=(*place, "url"), reason="PasswordInUrl", message=message, hint=hint)
    if kind is ProjectKind.TREE and REMOTE.match(fields.text("url", "")):
        message = "a project without git is a folder on this machine"
        yield Problem(path=(*place, "url"), reason="InvalidValue", message=message)
    yield from _misplaced(place, fields, sync, kind)
    yield from _paths(place, fields, sync, sources)


def _misplaced(place: tuple[str, ...], fields: Fields, sync: Sync, kind: ProjectKind) -> Iterator[Problem]:
    """Fields that mean nothing beside the others."""
    if sync is Sync.VERIFY:
        for name in ("link", "transfer"):
            if name in fields:
                message = f"`{name}` has no meaning beside `sync: Verify`, which copies nothing to the source"
                yield Problem(path=(*place, name), reason="NoEffect", message=message, at_key=True)
    elif "path" in fields:
        message = "`path` is for `sync: Verify`: a worktree has its place in the source's root"
        yield Problem(path=(*place, "path"), reason="NoEffect", message=message, at_key=True)
    if kind is ProjectKind.TREE and _transfer(fields) is Transfer.FETCH:
        message = "a project without git cannot be fetched"
        yield Problem(path=(*place, "transfer"), reason="InvalidValue", message=message)


def _paths(place: tuple[str, ...], fields: Fields, sync: Sync, sources: Collection[str]) -> Iterator[Problem]:
    if sync is Sync.VERIFY and "path" not in fields:
        message = "`sync: Verify` needs `path`: where the checkout lies on the sources"
        yield Problem(path=place, reason="MissingField", message=message)
    for name in fields.mapping("path") if _several(fields) else ():
        if name not in sources:
            message = f"there is no source {name!r}"
            hint = f"there are: {', '.join(sorted(sources))}"
            yield Problem(path=(*place, "path", name), reason="UnknownSource", message=message, hint=hint, at_key=True)


def read(projects: Fields, *, repository_url: str, path: Callable[[str], str]) -> tuple[ProjectConfig, ...]:
    """What is configured. path: makes a path on this machine absolute."""
    return tuple(
        _project(ProjectName(name), projects.part(name), repository_url=repository_url, path=path)
        for name in projects.value
    )


def _project(name: ProjectName, fields: Fields, *, repository_url: str, path: Callable[[str], str]) -> ProjectConfig:
    url = repository_url if name == SELF else fields.text("url", "")
    several = _several(fields)
    return ProjectConfig(
        name=name,
        url=url if not url or REMOTE.match(url) else path(url),
        sync=_sync(fields),
        path="" if several else fields.text("path", ""),
        paths={SourceName(each): text for each, text in fields.text_mapping("path").items()} if several else {},
        link=fields.texts("link"),
        transfer=_transfer(fields),
        kind=_kind(fields),
    )


def _several(fields: Fields) -> bool:
    """Whether `path` differs from source to source."""
    return not isinstance(fields.value.get("path", ""), str)


def _sync(fields: Fields) -> Sync:
    return Sync(fields.text("sync", Sync.WORKTREE))


def _kind(fields: Fields) -> ProjectKind:
    return ProjectKind(fields.text("kind", ProjectKind.GIT))


def _transfer(fields: Fields) -> Transfer:
    return Transfer(fields.text("transfer", Transfer.BUNDLE))
