"""The reconciler: a daemon, a repository and a commit; all starts and ends durable, output files, exit records.

The clock runs from before the commit until the last task is recorded as succeeded: it has fetching, checking, expanding
and accepting in it. The daemon is up before, as the peers' servers are.
"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks import product
from benchmarks.contender import SLOTS
from reconciler import __version__
from reconciler.core.model import Phase

NAME = "reconciler"


def version() -> str:
    return __version__


def dispatch(tasks: int) -> float:
    folder = Path.cwd()
    repository = product.make_repository(folder)
    with product.running(folder, repository, slots=SLOTS) as daemon:
        started = product.commit(repository, product.manifest(product.whole_numbers(tasks)))
        daemon.wait_for_tasks(Phase.SUCCEEDED, tasks)
        return time.time() - started
