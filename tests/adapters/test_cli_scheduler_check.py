"""`check` looks for the programs by which a scheduler is spoken to."""

from __future__ import annotations

import pytest

from reconciler.cli.schedulers import missing


@pytest.mark.parametrize(
    ("scheduler", "programs", "told"),
    [
        ("process", [], []),
        (
            "slurm",
            ["git", "sbatch", "squeue", "scancel"],
            [],
        ),
        ("slurm", ["sbatch"], ["fail: the programs of slurm were not found: squeue, scancel"]),
        ("pbs", [], ["fail: the programs of pbs were not found: qsub, qstat, qdel"]),
    ],
)
def test_what_a_scheduler_needs_has_to_be_there(scheduler: str, programs: list[str], told: list[str]) -> None:
    found = list(missing("source a", scheduler, programs))

    assert told == [f"{each.level}: {each.message}" for each in found]
    assert all(each.hint for each in found if each.level == "fail")
