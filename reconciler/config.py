"""The operator's file, typed, with every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reconciler.core.errors import ConfigError, ReconcilerError
from reconciler.core.model import Config


class InvalidConfig(ReconcilerError):
    """All errors of the configuration; `str` has one line for each."""

    def __init__(self, errors: tuple[ConfigError, ...]) -> None:
        super().__init__("InvalidConfig", "\n".join(map(str, errors)))
        self.errors = errors

    def __str__(self) -> str:
        return self.message


def load(path: Path | None, *, cwd: Path, env: Mapping[str, str], home: Path, cpus: int) -> Config:
    """The configuration from `path`, $RECONCILER_CONFIG, cwd, ~/.config/reconciler or /etc/reconciler: the first there is.

    Without any, a git repository with `sweeps.d/` around `cwd` is served on this machine with `cpus` slots.
    Raises InvalidConfig.
    """
    raise NotImplementedError
