"""What Slurm thinks of a submission that nobody makes, and what is at fault."""

from __future__ import annotations

import pytest

from reconciler.core.errors import Refused
from reconciler.core.jobs import Demand
from reconciler.core.model import Resources, SweepName
from reconciler.core.wire_commands import Ran
from reconciler.dialects import slurm_submission as submission
from reconciler.dialects.base import Opinion
from reconciler.dialects.slurm_trial import SlurmTrials

SWEEP = SweepName("lr")
TRIALS = SlurmTrials(options={"account": "p1"})
PLAIN = Demand(resources=Resources())
LARGE = Demand(
    resources=Resources(cpus=4, memory_mib=4096, gpus=1, walltime_s=60), options=(("constraint", "ib"), ("qos", "low"))
)
HOUR = Demand(resources=Resources(walltime_s=3600), options=(("qos", "low"),))
RESOURCES = ("spec", "resources")
OPTIONS = ("spec", "schedulerOptions", "slurm")
BUSY = "allocation failure: Required node not available (down, drained or reserved)\n"


def failed(text: str) -> Ran:
    return Ran(rc=1, err=f"allocation failure: {text}\n")


def test_the_words_are_those_of_the_submission_but_for_what_would_be_run_and_written() -> None:
    command = TRIALS.command(SWEEP, HOUR, 5, "/root", warn_s=60)
    name = next(word for word in command.argv if word.startswith("--job-name="))
    real = submission.words(
        name.partition("=")[2], "reconciler: 5 tasks of sweep lr", HOUR, 5, TRIALS.options, warn_s=60
    )

    expected = [word.replace("{root}", "/root").replace("{folder}/%a.log", "/dev/null") for word in real]
    expected[1] = "--test-only"
    assert expected == list(command.argv)


def test_should_a_site_submit_it_all_the_same_the_job_would_do_nothing() -> None:
    assert "\nexec true\n" in TRIALS.command(SWEEP, PLAIN, 1, "/root").stdin


def test_what_cannot_be_put_into_words_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(Refused):
        TRIALS.command(SWEEP, Demand(resources=Resources(gpus=1, gpu_type="a 100")), 1, "/root")


@pytest.mark.parametrize(
    ("ran", "opinion"),
    [
        (Ran(rc=0, err="sbatch: Job 46 to start at 2026-11-22T14:00:00 using 1 processors on nodes n1\n"), "taken"),
        (failed("Invalid partition name specified"), "refused"),
        (failed("Requested node configuration is not available"), "refused"),
        (failed("Requested nodes are busy"), "later"),
        (Ran(rc=1, err=BUSY), "later"),
        (failed("Required partition not available (inactive or drained)"), "later"),
        (failed("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"), "later"),
        (failed("Unable to contact slurm controller (connect failure)"), "later"),
        (failed("Zero Bytes were transmitted or received"), "unknown"),
        (Ran(rc=1, err="Segmentation fault\n"), "unknown"),
        (Ran(rc=0, timed_out=True), "unknown"),
        (Ran(rc=None, err="sbatch: No such file or directory"), "unknown"),
        (Ran(rc=0, out="4711\n"), "unknown"),
        (Ran(rc=0, out="Submitted batch job 4711\n"), "unknown"),
    ],
)
def test_only_an_answer_that_says_so_is_a_yes_and_only_what_lasts_is_a_no(ran: Ran, opinion: str) -> None:
    assert Opinion(opinion) is TRIALS.read(ran, PLAIN).opinion


def test_a_site_that_submits_what_it_was_asked_about_is_told_with_the_way_to_undo_it() -> None:
    assert "run `scancel 4711` there" == TRIALS.read(Ran(rc=0, out="4711\n"), PLAIN).hint


@pytest.mark.parametrize(
    ("text", "demand", "at"),
    [
        ("Invalid partition name specified", PLAIN, (*OPTIONS, "partition")),
        ("Invalid qos specification", LARGE, (*OPTIONS, "qos")),
        ("Invalid feature specification", LARGE, (*OPTIONS, "constraint")),
        ("Requested time limit is invalid (missing or exceeds some limit)", LARGE, (*RESOURCES, "walltime")),
        ("Memory required by task is not available", LARGE, (*RESOURCES, "memory")),
        ("Invalid generic resource (gres) specification", LARGE, (*RESOURCES, "gpus")),
        ("Invalid generic resource (gres) specification", PLAIN, (*OPTIONS, "gres")),
        ("More processors requested than permitted", LARGE, (*RESOURCES, "cpus")),
        ("Node count specification invalid", LARGE, (*RESOURCES, "nodes")),
        ("Invalid account or account/partition combination specified", PLAIN, ("options", "account")),
        ("Requested node configuration is not available", LARGE, ()),
    ],
)
def test_what_is_at_fault_is_named_where_it_is_written(text: str, demand: Demand, at: tuple[str, ...]) -> None:
    assert at == TRIALS.read(failed(text), demand).at


def test_what_slurm_does_not_say_is_found_by_asking_for_one_thing_less_each_time() -> None:
    asked = dict(TRIALS.relaxed(LARGE))

    assert {
        (*RESOURCES, "memory"): Demand(resources=Resources(cpus=4, gpus=1, walltime_s=60), options=LARGE.options),
        (*RESOURCES, "gpus"): Demand(
            resources=Resources(cpus=4, memory_mib=4096, walltime_s=60), options=LARGE.options
        ),
        (*RESOURCES, "cpus"): Demand(
            resources=Resources(memory_mib=4096, gpus=1, walltime_s=60), options=LARGE.options
        ),
        (*RESOURCES, "walltime"): Demand(resources=Resources(cpus=4, memory_mib=4096, gpus=1), options=LARGE.options),
        (*OPTIONS, "constraint"): Demand(resources=LARGE.resources, options=(("qos", "low"),)),
        (*OPTIONS, "qos"): Demand(resources=LARGE.resources, options=(("constraint", "ib"),)),
    } == asked
