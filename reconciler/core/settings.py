"""The operator's configuration, with every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core.model import SourceName

MAX_TASKS_PER_SWEEP = 100_000


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One place where tasks run. `host` None = this machine."""

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
