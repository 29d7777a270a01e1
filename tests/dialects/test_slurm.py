"""The Slurm dialect: what it asks an agent for, and what it makes of the answers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from reconciler.core.errors import Busy, Refused
from reconciler.core.identity import batch_eid
from reconciler.core.jobs import Account, Demand, Job, JobState, Listing, Verdict
from reconciler.core.model import Eid, InstanceId, Json, Resources
from reconciler.core.wire import AttemptSpec, CancelOutcome, Reply, RevokeOutcome, StartOutcome
from reconciler.core.wire_commands import Ran
from reconciler.dialects import slurm_rows
from reconciler.dialects.slurm import SlurmDialect
from reconciler.dialects.slurm_accounts import AGAIN
from reconciler.dialects.slurm_states import WAITS
from tests.dialects.transcripts import recorded

DIALECT = SlurmDialect.of(options={"partition": "cpu"})
EIDS = [Eid(f"gaaaabcdefghij{letter}") for letter in "abc"]
NAME = "s.baaaabcdefghijk"
STARTED = {"kind": "started", "at": 1.5, "host": "h", "machine": "m", "boot": "b", "nonce": "n", "pid": 7, "gpus": []}


def _spec(eid: Eid, resources: Resources | None = None) -> AttemptSpec:
    return AttemptSpec(
        eid=eid,
        sweep="s",
        task="t",
        attempt=1,
        argv=("true",),
        environment={},
        setup=(),
        parameters={},
        cwd=None,
        checkpoint="c",
        walltime_s=60,
        gpus=0,
        demand=None if resources is None else Demand(resources=resources, options=(("account", "p1"),)),
    )


def _ran(ran: Ran) -> Json:
    return {"rc": ran.rc, "out": ran.out, "err": ran.err, "timed_out": ran.timed_out, "cut": ran.cut}


def _reply(**body: Json) -> Reply:
    return Reply(body=body)


# ---------------------------------------------------------------------------------------------- submissions


def test_attempts_are_submitted_as_one_array_whose_name_ends_with_the_batchs_id() -> None:
    body: Any = DIALECT.submit([_spec(eid, Resources(cpus=2)) for eid in EIDS]).request.body
    beid = batch_eid(InstanceId("aaaa"), EIDS)
    assert (beid, f"s.{beid}") == (body["batch"], body["name"])
    assert EIDS == [spec["eid"] for spec in body["attempts"]]
    assert {f"--job-name=s.{beid}", "--array=0-2", "--cpus-per-task=2", "--partition=cpu", "--account=p1"} <= set(
        body["command"]["argv"]
    )
    assert body["command"]["stdin"].startswith("#!/bin/sh\n")


def test_a_submission_must_not_be_repeated_and_may_take_as_long_as_sbatch_tries() -> None:
    request = DIALECT.submit([_spec(EIDS[0])]).request
    assert not request.repeatable
    body: Any = request.body
    assert 120 < body["command"]["timeout_s"] < request.timeout_s


def test_nobodys_environment_changes_what_is_printed_but_its_cluster_stays_the_same() -> None:
    body: Any = DIALECT.inspect(EIDS).request.body
    dropped = [
        name
        for name in ("SLURM_CONF", "SLURM_TIME_FORMAT", "SBATCH_PARTITION", "SQUEUE_FORMAT", "SACCT_FORMAT", "PATH")
        if any(re.fullmatch(pattern, name) for pattern in body["listing"]["drop"])
    ]
    assert ["SLURM_TIME_FORMAT", "SBATCH_PARTITION", "SQUEUE_FORMAT", "SACCT_FORMAT"] == dropped
    assert "C" == body["listing"]["env"]["LC_ALL"]


def test_a_job_gets_little_of_the_agents_environment_and_no_login_of_its_own() -> None:
    body: Any = DIALECT.submit([_spec(EIDS[0])]).request.body
    names = ("PATH", "HOME", "PATHS", "AWS_SECRET", "SLURM_CONF", "SLURM_JOB_ID", "SBATCH_PARTITION", "LMOD_CMD", "TZ")
    kept = [name for name in names if not any(re.match(pattern, name) for pattern in body["command"]["drop"])]
    assert ["PATH", "HOME", "SLURM_CONF", "LMOD_CMD", "TZ"] == kept
    assert "--export=ALL" in body["command"]["argv"]
    assert {} == body["command"]["env"]


def test_an_accepted_array_accepts_all_that_had_not_started_before() -> None:
    answer = _reply(
        outcomes={EIDS[1]: "claimed"}, ran=_ran(recorded("slurm/sbatch-array")), already=None, rejected=False
    )
    expected = {EIDS[0]: StartOutcome.ACCEPTED, EIDS[1]: StartOutcome.CLAIMED, EIDS[2]: StartOutcome.ACCEPTED}
    assert expected == DIALECT.submit([_spec(eid) for eid in EIDS]).parse(answer)


def test_a_submission_that_was_made_before_is_known_by_what_it_was_answered() -> None:
    answer = _reply(outcomes={}, ran=None, already=_ran(Ran(rc=0, out="7\n")), rejected=False)
    assert {EIDS[0]: StartOutcome.ACCEPTED} == DIALECT.submit([_spec(EIDS[0])]).parse(answer)


@pytest.mark.parametrize(
    "ran", [None, Ran(rc=None, timed_out=True), recorded("slurm/sbatch-ctld-stopped"), Ran(rc=0, out="what?")]
)
def test_of_a_submission_that_nobody_can_tell_of_nothing_is_told(ran: Ran | None) -> None:
    answer = _reply(outcomes={}, ran=None if ran is None else _ran(ran), already=None, rejected=False)
    assert {} == DIALECT.submit([_spec(eid) for eid in EIDS]).parse(answer)


def test_what_was_certainly_not_taken_is_refused_or_comes_later() -> None:
    exchange = DIALECT.submit([_spec(EIDS[0])])
    for name, kind in (("err-invalid-account", Refused), ("err-max-submit-array", Busy)):
        answer = _reply(outcomes={}, ran=_ran(recorded(f"slurm/{name}")), already=None, rejected=True)
        with pytest.raises(kind):
            exchange.parse(answer)


def test_a_refusal_says_which_field_is_at_fault() -> None:
    answer = _reply(outcomes={}, ran=_ran(recorded("slurm/err-too-much-mem")), already=None, rejected=True)
    with pytest.raises(Refused) as caught:
        DIALECT.submit([_spec(EIDS[0])]).parse(answer)
    assert ("spec", "resources", "memory") == caught.value.at


# ---------------------------------------------------------------------------------------------- looks


def _found(**more: Json) -> Json:
    empty: dict[str, Json] = {"staged": True, "waiting": False, "claim": None, "exit": None, "lock": "unknown"}
    return {**empty, "refused": "", "directory": "/a", **more}


def _listing(text: str, rc: int = 0, **more: bool) -> Json:
    return _ran(Ran(rc=rc, out=f"{slurm_rows.LISTED_HEADER}\n{text}", **more))


def _answer(listing: Json, histories: list[Json] | None = None, claim: Json = None) -> Reply:
    return _reply(
        found={eid: _found(claim=claim) if eid == EIDS[0] else _found() for eid in EIDS},
        listing=listing,
        histories=histories or [],
        batches={"baaaabcdefghijk": {"name": NAME, "eids": list(EIDS)}},
    )


def _look(listing: Json, histories: list[Json] | None = None, claim: Json = None) -> Any:
    return SlurmDialect.of(options={}).inspect(EIDS).parse(_answer(listing, histories, claim))


def test_a_row_is_an_attempts_by_its_name_and_its_index() -> None:
    found = _look(_listing(f"9_[1-2]|9|1-2|PENDING|Priority|{NAME}\n9_0|9|0|RUNNING|None|stranger\n"))
    waiting = [
        Job(
            id=f"9_{index}",
            state=JobState.WAITING,
            raw="PENDING",
            why="Priority",
            wait=WAITS["Priority"],
            array=9,
            limit=0,
        )
        for index in (1, 2)
    ]
    assert [None, *waiting] == [found[eid].job for eid in EIDS]
    assert {Listing.CLEAN} == {each.listing for each in found.values()}


@pytest.mark.parametrize(
    "listing",
    [
        _ran(recorded("slurm/squeue-ctld-down")),
        _ran(recorded("slurm/squeue-ctld-stopped")),
        _ran(Ran(rc=0, out="")),
        _listing("", rc=1),
        _listing("", timed_out=True),
        _listing("", cut=True),
        _ran(Ran(rc=None, err="no such file")),
    ],
)
def test_a_listing_that_failed_says_nothing_and_the_files_are_told_all_the_same(listing: Json) -> None:
    found = _look(listing)
    assert [(Listing.FAILED, None, True)] * 3 == [(each.listing, each.job, each.staged) for each in found.values()]


ENDED = f"1_0|TIMEOUT|0:0|10|70|n1|||{NAME}\n"
DOWN = recorded("slurm/sacct-none")


def test_the_accounting_tells_how_the_start_that_has_the_claim_ended() -> None:
    answers = [_ran(Ran(rc=0, out=ENDED)), _ran(Ran(rc=1)), _ran(Ran(rc=0, out="n2\n"))]
    found = _look(_listing(""), answers, {**STARTED, "job": "1_0"})
    expected = Account(job="1_0", restarts=0, verdict=Verdict.TIMEOUT, ended_at=70.0, ceased=True, raw="TIMEOUT")
    assert expected == found[EIDS[0]].account


def test_without_accounting_the_queues_memory_tells() -> None:
    text = f"1_0|NODE_FAIL|0|0|70|n2|{NAME}   \n"
    answers = [_ran(DOWN), _ran(Ran(rc=0, out=text)), _ran(Ran(rc=0, out="n2\n"))]
    found = _look(_listing(""), answers, {**STARTED, "job": "1_0"})
    account = found[EIDS[0]].account
    assert (Verdict.NODE_FAILURE, False) == (account.verdict, account.ceased), "its node does not answer"


def _asked(dialect: SlurmDialect, answers: list[Ran]) -> list[str]:
    """The programs that a look asks for ends; it is answered so, and the answers end."""
    exchange = dialect.inspect(EIDS)
    histories: Any = exchange.request.body["histories"]
    exchange.parse(_answer(_listing(""), [_ran(ran) for ran in answers], {**STARTED, "job": "1_0"}))
    return [command["argv"][0] for command in histories]


@pytest.mark.parametrize("said", [DOWN, Ran(rc=None, err="sacct: No such file or directory")])
def test_a_site_that_keeps_no_accounts_is_asked_for_them_again_only_after_a_long_time(said: Ran) -> None:
    dialect = SlurmDialect.of(options={})
    assert ["sacct", "squeue", "sinfo"] == _asked(dialect, [said, Ran(rc=0), Ran(rc=0)])
    assert {("squeue", "sinfo")} == {tuple(_asked(dialect, [Ran(rc=0), Ran(rc=0)])) for _ in range(AGAIN)}
    assert ["sacct", "squeue", "sinfo"] == _asked(dialect, [Ran(rc=0), Ran(rc=0), Ran(rc=0)])
    assert ["sacct", "squeue", "sinfo"] == _asked(dialect, [Ran(rc=0), Ran(rc=0), Ran(rc=0)])


@pytest.mark.parametrize(
    "said",
    [recorded("slurm/sacct-dbd-down"), Ran(rc=0, timed_out=True, err=DOWN.err), Ran(rc=0, out="garbage"), Ran(rc=1)],
)
def test_an_accounting_that_fails_is_no_answer_and_is_asked_again(said: Ran) -> None:
    dialect = SlurmDialect.of(options={})
    _asked(dialect, [said, Ran(rc=0), Ran(rc=0)])
    assert ["sacct", "squeue", "sinfo"] == _asked(dialect, [Ran(rc=0), Ran(rc=0), Ran(rc=0)])


def test_where_no_accounts_are_kept_the_queues_memory_is_read_in_its_place() -> None:
    dialect = SlurmDialect.of(options={})
    _asked(dialect, [DOWN, Ran(rc=0), Ran(rc=0)])
    told = [_ran(Ran(rc=0, out=f"1_0|NODE_FAIL|0|0|70|n2|{NAME}   \n")), _ran(Ran(rc=0, out="n1\n"))]
    found = dialect.inspect(EIDS).parse(_answer(_listing(""), told, {**STARTED, "job": "1_0"}))
    account = found[EIDS[0]].account
    assert account is not None
    assert (Verdict.NODE_FAILURE, True) == (account.verdict, account.ceased)


@pytest.mark.parametrize(
    ("text", "job"),
    [
        (ENDED.replace(NAME, "stranger"), "1_0"),  # its id was handed out again
        (ENDED, "1_1"),
        (f"1_0|REQUEUED|0:0|1|9|n1|||{NAME}\n{ENDED}", "2_0"),
    ],
)
def test_an_end_of_another_start_is_none_of_this_one(text: str, job: str) -> None:
    answers = [_ran(Ran(rc=0, out=text)), _ran(Ran(rc=1)), _ran(Ran(rc=0))]
    assert _look(_listing(""), answers, {**STARTED, "job": job})[EIDS[0]].account is None


def test_of_a_job_that_was_started_again_the_start_with_the_claim_counts() -> None:
    text = f"1_0|REQUEUED|0:0|1|9|n1|||{NAME}\n{ENDED}"
    answers = [_ran(Ran(rc=0, out=text)), _ran(Ran(rc=1)), _ran(Ran(rc=0))]
    found = [_look(_listing(""), answers, {**STARTED, "job": "1_0", "restarts": each})[EIDS[0]] for each in (0, 1, 2)]
    assert [Verdict.PREEMPTED, Verdict.TIMEOUT, None] == [each.account and each.account.verdict for each in found]


# ---------------------------------------------------------------------------------------------- cancelling


def test_a_waiting_element_is_ended_by_its_id_alone_and_a_running_one_by_name_and_id() -> None:
    """With a name scancel takes all elements of the array that wait, when only one of them is named."""
    body: Any = DIALECT.cancel(EIDS).request.body
    ends = body["ends"]
    chosen = []
    for line in recorded("slurm/squeue-array-listing").out.splitlines():
        for end in ends:
            match = re.search(end["row"], line)
            if match is not None:
                chosen.append((match["batch"], match["index"], match["job"], len(end["end"]["argv"])))
                break
    waiting = [("baaaabcdefghijk", str(index), f"40_{index}", 3) for index in (4, 5, 7, 8, 9)]
    running = [("baaaabcdefghijk", str(index), f"40_{index}", 4) for index in range(4)]
    assert waiting + running == chosen
    assert [["scancel", "--quiet", "{jobs}"], ["scancel", "--quiet", "--name={name}", "{jobs}"]] == [
        end["end"]["argv"] for end in ends
    ]


def test_giving_up_leaves_alone_what_runs_and_cancelling_does_not() -> None:
    revoke, cancel = DIALECT.revoke(EIDS), DIALECT.cancel(EIDS)
    assert [False, True] == [exchange.request.body["running"] for exchange in (revoke, cancel)]
    assert {EIDS[0]: RevokeOutcome.CLAIMED} == revoke.parse(_reply(outcomes={EIDS[0]: "claimed"}))
    assert {EIDS[0]: CancelOutcome.SIGNALLED} == cancel.parse(_reply(outcomes={EIDS[0]: "signalled"}))


def test_a_strangers_row_is_nobodys() -> None:
    body: Any = DIALECT.inspect(EIDS).request.body
    matched = [line for line in recorded("slurm/squeue-listing").out.splitlines() if re.search(body["row"], line)]
    names = ["mnist.baaaabcdefghijk", "big.baaaabcdefghijm", "held.baaaabcdefghijl", *["mnist.baaaabcdefghijk"] * 4]
    assert names == [line.rpartition("|")[2] for line in matched]
