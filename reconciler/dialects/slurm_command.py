"""How Slurm's programs are run: in an environment in which nobody's habits change what they say."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.wire_commands import Command

ASK_S = 60.0

_KEPT = "PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_[A-Z]+|TZ|MODULE[A-Z_]*|LMOD_[A-Z_]+|BASH_ENV|SLURM_CONF"
_ENVIRONMENT = {"LC_ALL": "C", "SLURM_TIME_FORMAT": "%s", "SLURM_BITSTR_LEN": "0"}
_DROP = ("SLURM_(?!CONF$).*", "S(?:BATCH|QUEUE|CANCEL|ACCT|INFO|CONTROL)_.*")


def asks(argv: Sequence[str], timeout_s: float = ASK_S) -> Command:
    """A program that tells something."""
    return Command(argv=tuple(argv), env=_ENVIRONMENT, drop=_DROP, timeout_s=timeout_s)


def submits(argv: Sequence[str], script: str, timeout_s: float) -> Command:
    """A submission: what a job gets of the environment is what sbatch has."""
    return Command(argv=tuple(argv), drop=(f"(?!(?:{_KEPT})$).*",), stdin=script, timeout_s=timeout_s)
