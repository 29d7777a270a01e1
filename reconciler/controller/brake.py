"""The brake on mass removal: a commit that takes very much away waits for a person's word.

Judged is what one pass removes, together with all that waits already; and while anything of other sweeps waits, what
else is removed waits with it. An explicit `state: Cancelled` is exempt: it says what it does.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.identity import short_hash
from reconciler.core.model import SweepName

SWEEPS_MIN = 2


def brake(*, sweeps: int, deleted: int, removed_active: int, max_tasks: int) -> str:
    """Why this removal set must wait, or "".

    sweeps: how many there were; deleted: how many of them leave; removed_active: active tasks that would be cancelled.
    """
    if deleted >= SWEEPS_MIN and deleted * 2 > sweeps:
        return f"{deleted} of {sweeps} sweeps would go"
    if removed_active > max_tasks:
        return f"{removed_active} active tasks would be cancelled, more than `prune.maxTasks` ({max_tasks})"
    return ""


def plan_id(frozen: Iterable[tuple[SweepName, str]]) -> str:
    """The name of a removal set, to be approved by: the same set has the same name. "" when nothing is frozen."""
    parts = sorted(f"{name}={removal}" for name, removal in frozen if removal)
    return short_hash("\n".join(parts)) if parts else ""
