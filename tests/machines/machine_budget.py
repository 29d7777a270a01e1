"""How much is run: derandomised and short by default, at random and at length with RECONCILER_HYPOTHESIS=long."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

LONG = os.environ.get("RECONCILER_HYPOTHESIS") == "long"


def budget(examples: int, *, long: int, steps: int = 50) -> settings:
    """So many examples, each of at most so many steps if it is a machine."""
    return settings(
        max_examples=long if LONG else examples,
        stateful_step_count=steps,
        derandomize=not LONG,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
