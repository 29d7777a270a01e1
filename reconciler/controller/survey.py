"""All manifests of one tree, before anything acts on them: which sweeps there are, and what is broken.

A broken file harms nothing else. But while any file's sweep cannot even be named, nobody can tell that a sweep is gone.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.clock import Clock
from reconciler.core.errors import ManifestError, Position
from reconciler.core.hints import nearest
from reconciler.core.model import Commit, SweepName
from reconciler.core.settings import SELF, Config
from reconciler.manifests import Broken, Loaded, load_all
from reconciler.repository import Listing, ManifestFile, Repository

MANIFEST_BYTES_MAX = 1 << 20
TABLE_BYTES_MAX = 64 << 20


class Tree(Protocol):
    """Where manifests are read from: a commit, or a checkout."""

    def listing(self) -> Listing: ...

    def read(self, path: str, *, limit: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class AtCommit:
    """The manifests of a commit of the mirror."""

    repository: Repository
    commit: Commit

    def listing(self) -> Listing:
        return self.repository.listing(self.commit)

    def read(self, path: str, *, limit: int) -> bytes:
        return self.repository.read(self.commit, path, limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A good manifest and where it lies."""

    path: str
    loaded: Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """sweeps by name; broken manifests by path, each with the sweep's name when that can be read."""

    sweeps: Mapping[SweepName, Manifest] = field(default_factory=dict)
    broken: Mapping[str, tuple[Broken, ...]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every manifest's sweep is known by name: only then is an absence a deletion."""
        return all(broken.name is not None for several in self.broken.values() for broken in several)

    @property
    def broken_names(self) -> frozenset[SweepName]:
        names = (broken.name for several in self.broken.values() for broken in several)
        return frozenset(name for name in names if name is not None)


def projects_of(config: Config) -> frozenset[str]:
    """The projects that manifests may name."""
    return frozenset({SELF, *(project.name for project in config.projects)})


class Surveyor:
    """Reads trees; manifests whose bytes have not changed since the last tree are not parsed again."""

    def __init__(self, *, max_tasks: int, clock: Clock, projects: Set[str] = frozenset({SELF})) -> None:
        """projects: those that manifests may name."""
        self._max_tasks = max_tasks
        self._projects = projects
        self._clock = clock
        self._cache: dict[tuple[str, str], tuple[Loaded | Broken, ...]] = {}

    async def survey(self, tree: Tree) -> Survey:
        """Every manifest of the tree. Raises RepositoryError when the tree cannot be listed."""
        listing = tree.listing()
        found: list[tuple[str, Loaded | Broken]] = [
            (error.position.file, Broken(name=None, errors=(error,))) for error in listing.refused
        ]
        cache = {}
        for file in listing.manifests:
            results, cacheable = self._read(tree, file)
            found.extend((file.path, result) for result in results)
            if cacheable:
                cache[file.path, file.blob] = results
            await self._clock.sleep(0)
        self._cache = cache
        return _judged(found, self._projects)

    def _read(self, tree: Tree, file: ManifestFile) -> tuple[tuple[Loaded | Broken, ...], bool]:
        """What the file says, and whether it depends on nothing but its own bytes."""
        known = self._cache.get((file.path, file.blob))
        if known is not None:
            return known, True
        tables: list[str] = []

        def read(relative: str) -> bytes:
            tables.append(relative)
            try:
                return tree.read(posixpath.join(posixpath.dirname(file.path), relative), limit=TABLE_BYTES_MAX)
            except ManifestError as error:
                raise OSError(error.message) from error

        try:
            text = tree.read(file.path, limit=MANIFEST_BYTES_MAX)
        except ManifestError as error:
            return (Broken(name=None, errors=(error,)),), False
        return load_all(text, file=file.path, read=read, max_tasks=self._max_tasks), not tables


def _judged(found: list[tuple[str, Loaded | Broken]], projects: Set[str]) -> Survey:
    """Names taken twice, unknown projects and circles of dependencies are errors of the manifests that have them."""
    broken: dict[str, list[Broken]] = {}
    by_name: dict[SweepName, list[Manifest]] = {}
    for path, result in found:
        if isinstance(result, Broken):
            broken.setdefault(path, []).append(result)
        else:
            by_name.setdefault(result.spec.name, []).append(Manifest(path=path, loaded=result))
    sweeps: dict[SweepName, Manifest] = {}
    for name, manifests in by_name.items():
        for manifest in manifests:
            error = _error_of(manifest, manifests, by_name, projects)
            if error is None:
                sweeps[name] = manifest
            else:
                broken.setdefault(manifest.path, []).append(Broken(name=name, errors=(error,)))
    return Survey(sweeps=sweeps, broken={path: tuple(several) for path, several in broken.items()})


def _error_of(
    manifest: Manifest,
    namesakes: list[Manifest],
    by_name: Mapping[SweepName, list[Manifest]],
    projects: Set[str],
) -> ManifestError | None:
    spec = manifest.loaded.spec
    others = sorted(other.path for other in namesakes if other is not manifest)
    if others:
        hint = "a sweep's name is its identity: give one of them another `metadata.name`"
        return _error(manifest, "DuplicateName", f"the sweep {spec.name} is also declared in {', '.join(others)}", hint)
    if spec.project not in projects:
        hint = nearest(spec.project, sorted(projects))
        return _error(manifest, "UnknownProject", f"the project {spec.project!r} is not known", hint)
    circle = _circle(spec.name, by_name)
    if circle:
        hint = "take one of the `dependsOn` entries out"
        return _error(manifest, "DependencyCycle", f"the dependencies go round: {' → '.join(circle)}", hint)
    return None


def _error(manifest: Manifest, reason: str, message: str, hint: str) -> ManifestError:
    return ManifestError(reason, message, position=Position(file=manifest.path), hint=hint)


def _circle(name: SweepName, by_name: Mapping[SweepName, list[Manifest]]) -> list[SweepName]:
    """The path from a sweep back to itself along `dependsOn`, or nothing."""
    paths = [[name]]
    seen = {name}
    while paths:
        path = paths.pop()
        for manifest in by_name.get(path[-1], ()):
            for following in manifest.loaded.spec.depends_on:
                if following == name:
                    return [*path, name]
                if following not in seen:
                    seen.add(following)
                    paths.append([*path, following])
    return []
