"""What the demo commits: the Ising model through its phase transition, and an edit made while it runs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from reconciler.core.model import SweepName

SWEEP = SweepName("ising")
FILE = "sweeps.d/ising.yaml"
CRITICAL = 2.269

FIRST = (1.4, 1.8, 2.0, 2.2, 2.5, 3.0, 3.6, 4.2, 5.0)
ADDED = (2.1, 2.269, 2.4)
REMOVED = (4.2, 5.0)


def manifest(temperatures: Sequence[float], python: str) -> str:
    """The manifest; `python` runs the tasks."""
    return f"""\
apiVersion: reconciler/v1alpha1
kind: Sweep
metadata:
  name: {SWEEP}
spec:
  command: [{json.dumps(python)}, examples/ising/ising.py]
  arguments: equals               # appends --temperature=… --seed=… --size=… --sweeps=…
  parameters:
    temperature: {json.dumps(list(temperatures))}
    seed: [1, 2]
    size: 32
    sweeps: 2000
  resources: {{cpus: 1, walltime: 5m}}
  retry: {{limit: 2}}
"""


def edited(running: Sequence[float]) -> tuple[float, ...]:
    """The temperatures after the edit: some are new, some are gone, one of those in the middle of its run."""
    gone = {*REMOVED, *(temperature for temperature in running[-1:])}
    return tuple(sorted({*FIRST, *ADDED} - gone))
