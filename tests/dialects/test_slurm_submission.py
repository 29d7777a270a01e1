"""A submission to Slurm: the words of sbatch, and what its answer means."""

from __future__ import annotations

import pytest

from reconciler.core.errors import Busy, Refused
from reconciler.core.jobs import Demand
from reconciler.core.model import Eid, Resources
from reconciler.core.wire_commands import Ran
from reconciler.dialects import slurm_rows as rows
from reconciler.dialects import slurm_submission as submission
from tests.dialects.transcripts import recorded

SMALL = Demand(resources=Resources())
LARGE = Demand(
    resources=Resources(cpus=4, memory_mib=1025, gpus=2, gpu_type="a100", walltime_s=3601, nodes=2, tasks_per_node=3),
    options=(("exclusive", ""), ("gres", "shard:2"), ("partition", "gpu")),
)
OURS = [
    "sbatch",
    "--parsable",
    "--no-requeue",
    "--export=ALL",
    "--job-name=s.b",
    "--comment=c",
    "--array=0-0",
    "--chdir={root}",
    "--output={folder}/%a.log",
    "--open-mode=append",
]


def test_one_attempt_is_an_array_of_one_too() -> None:
    expected = [*OURS, "--nodes=1", "--ntasks-per-node=1", "--cpus-per-task=1"]
    assert expected == submission.words("s.b", "c", SMALL, 1, {})


def test_resources_and_options_become_words_with_walltime_rounded_up_to_minutes() -> None:
    expected = [
        "--nodes=2",
        "--ntasks-per-node=3",
        "--cpus-per-task=4",
        "--mem=1025M",
        "--time=61",
        "--gres=gpu:a100:2,shard:2",
        "--account=p1",
        "--exclusive",
        "--partition=gpu",
    ]
    found = submission.words("s.b", "c", LARGE, 500, {"partition": "cpu", "account": "p1"})
    assert "--array=0-499" in found
    assert expected == found[len(OURS) :]


def test_memory_that_an_option_asks_for_by_cpu_is_not_asked_for_twice() -> None:
    demand = Demand(resources=Resources(memory_mib=9), options=(("mem-per-cpu", "2G"),))
    found = [word for word in submission.words("s.b", "c", demand, 1, {}) if word.startswith("--mem")]
    assert ["--mem-per-cpu=2G"] == found


def test_a_type_of_gpus_that_is_no_word_is_refused_before_anything_is_asked() -> None:
    demand = Demand(resources=Resources(gpus=1, gpu_type="a 100"))
    with pytest.raises(Refused):
        submission.words("s.b", "c", demand, 1, {})


def test_the_script_gives_the_claim_the_very_id_that_listings_have() -> None:
    assert '"${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"' in submission.SCRIPT
    assert 'exec "$python" {shim} ' in submission.SCRIPT


WARNED = [
    (None, 3600, []),
    (300, None, []),
    (300, 3600, ["--signal=B:USR1@300"]),
    (300, 720, ["--signal=B:USR1@300"]),
    (300, 719, []),
    (65536, 500_000, []),
]


@pytest.mark.parametrize(("warn_s", "walltime_s", "expected"), WARNED)
def test_slurm_is_asked_to_tell_of_an_end_that_only_it_knows(
    warn_s: int | None, walltime_s: int | None, expected: list[str]
) -> None:
    demand = Demand(resources=Resources(walltime_s=walltime_s))

    words = submission.words("s.b", "c", demand, 1, {}, warn_s=warn_s)

    assert expected == [word for word in words if "signal" in word]


PYTHONS = {
    None: "{python} python3",
    "python3.11": "python3.11",
    "/opt/my python": "'/opt/my python'",
    "~/v/bin/python": '"$HOME"/v/bin/python',
    "$(reboot)": "'$(reboot)'",
}


@pytest.mark.parametrize(("python", "words"), PYTHONS.items())
def test_a_job_starts_with_the_python_of_its_node(python: str | None, words: str) -> None:
    text = submission.script(python)

    assert f"for python in {words}; do" in text
    assert f"exit {rows.NO_ROOT}\n" in text
    assert "{pythons}" not in text


@pytest.mark.parametrize("name", ["sbatch-array", "sbatch-dbd-down"])
def test_an_answer_with_an_id_is_an_acceptance(name: str) -> None:
    assert submission.accepted(recorded(f"slurm/{name}"))


def test_what_a_site_says_around_the_id_does_not_hide_it() -> None:
    assert submission.accepted(Ran(rc=0, out="Welcome!\n4711;east\nbye\n"))


@pytest.mark.parametrize(
    "ran",
    [
        Ran(rc=0, out=""),
        Ran(rc=0, out="Submitted\n"),
        Ran(rc=1, out="4711\n"),
        Ran(rc=-9, out="4711\n"),
        Ran(rc=0, out="4711\n", timed_out=True),
        Ran(rc=None, err="no such program"),
    ],
)
def test_any_other_answer_is_none(ran: Ran) -> None:
    assert not submission.accepted(ran)


PERMANENT = [
    ("err-array-index-syntax", "Invalid job array specification"),
    ("err-array-too-large", "Invalid job array specification"),
    ("err-bad-feature", "Invalid feature specification"),
    ("err-bad-gres", "Invalid generic resource (gres) specification"),
    ("err-comment-long", "Pathname of a file, directory or other parameter too long"),
    ("err-invalid-account", "Invalid account or account/partition combination specified"),
    ("err-invalid-partition", "invalid partition specified: nosuch; Invalid partition name specified"),
    ("err-invalid-qos", "Invalid qos specification"),
    ("err-nonassoc-user", "Invalid account or account/partition combination specified"),
    ("err-partition-not-allowed", "User's group not permitted to use this partition; 5"),
    ("err-script-crlf", "Batch script contains DOS line breaks (\\r\\n); instead of expected UNIX line breaks (\\n)."),
    ("err-script-empty", "Batch script is empty!"),
    ("err-time-syntax", "Invalid --time specification"),
    (
        "err-too-much-mem",
        "Memory specification can not be satisfied; Requested node configuration is not available",
    ),
    (
        "sbatch-unrecognized-option",
        "unrecognized option '--admin-comment=adm1'; Try \"sbatch --help\" for more information",
    ),
]


@pytest.mark.parametrize(("name", "message"), PERMANENT)
def test_what_only_a_change_can_mend_is_refused_with_the_schedulers_words(name: str, message: str) -> None:
    ran = recorded(f"slurm/{name}")
    error = submission.refusal(ran)
    assert (Refused, "SubmissionRefused", message) == (type(error), error.reason, error.message)
    assert submission.rejected(ran)


@pytest.mark.parametrize("name", ["err-max-submit-array", "err-no-conf", "sbatch-ctld-down"])
def test_a_limit_that_is_reached_and_a_scheduler_that_is_away_are_no_failure_but_later(name: str) -> None:
    ran = recorded(f"slurm/{name}")
    refusal = submission.refusal(ran)
    limited = "max-submit" in name
    assert (Busy, "LimitReached" if limited else "Busy") == (type(refusal), refusal.reason)
    assert submission.rejected(ran)


def test_a_limit_of_each_single_job_is_no_question_of_time() -> None:
    text = (
        "sbatch: error: QOSMaxWallDurationPerJobLimit\n"
        "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size "
        "and/or time limits)\n"
    )
    assert Refused is type(submission.refusal(Ran(rc=1, err=text)))


@pytest.mark.parametrize(
    "ran",
    [
        recorded("slurm/sbatch-ctld-stopped"),
        Ran(rc=1, err="sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received\n"),
        Ran(rc=1, err="sbatch: error: Batch job submission failed: Unexpected message received\n"),
        Ran(rc=1, err="sbatch: error: Batch job submission failed: Protocol authentication error\n"),
        Ran(rc=1, err="sbatch: error: Batch job submission failed: Invalid authentication credential\n"),
        Ran(
            rc=1, err="sbatch: error: Batch job submission failed: Unable to contact slurm controller (send failure)\n"
        ),
        Ran(rc=1, err="sbatch: error: Batch job submission failed: Unspecified error\n"),
        Ran(rc=1, err=""),
        Ran(rc=137, err="Killed\n"),
    ],
)
def test_a_failure_that_leaves_open_whether_it_was_taken_is_no_rejection(ran: Ran) -> None:
    assert not submission.rejected(ran)


def test_a_hint_says_where_to_look() -> None:
    error = submission.refusal(recorded("slurm/err-invalid-account"))
    assert "sacctmgr show assoc" in error.hint


def test_people_who_look_at_the_queue_are_told_whose_it_is() -> None:
    assert "reconciler: 2 tasks of sweep s" == submission.comment_of("s", [Eid("a"), Eid("b")])
