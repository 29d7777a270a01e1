"""Which project has which way: chosen by its `sync` and `kind`, here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reconciler.clock import Clock
from reconciler.core.model import ProjectName
from reconciler.core.settings import SELF, Config, ProjectConfig, ProjectKind, Sync
from reconciler.project.base import Way, Ways
from reconciler.project.tree import Snapshot
from reconciler.project.verify import Verify
from reconciler.project.worktree import Worktree
from reconciler.repository import Stock


def ways_of(config: Config, stocks: Mapping[ProjectName, Stock], *, bundles: Path, clock: Clock) -> Ways:
    """The way of each project of the configuration.

    stocks: where the code of each git project lies on this machine; bundles: a folder for what is on its way.
    """
    projects = {SELF: config.project(SELF)} | {project.name: project for project in config.projects}
    return {name: _way(project, stocks, bundles, clock) for name, project in projects.items() if project is not None}


def _way(project: ProjectConfig, stocks: Mapping[ProjectName, Stock], bundles: Path, clock: Clock) -> Way:
    match project.sync, project.kind:
        case Sync.WORKTREE, ProjectKind.GIT:
            return Worktree(project, stocks[project.name], bundles, clock)
        case Sync.WORKTREE, ProjectKind.TREE:
            return Snapshot(project, stocks[project.name], bundles, clock)
        case Sync.VERIFY, _:
            return Verify(project, lambda _: None)
        case _:
            raise AssertionError(f"no way for {project}")  # the configuration refuses it
