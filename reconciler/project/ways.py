"""Which project has which way: chosen by its `sync` and `kind`, here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reconciler.core.model import ProjectName
from reconciler.core.settings import SELF, Config, ProjectConfig, ProjectKind, Sync
from reconciler.project.base import Way, Ways
from reconciler.project.worktree import Worktree


def ways_of(config: Config, mirror: Callable[[ProjectName], Path]) -> Ways:
    """The way of each project of the configuration. mirror: where a project's mirror lies on this machine."""
    projects = {SELF: config.project(SELF)} | {project.name: project for project in config.projects}
    return {name: _way(project, mirror) for name, project in projects.items() if project is not None}


def _way(project: ProjectConfig, mirror: Callable[[ProjectName], Path]) -> Way:
    match project.sync, project.kind:
        case Sync.WORKTREE, ProjectKind.GIT:
            return Worktree(project.name, mirror(project.name))
        case _:
            raise AssertionError(f"no way for {project}")  # the configuration refuses it
