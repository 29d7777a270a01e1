"""What a Slurm cluster bears, as it tells it; and that nothing but questions is ever asked by visitors."""

from __future__ import annotations

import re

import pytest

from reconciler.core.jobs import Demand, Site
from reconciler.core.model import Resources, SweepName
from reconciler.core.wire_commands import Ran
from reconciler.dialects import slurm_site as site
from reconciler.dialects.slurm import SlurmDialect
from reconciler.dialects.slurm_trial import SlurmTrials

CONFIG = """\
Configuration data as of 2026-11-22T14:00:00
AccountingStorageEnforce = associations,limits
AccountingStorageType   = accounting_storage/slurmdbd
KillWait                = 30 sec
MaxArraySize            = 1001
MaxJobCount             = 10000
MessageTimeout          = 10 sec
MinJobAge               = 300 sec
SLURM_VERSION           = 22.05.8
Slurmctld(primary) at vm is UP
"""
ONLY_LOOKS = re.compile(
    r"sbatch --test-only .*|scontrol show .*|sinfo .*|sh -c exec sacctmgr --noheader --parsable2 --readonly show .*"
)


def said(out: str) -> Ran:
    return Ran(rc=0, out=out)


def jobs_max(associations: str, qos: str, options: dict[str, str]) -> int | None:
    ran = {"config": said(CONFIG), "associations": said(associations), "qos": said(qos)}
    found = site.read(ran, options)
    return None if found is None else found.jobs_max


def test_a_cluster_tells_what_it_bears() -> None:
    ran = {
        "config": said(CONFIG),
        "partitions": said("gpu\nmain*\n"),
        "associations": said("p1|40||normal\n"),
        "qos": said("normal||\n"),
    }

    expected = Site(
        version="Slurm 22.05.8", batch_max=1001, queue_max=10000, jobs_max=40, forgets_s=300, kill_wait_s=30,
        patience_s=10, accounted=True, partition="main",
    )  # fmt: skip
    assert expected == site.read(ran, {})


@pytest.mark.parametrize(
    "ran",
    [
        {},
        {"config": Ran(rc=1, err="slurm_load_ctl_conf error: Unable to contact slurm controller\n")},
        {"config": Ran(rc=0, out=CONFIG, timed_out=True)},
        {"config": Ran(rc=None, err="scontrol: No such file or directory")},
    ],
)
def test_where_no_controller_answers_there_is_no_cluster(ran: dict[str, Ran]) -> None:
    assert site.read(ran, {}) is None


def test_what_is_not_told_is_not_known() -> None:
    ran = {"config": said("SLURM_VERSION = 25.05.1\n"), "associations": Ran(rc=1, err="no accounting")}

    assert Site(version="Slurm 25.05.1") == site.read(ran, {})


@pytest.mark.parametrize(("kind", "accounted"), [("none", False), ("slurmdbd", True), ("mysql", True)])
def test_whether_ends_are_accounted_is_told(kind: str, accounted: bool) -> None:
    found = site.read({"config": said(CONFIG.replace("/slurmdbd", f"/{kind}"))}, {})
    assert found is not None
    assert accounted is found.accounted


@pytest.mark.parametrize(
    ("associations", "qos", "options", "most"),
    [
        ("p1|40||\n", "", {}, 40),
        ("p1|40|7|\n", "", {}, 7),
        ("p1|||\n", "", {}, None),
        ("p1|-1||\n", "", {}, None),
        ("p1|40||low\n", "low|5|\nnormal||\n", {}, 5),
        ("p1|40||low\n", "low|5|\nnormal|9|\n", {"qos": "normal"}, 9),
        ("p1|40||low\n", "low||3\n", {}, 3),
        ("p1|40||\np2|400||\n", "", {}, 400),
        ("p1|40||\np2|||\n", "", {}, None),
        ("p1|40||\np2|||\n", "", {"account": "p1"}, 40),
        ("", "", {}, None),
    ],
)
def test_the_tightest_limit_of_the_account_that_is_used_counts(
    associations: str, qos: str, options: dict[str, str], most: int | None
) -> None:
    assert most == jobs_max(associations, qos, options)


def test_within_a_site_the_operators_limits_only_become_tighter() -> None:
    dialect = SlurmDialect.of(options={}, array_size=500)

    sizes = [
        dialect.within(Site(version="", batch_max=most, jobs_max=jobs)).limits.batch_max
        for most, jobs in ((1000, None), (100, None), (1000, 7), (1000, 0), (None, None))
    ]
    assert [500, 100, 7, 1, 500] == sizes


def test_whatever_visitors_have_run_only_looks() -> None:
    trial = SlurmTrials(options={}).command(SweepName("s"), Demand(resources=Resources()), 1, "/r")
    asked = [" ".join(command.argv) for command in (trial, *site.commands().values())]

    assert [] == [words for words in asked if not ONLY_LOOKS.fullmatch(words)]
