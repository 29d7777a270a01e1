"""The operator's configuration, with every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.core.model import ProjectName, SourceName

MAX_TASKS_PER_SWEEP = 100_000
SELF = ProjectName("self")  # the repository of the manifests


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Whose commits are believed: Off, or Head (the head commit must be signed by one of the allowed signers)."""

    mode: str = "Off"
    allowed_signers: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryConfig:
    url: str
    branch: str = "main"
    path: str = "sweeps.d"
    interval_s: float = 30.0
    verify: Verification = Verification()


class Sync(StrEnum):
    """How a source comes to hold the pinned code."""

    WORKTREE = "Worktree"  # an immutable copy of ours for each pin
    VERIFY = "Verify"  # a checkout of somebody's, which we only look at


class Transfer(StrEnum):
    """How missing objects reach a source."""

    BUNDLE = "Bundle"  # from our mirror, over the link
    FETCH = "Fetch"  # the source itself fetches from the url


class ProjectKind(StrEnum):
    GIT = "Git"
    TREE = "Tree"  # a folder without git, pinned to the hash of its files


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectConfig:
    """Code that sweeps run.

    url    where it comes from; "": nothing can be brought (Verify without a url)
    path   Verify: the checkout on every source that `paths` does not name, "" for none
    paths  Verify: the checkout on each source
    link   what lies in the project's shared folder on each source, and is linked into each copy
    """

    name: ProjectName
    url: str
    sync: Sync = Sync.WORKTREE
    path: str = ""
    paths: Mapping[SourceName, str] = field(default_factory=dict)
    link: tuple[str, ...] = ()
    transfer: Transfer = Transfer.BUNDLE
    kind: ProjectKind = ProjectKind.GIT

    def path_on(self, source: SourceName) -> str:
        """The checkout on this source, "" if none is configured."""
        return self.paths.get(source, self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One place where tasks run. `host` None = this machine; else ssh://[user@]host[:port], and `root` may begin with
    `~`, the home folder there. What is None of the way there is as ssh_config says; `python` None = python3 there.

    Where a scheduler keeps the queue, slots are the most jobs that are there at once, waiting ones included:

    poll_s          seconds between two questions for the queue
    submit_every_s  at least so many between two submissions
    array_size      the most attempts in one of them
    options         of the scheduler's own kind, for all that is submitted
    node_python     of its nodes; None = the one of the agent, or python3
    """

    name: SourceName
    scheduler: str = "process"
    host: str | None = None
    slots: int = 1
    gpus: tuple[int, ...] = ()
    gpu_type: str | None = None
    memory_mib: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    root: str = ""
    enabled: bool = True
    python: str | None = None
    node_python: str | None = None
    identity_file: str | None = None
    known_hosts: str | None = None
    ssh_config: str | None = None
    poll_s: float = 30.0
    submit_every_s: float = 2.0
    array_size: int = 1000
    options: tuple[tuple[str, str], ...] = ()

    @property
    def scheduled(self) -> bool:
        """Whether a scheduler keeps its queue."""
        return self.scheduler != "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The operator's file, with every default filled in; paths are absolute."""

    file: str | None
    repository: RepositoryConfig
    sources: tuple[SourceConfig, ...]
    state_dir: str
    results_dir: str
    max_tasks_per_sweep: int = MAX_TASKS_PER_SWEEP
    prune_max_tasks: int = 100
    listen_host: str = "127.0.0.1"
    listen_port: int = 9470
    results_of_all: bool = False  # collected from sources of this machine, too
    results_max_file_mib: int = 64
    projects: tuple[ProjectConfig, ...] = ()  # `self` stands here only when it was configured

    @property
    def collecting(self) -> frozenset[SourceName]:
        """The sources whose results are collected."""
        return frozenset(each.name for each in self.sources if each.host is not None or self.results_of_all)

    def project(self, name: str) -> ProjectConfig | None:
        """The project of this name; `self` is always there."""
        found = next((each for each in self.projects if each.name == name), None)
        return ProjectConfig(name=SELF, url=self.repository.url) if found is None and name == SELF else found
