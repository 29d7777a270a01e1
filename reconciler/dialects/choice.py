"""Which dialect a source's scheduler is spoken to in: all sources of a configuration come through here."""

from __future__ import annotations

from reconciler.core.settings import SourceConfig
from reconciler.dialects.base import Dialect
from reconciler.dialects.process import ProcessDialect
from reconciler.dialects.slurm import SlurmDialect
from reconciler.dialects.slurm_trial import SlurmTrials


def trials_of(source: SourceConfig) -> SlurmTrials | None:
    """How this source's scheduler is asked what it thinks of a submission; None when there is nobody to ask."""
    return SlurmTrials(options=dict(source.options)) if source.scheduler == "slurm" else None


def dialect_of(source: SourceConfig) -> Dialect:
    """The dialect of this source, with the operator's limits and options."""
    if source.scheduler == "slurm":
        return SlurmDialect.of(
            options=dict(source.options),
            poll_s=source.poll_s,
            array_size=min(source.array_size, source.slots),
            submit_every_s=source.submit_every_s,
            python=source.node_python,
        )
    return ProcessDialect()
