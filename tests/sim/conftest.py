"""The schedulers that the tests of this folder look at."""

from __future__ import annotations

import pytest

from tests.sim.cluster_jobs import PBS, SLURM
from tests.sim.cluster_lab import Lab


@pytest.fixture
def slurm() -> Lab:
    return Lab(SLURM)


@pytest.fixture
def pbs() -> Lab:
    return Lab(PBS)


@pytest.fixture(params=[SLURM, PBS], ids=["slurm", "pbs"])
def lab(request: pytest.FixtureRequest) -> Lab:
    return Lab(request.param)
