"""Sources whose queue a scheduler keeps, as the operator writes them down."""

from __future__ import annotations

import pytest

from reconciler import places
from reconciler.core.model import Json
from reconciler.core.settings import SourceConfig
from reconciler.dialects.choice import dialect_of
from reconciler.dialects.process import ProcessDialect
from reconciler.dialects.slurm import SlurmDialect
from reconciler.fields import Fields

DEFAULTS = places.Defaults(path=lambda path: f"/home{path.removeprefix('~')}", root="/state", there="~/r", cpus=4)


def _read(**written: Json) -> SourceConfig:
    (source,) = places.read(Fields({"c": {"scheduler": "slurm", **written}}), DEFAULTS)
    return source


def _problems(**written: Json) -> list[tuple[str, str]]:
    found = places.problems(Fields({"c": written}))
    return [("/".join(map(str, problem.path[2:])), problem.message) for problem in found]


def test_what_is_said_about_a_cluster_is_read() -> None:
    source = _read(
        maxJobs=200,
        pollInterval="1m",
        submitInterval="5s",
        arraySize=50,
        nodePython="~/py",
        options={"qos": "high", "account": "p1"},
    )
    assert "~/py" == source.node_python
    assert (200, 60.0, 5.0, 50) == (source.slots, source.poll_s, source.submit_every_s, source.array_size)
    assert (("account", "p1"), ("qos", "high")) == source.options
    assert source.scheduled


def test_a_cluster_has_defaults_that_are_polite_and_a_root_that_its_nodes_see() -> None:
    source = _read()
    assert (100, 30.0, 2.0) == (source.slots, source.poll_s, source.submit_every_s)
    assert "/home/r/c" == source.root


def test_the_dialect_has_the_limits_of_its_source() -> None:
    dialect = dialect_of(_read(maxJobs=20, pollInterval="1m", options={"partition": "gpu"}))
    assert isinstance(dialect, SlurmDialect)
    limits = dialect.limits
    assert (20, 60.0, 2.0, 180.0) == (limits.batch_max, limits.poll_s, limits.submit_every_s, limits.settle_s)
    assert ({"partition": "gpu"}, None) == (dialect.options, dialect.python)
    assert "~/py" == getattr(dialect_of(_read(nodePython="~/py")), "python", "")
    assert isinstance(dialect_of(_read(scheduler="process")), ProcessDialect)


NODE_PYTHON = "a name, an absolute path or one below `~`, as the nodes see it, without quotes, backslashes and `!`"
BAD: list[tuple[dict[str, Json], str, str]] = [
    ({"scheduler": "slurm", "slots": 3}, "slots", "`slots` is for plain processes: the scheduler knows its nodes"),
    ({"scheduler": "slurm", "gpus": [0]}, "gpus", "`gpus` is for plain processes: the scheduler knows its nodes"),
    ({"nodePython": "py"}, "nodePython", "`nodePython` is for schedulers"),
    ({"scheduler": "slurm", "nodePython": "bin/py"}, "nodePython", NODE_PYTHON),
    ({"scheduler": "slurm", "nodePython": "/o'py"}, "nodePython", NODE_PYTHON),
    ({"maxJobs": 3}, "maxJobs", "`maxJobs` is for schedulers"),
    (
        {"scheduler": "slurm", "pollInterval": "2s"},
        "pollInterval",
        "a scheduler that all share is not asked more often than every 10 s",
    ),
    (
        {"scheduler": "slurm", "submitInterval": "5"},
        "submitInterval",
        "`5` is not a duration: write 30s, 10m, 1h30m, 2d or HH:MM:SS",
    ),
    (
        {"scheduler": "slurm", "options": {"array": "0-9"}},
        "options/array",
        "`array` cannot be given to sbatch from here",
    ),
    (
        {"scheduler": "slurm", "options": {"partition": "a b"}},
        "options/partition",
        "`a b` is no value that `partition` takes",
    ),
]


@pytest.mark.parametrize(("written", "place", "message"), BAD)
def test_what_cannot_be_is_told_with_its_place(written: dict[str, Json], place: str, message: str) -> None:
    assert [(place, message)] == _problems(**written)
