"""What squeue, sacct and sinfo print, read: real output, hostile output, and what follows for an attempt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.jobs import Account, Job, JobState, Verdict
from reconciler.dialects import slurm_rows as rows
from reconciler.dialects.slurm_states import WAITS
from tests.dialects.transcripts import recorded


def _places(name: str, count: int = 10) -> dict[int, Job]:
    listed = rows.listed(recorded("slurm/squeue-listing").out)
    assert listed is not None
    return rows.places([row for row in listed if row.name == name], count)


def test_a_pending_array_is_one_row_and_each_of_its_elements_is_listed() -> None:
    running = [(index, Job(id=f"40_{index}", state=JobState.RUNNING, raw="RUNNING", array=40)) for index in range(4)]
    waiting = [
        (
            index,
            Job(
                id=f"40_{index}",
                state=JobState.WAITING,
                raw="PENDING",
                why="JobArrayTaskLimit",
                wait=WAITS["JobArrayTaskLimit"],
                array=40,
                limit=4,
            ),
        )
        for index in (4, 5, 7, 8, 9)
    ]
    assert dict(running + waiting) == _places("mnist.baaaabcdefghijk")


def test_elements_beyond_those_of_ours_are_not_looked_for() -> None:
    assert [0, 1, 2] == list(_places("mnist.baaaabcdefghijk", count=3))


def test_a_strangers_name_with_bars_is_read_as_a_name() -> None:
    listed = rows.listed(recorded("slurm/squeue-listing").out)
    assert listed is not None
    assert ["stranger|with bars"] == [row.name for row in listed if row.array == "42"]


def test_a_running_element_comes_before_its_copy() -> None:
    text = f"{rows.LISTED_HEADER}\n7_[0-1]|7|0-1|PENDING|Priority|a.b\n9_0|9|0|RUNNING|None|a.b\n"
    listed = rows.listed(text)
    assert listed is not None
    assert ["9_0", "7_1"] == [job.id for job in rows.places(listed, 2).values()]


def test_an_answer_without_its_header_is_no_listing() -> None:
    for text in ("", "40_0|40|0|RUNNING|None|a.b\n", "squeue: not found\n", "JOBID NAME\n"):
        assert rows.listed(text) is None


def test_a_listing_of_nothing_is_a_listing() -> None:
    assert [] == rows.listed(rows.LISTED_HEADER + "\n")


def test_what_a_site_prints_before_the_header_is_passed_over() -> None:
    listed = rows.listed(f"Maintenance on Monday!\n{rows.LISTED_HEADER}\n9_0|9|0|RUNNING|None|a.b\n")
    assert listed is not None
    assert ["9"] == [row.array for row in listed]


def test_jobs_that_have_ended_are_not_in_the_queue() -> None:
    assert [] == rows.listed(f"{rows.LISTED_HEADER}\n9_0|9|0|COMPLETED|None|a.b\n9_1|9|1|NODE_FAIL|NodeDown|a.b\n")


def test_ranges_of_indices_are_read_with_steps_and_limits() -> None:
    assert (range(4), range(7, 8), range(10, 21, 5)) == rows.ranges("0-3,7,10-20:5%2")
    assert () == rows.ranges("N/A")


def test_the_accounting_tells_the_starts_of_a_job_apart() -> None:
    text = (
        "7_0|REQUEUED|0:0|100|110|n1|||a.b\n7_0.batch|CANCELLED|0:15|100|110|n1|2048K|00:00:01|batch\n"
        "7_0|FAILED|97:0|112|113|n2|||a.b\n7_0|OUT_OF_MEMORY|0:125|120|130|n[2-3]|||a.b\n"
        "7_0.batch|OUT_OF_MEMORY|0:125|120|130|n2|3G|01:02.5|batch\n7_0.extern|COMPLETED|0:0|120|130|n2|1K|00:01|extern\n"
    )
    first = Account(
        job="7_0", restarts=0, verdict=Verdict.PREEMPTED, ended_at=110.0, ceased=False, raw="REQUEUED",
        cpu_s=1.0, max_rss_mib=2.0,
    )  # fmt: skip
    third = Account(
        job="7_0", restarts=2, verdict=Verdict.OUT_OF_MEMORY, ended_at=130.0, ceased=False, raw="OUT_OF_MEMORY",
        cpu_s=62.5, max_rss_mib=3072.0,
    )  # fmt: skip
    assert [
        rows.Past(name="a.b", account=first, nodes=("n1",)),
        rows.Past(name="a.b", account=third, nodes=("n2", "n3")),
    ] == rows.accounted(text)


def test_a_job_whose_id_was_given_out_again_is_counted_for_itself() -> None:
    text = "7_0|FAILED|1:0|100|110|n1|||stranger\n7_0|TIMEOUT|0:0|120|130|n2|||a.b\n"
    assert [("stranger", 0), ("a.b", 0)] == [(past.name, past.account.restarts) for past in rows.accounted(text)]


def test_what_has_not_begun_or_not_ended_is_no_end() -> None:
    text = (
        "7_[0-3]|PENDING|0:0|Unknown|Unknown|None assigned|||a.b\n7_4|RUNNING|0:0|120|Unknown|n2|||a.b\n"
        "7_5|PENDING|0:0|Unknown|Unknown|None assigned|||a.b\n"
    )
    assert [] == rows.accounted(text)


def test_squeue_tells_ends_as_long_as_it_knows_them() -> None:
    found = {
        past.account.job: (past.name, past.account.restarts, past.account.verdict)
        for past in rows.finished(recorded("slurm/squeue-finished").out)
    }
    name = "ends.baaaabcdefghijn"
    assert {
        "48_0": (name, 0, Verdict.COMPLETED),
        "48_1": (name, 0, Verdict.FAILED),
        "48_2": (name, 0, Verdict.FAILED),
        "48_4": (name, 0, Verdict.CANCELLED),
        "54_0": ("again.baaaabcdefghijo", 1, Verdict.CANCELLED),
    } == found, "48_3 has lost its claim (exit 97), which ends nothing; 48_5 runs"


def _past(nodes: tuple[str, ...] | None) -> rows.Past:
    account = Account(job="7_0", restarts=0, verdict=Verdict.TIMEOUT, ended_at=9.0, ceased=False)
    return rows.Past(name="a.b", account=account, nodes=nodes)


def test_nothing_can_be_left_of_a_job_whose_nodes_answer() -> None:
    assert rows.judged(_past(("n1", "n2")), frozenset({"n3"})).ceased
    assert not rows.judged(_past(("n1", "n2")), frozenset({"n2"})).ceased
    assert not rows.judged(_past(("n1",)), None).ceased
    assert not rows.judged(_past(None), frozenset()).ceased


def test_names_of_nodes_are_read_as_slurm_folds_them() -> None:
    assert ("n1", "n2", "n3", "n07", "m2", "gpu-a") == rows.hosts("n[1-3,07],m2,gpu-a")
    assert ("r1n01x", "r1n02x") == rows.hosts("r1n[01-02]x")
    for text in ("", "None assigned", "(null)", "n[1", "n[1-99999]", "n[3-"):
        assert rows.hosts(text) is None


def test_amounts_and_durations_of_the_accounting_are_read() -> None:
    assert [93784.0, 3.0, 62.345, None] == [rows.seconds(text) for text in ("1-02:03:04", "00:00:03", "01:02.345", "")]
    assert [2.0, 1536.0, 0.0, None] == [rows.mebibytes(text) for text in ("2048K", "1.5G", "0", "many")]


_lines = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.lists(st.text("0123456789_[]-,%|.PENDINGRUN:n ", max_size=9), max_size=10).map("|".join),
    ),
    max_size=8,
).map("\n".join)


@given(_lines)
def test_no_output_breaks_a_reader(text: str) -> None:
    rows.listed(f"{rows.LISTED_HEADER}\n{text}")
    rows.accounted(text)
    rows.finished(text)
    rows.dead(text)
    rows.hosts(text)


def test_sacct_tells_ends_and_what_was_used() -> None:
    found = {
        (past.account.job, past.account.restarts): (past.account.verdict, past.account.max_rss_mib)
        for past in rows.accounted(recorded("slurm/sacct-ends").out)
    }
    assert {
        ("1_0", 0): (Verdict.COMPLETED, 13548 / 1024),
        ("1_1", 0): (Verdict.FAILED, None),
        ("1_2", 0): (Verdict.FAILED, None),
        ("1_4", 0): (Verdict.CANCELLED, 3096 / 1024),
        ("1_5", 0): (Verdict.NODE_FAILURE, None),
        ("1_6", 0): (Verdict.NODE_FAILURE, None),
        ("1_7", 0): (Verdict.NODE_FAILURE, None),
        ("2_0", 0): (Verdict.PREEMPTED, 3244 / 1024),
        ("2_0", 1): (Verdict.CANCELLED, None),
    } == found


def test_the_end_of_a_job_that_has_claimed_nothing_is_told_in_words() -> None:
    answer = (
        "1_0|FAILED|NonZeroExitCode   |32512|n1|a.b1   \n"
        "2_1|FAILED|JobLaunchFailure|4021|n1|a.b2\n"
        "3_0|FAILED|JobLaunchFailure|9|n2|a.b3\n"
        "4_0|CANCELLED|None|0||a.b4\n"
        "5_[0,2-3]|PENDING|JobHeldUser|0||a.b5\n"
        "6_0|RUNNING|None|0|n1|a.b6\n"
        "7_0|FAILED|NonZeroExitCode|24576|n1|a.b7\n"
        "8_0|FAILED|NonZeroExitCode|nonsense|n1|a.b8\n"
    )
    no_log = "its node could not open the file for what the job says: it does not have the source's `root`, or no room"

    assert {
        ("a.b1", 0): "Slurm says FAILED on n1, NonZeroExitCode, exit code 127",
        ("a.b2", 1): f"Slurm says FAILED on n1, JobLaunchFailure, {no_log}",
        ("a.b3", 0): "Slurm says FAILED on n2, JobLaunchFailure, signal 9",
        ("a.b4", 0): "Slurm says CANCELLED",
        ("a.b7", 0): "Slurm says FAILED on n1, NonZeroExitCode, its node does not have the source's `root`",
    } == rows.unstarted(answer)


NEWER = """\
5_0|CANCELLED|0|0:15|1795370309|n1|cancelled
4_0|COMPLETED|0|0:0|1795370308|n1|nolog
1_0|FAILED|0|3:0|1795370308|n1|exit_3
2_0|FAILED|0|0:9|1795370308|n1|kill_-9_$$
3_0|FAILED|0|97:0|1795370308|n1|exit_97
7_[0-5%2]|PENDING|0|0:0|N/A||wait
"""
NEWER_WORDS = """\
5_0|CANCELLED|None                  |0:15|n1|cancelled
1_0|FAILED|NonZeroExitCode          |3:0|n1|exit_3
2_0|FAILED|RaisedSignal:9(Killed)   |0:9|n1|kill_-9_$$
3_0|FAILED|NonZeroExitCode          |96:0|n1|exit_96
7_[0-5%2]|PENDING|JobHeldUser       |0:0||wait
"""


def test_newer_ones_write_an_end_as_exit_and_signal_and_not_as_wait_has_it() -> None:
    """As Slurm 24.11.5 and 26.05.5 printed it."""
    assert {
        "1_0": Verdict.FAILED,
        "2_0": Verdict.FAILED,
        "4_0": Verdict.COMPLETED,
        "5_0": Verdict.CANCELLED,
    } == {past.account.job: past.account.verdict for past in rows.finished(NEWER)}
    assert {
        ("cancelled", 0): "Slurm says CANCELLED on n1, signal 15",
        ("exit_3", 0): "Slurm says FAILED on n1, NonZeroExitCode, exit code 3",
        ("kill_-9_$$", 0): "Slurm says FAILED on n1, RaisedSignal:9(Killed), signal 9",
        ("exit_96", 0): "Slurm says FAILED on n1, NonZeroExitCode, its node does not have the source's `root`",
    } == rows.unstarted(NEWER_WORDS)
