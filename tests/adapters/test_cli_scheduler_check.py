"""`check` looks for schedulers: by their programs, and by asking their controllers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from reconciler.cli.findings import Level
from reconciler.cli.schedulers import PROGRAMS, missing, scheduler_findings
from reconciler.core.model import HostIdentity, InstanceId, Json, SourceName
from reconciler.core.settings import SourceConfig
from reconciler.core.wire import Found, Hello, Reply, Request


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


async def test_a_pbs_is_told_of_and_nothing_is_asked_there() -> None:
    source = SourceConfig(name=SourceName("a"))

    (found,) = await scheduler_findings(source, Silent(), ["git", "qsub", "qstat", "qdel"])

    assert (Level.WARN, True) == (found.level, "does not speak" in found.message)


async def test_a_machine_without_programs_of_any_scheduler_is_asked_nothing() -> None:
    assert [] == await scheduler_findings(SourceConfig(name=SourceName("a")), Silent(), ["git", "rsync"])


async def test_a_cluster_that_takes_no_arrays_cannot_be_used() -> None:
    config = "SLURM_VERSION = 22.05.8\nMaxArraySize = 0\n"
    source = SourceConfig(name=SourceName("a"), scheduler="slurm")

    (found,) = await scheduler_findings(source, Silent(config), PROGRAMS["slurm"])

    assert (Level.FAIL, "job arrays are switched off there") == (found.level, found.message)


class Silent:
    """A session with a machine whose Slurm tells its configuration, or, without one, must not be asked."""

    hello = Hello(identity=HostIdentity(host="h", machine="m", boot="b"), epoch=0, python="3", root="/r", clock=0.0,
                  owner=InstanceId(""))  # fmt: skip

    def __init__(self, config: str = "") -> None:
        self._config = config

    async def ask(self, request: Request) -> Reply:
        assert self._config, f"asked for {request.op}"
        told: Json = {"rc": 0, "out": self._config, "err": "", "timed_out": False, "cut": False}
        return Reply(body={"ran": dict.fromkeys(request.body["commands"], told)})

    async def pushes(self) -> AsyncIterator[Sequence[Found]]:
        for page in ():
            yield page

    async def aclose(self) -> None:
        pass
