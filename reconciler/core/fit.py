"""Which sources could take a task, which of them may be used now, and why not.

A task that needs a GPU never fits a source without; a source that is down or disabled gets nothing. What is written
here holds whatever the strategy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.core.model import Instant, Resources, SourceName
from reconciler.core.spec import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a source can take now.

    up, enabled  whether it answers, and whether the operator wants it used; `reason` and `message` say why not
    slots        attempts that run at once; prefetch: attempts that may queue there beyond the slots
    active       attempts of ours there, queued ones included
    scheduled    a scheduler knows what its nodes have, and itself refuses what fits none
    gpus_free    of its `gpus`, how many no attempt holds
    memory_mib   of the whole source; None = not known, and then not checked
    nodes        most nodes that one attempt may span
    """

    name: SourceName
    slots: int
    active: int = 0
    prefetch: int = 0
    up: bool = True
    enabled: bool = True
    reason: str = ""
    message: str = ""
    gpus: int = 0
    gpus_free: int = 0
    gpu_type: str | None = None
    memory_mib: int | None = None
    nodes: int = 1
    scheduled: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def in_use(self) -> bool:
        return self.up and self.enabled


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why tasks of a sweep do not start, until when (None: until something else changes), and how many of them."""

    reason: str
    message: str
    until: Instant | None = None
    tasks: int = 0


def allowed(placement: Placement, capacities: Sequence[Capacity]) -> list[Capacity]:
    """The sources that the placement names or selects by label, by name."""
    wanted = (placement.match_labels or {}).items()
    chosen = [
        capacity
        for capacity in capacities
        if (placement.sources is None or capacity.name in placement.sources) and wanted <= capacity.labels.items()
    ]
    return sorted(chosen, key=lambda capacity: capacity.name)


def misfit(capacity: Capacity, resources: Resources) -> str:
    """Why a source could never take such a task, even when idle; "" = it could."""
    if capacity.slots < 1:
        return "has no slots"
    memory_mib = math.inf if capacity.memory_mib is None else capacity.memory_mib
    if (resources.memory_mib or 0) > memory_mib:
        return f"has {capacity.memory_mib} MiB of memory, the task needs {resources.memory_mib}"
    if capacity.scheduled:
        return ""
    if resources.gpus > capacity.gpus:
        return f"has {capacity.gpus} GPUs, the task needs {resources.gpus}"
    if resources.gpus and resources.gpu_type not in (None, capacity.gpu_type):
        return f"has {capacity.gpu_type or 'unnamed'} GPUs, the task needs {resources.gpu_type}"
    if resources.nodes > capacity.nodes:
        return f"gives {capacity.nodes} nodes to a task, the task needs {resources.nodes}"
    return ""


def usable(
    capacities: Sequence[Capacity], resources: Resources, barred: Mapping[SourceName, Hold]
) -> list[Capacity] | Hold:
    """Those of the allowed sources that fit and may be used now; or why there are none.

    barred: those on which the code is not ready, and why.
    """
    if not capacities:
        return Hold(reason="NoSourceFits", message="no source has the names or labels that the placement asks for")
    misfits = {capacity.name: misfit(capacity, resources) for capacity in capacities}
    fitting = [capacity for capacity in capacities if not misfits[capacity.name]]
    if not fitting:
        told = "; ".join(f"{name} {why}" for name, why in misfits.items())
        return Hold(reason="NoSourceFits", message=f"no source could ever take it: {told}")
    enabled = [capacity for capacity in fitting if capacity.enabled]
    if not enabled:
        return Hold(reason="SourcesDisabled", message=f"disabled: {', '.join(each.name for each in fitting)}")
    up = [capacity for capacity in enabled if capacity.up]
    if not up:
        told = "; ".join(f"{each.name} ({each.message or each.reason or 'no answer'})" for each in enabled)
        return Hold(reason="SourcesDown", message=f"down: {told}")
    ready = [capacity for capacity in up if capacity.name not in barred]
    return ready or _barred([barred[capacity.name] for capacity in up])


def _barred(holds: Sequence[Hold]) -> Hold:
    """All that the sources say, under the reason of the first, until the first may change."""
    until = min((hold.until for hold in holds if hold.until is not None), default=None)
    return Hold(reason=holds[0].reason, message="; ".join(hold.message for hold in holds), until=until)


def busy(resources: Resources) -> Hold:
    """Why a task waits although sources for it are up."""
    if resources.gpus:
        return Hold(reason="GpusBusy", message=f"{resources.gpus} GPUs and a slot are not free at once on any source")
    return Hold(reason="SourcesBusy", message="all slots are taken")
