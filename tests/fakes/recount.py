"""What a recount of a store finds wrong, once nothing is active."""

from __future__ import annotations

import sqlite3
from pathlib import Path

_RECOUNT = """
    SELECT t.sweep, coalesce(t.source, ''), t.phase, t.standing, count(*) FROM tasks t
    JOIN sweeps s ON s.id = t.sweep WHERE t.added <= s.generation GROUP BY 1, 2, 3, 4
"""


def faults(state: Path) -> list[str]:
    """Sentences; none when all is well."""
    database = sqlite3.connect(f"file:{state}/state.db?mode=ro", uri=True)
    found = [str(row) for row in database.execute("PRAGMA integrity_check") if row != ("ok",)]
    counted = set(database.execute("SELECT sweep, source, phase, standing, n FROM counters WHERE n <> 0"))
    found += [f"counters differ: {row}" for row in counted ^ set(database.execute(_RECOUNT))]
    found += [f"left: {row}" for row in database.execute("SELECT * FROM attempts WHERE open = 1")]
    found += [f"head: {row}" for row in database.execute("SELECT * FROM heads")]
    found += [f"settling: {row}" for row in database.execute("SELECT name FROM sweeps WHERE settling = 1")]
    database.close()
    return found
