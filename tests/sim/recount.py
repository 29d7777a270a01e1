"""A count of a store's rows against what it keeps beside them: counters, heads, open attempts."""

from __future__ import annotations

from pathlib import Path

from tests.sim.disk import CONNECT

_COUNTERS = """
    SELECT t.sweep, coalesce(t.source, ''), t.phase, t.standing, count(*) FROM tasks t
    JOIN sweeps s ON s.id = t.sweep WHERE t.added <= s.generation GROUP BY 1, 2, 3, 4
"""
_HEADS = """
    SELECT t.sweep, coalesce(t.not_before, 0.0), t.ordinal, t.task FROM tasks t JOIN sweeps s ON s.id = t.sweep
    WHERE t.added <= s.generation AND t.phase = 'waiting' AND t.standing = 'desired'
"""
_LIMBO = """
    SELECT t.task, t.phase, t.attempts FROM tasks t JOIN sweeps s ON s.id = t.sweep
    WHERE t.added <= s.generation AND t.phase IN ('queued', 'running') AND t.standing <> 'orphaned' AND NOT EXISTS (
        SELECT 1 FROM attempts a WHERE a.sweep = t.sweep AND a.task = t.task AND a.number = t.attempts AND a.open = 1)
"""


def recount(state: Path) -> list[str]:
    """What counters, heads and open attempts say against the tasks themselves."""
    database = CONNECT(f"file:{state}/state.db?mode=ro", uri=True)
    try:
        counted = set(database.execute("SELECT sweep, source, phase, standing, n FROM counters WHERE n <> 0"))
        found = [f"counters differ: {row}" for row in counted ^ set(database.execute(_COUNTERS))]
        heads = set(
            database.execute(
                "SELECT h.sweep, h.wake, h.ordinal, h.task FROM heads h JOIN sweeps s ON s.id = h.sweep"
                " WHERE h.added <= s.generation"
            )
        )
        found += [f"heads differ: {row}" for row in heads ^ set(database.execute(_HEADS))]
        found += [f"neither waiting, nor open, nor ended: {row}" for row in database.execute(_LIMBO)]
        return found
    finally:
        database.close()
