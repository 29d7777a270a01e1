"""What the agent does for any scheduler: submit once, look, take back, be the shim in a job. The scheduler is a toy."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from toy_cluster import PATIENCE_S, SCRIPT, ToyCluster, a_toy_cluster

from reconciler.core.errors import Busy, Fenced, Garbled, NoReply, Refused, SourceError
from reconciler.core.identity import batch_eid
from reconciler.core.model import InstanceId
from reconciler.core.wire import Claim, ClaimKind, Ended, Request
from reconciler.core.wire_commands import Command, command_to_json, inquire
from reconciler.core.wire_json import found_from_json
from reconciler.links.local import LocalLink


@pytest.fixture
async def cluster() -> AsyncIterator[ToyCluster]:
    async with a_toy_cluster() as cluster:
        yield cluster


# ---------------------------------------------------------------------------------------------- submissions


async def test_a_batch_is_submitted_run_and_recorded(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(3)

    answer = await cluster.submit(session, specs)
    cluster.run("run")
    await cluster.until(lambda: cluster.ended(specs))

    assert {"rc": 0, "out": "1\n", "err": "", "timed_out": False, "cut": False} == answer["ran"]
    assert ["0", "1", "2"] == sorted(cluster.log.read_text().split())
    found = (await cluster.look(session, *(spec.eid for spec in specs)))["found"]
    seen = [found_from_json(eid, found[eid]) for eid in (spec.eid for spec in specs)]
    assert [("1_0", 0), ("1_1", 0), ("1_2", 0)] == [(one.claim.job, one.claim.restarts) for one in seen if one.claim]
    assert [0, 0, 0] == [one.exit.exit_code for one in seen if one.exit]


async def test_what_was_submitted_is_not_submitted_again_and_what_is_known_is_told(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(2)
    first = await cluster.submit(session, specs)

    again = await cluster.submit(await cluster.open(), specs)

    assert (None, first["ran"]) == (again["ran"], again["already"])
    assert ["job-1"] == [each.name for each in cluster.queue.iterdir()]


async def test_what_was_certainly_not_taken_may_be_submitted_again(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(2)
    (cluster.queue / "fail").write_text("error: there is no such queue here\n")
    rejected = await cluster.submit(session, specs)
    (cluster.queue / "fail").unlink()

    accepted = await cluster.submit(session, specs)

    assert accepted["ran"] is not None
    assert (True, 1) == (rejected["rejected"], rejected["ran"]["rc"])
    assert (False, "1\n") == (accepted["rejected"], accepted["ran"]["out"])


async def test_a_program_that_is_not_there_has_taken_nothing(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(1)
    request = cluster.submission(session, specs)
    words = command_to_json(Command(argv=("/nowhere/put",), stdin=SCRIPT))

    answer = (await session.ask(Request(op="submit", body={**request.body, "command": words}))).body

    assert (None, "/nowhere/put: No such file or directory") == (answer["ran"]["rc"], answer["ran"]["err"])
    assert "1\n" == (await cluster.submit(session, specs))["ran"]["out"]


async def test_a_failure_that_does_not_say_so_may_have_been_taken_and_is_not_repeated(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(2)
    (cluster.queue / "doubt").write_text("error: Socket timed out\n")
    doubtful = await cluster.submit(session, specs)
    (cluster.queue / "doubt").unlink()

    again = await cluster.submit(session, specs)

    assert (False, 1) == (doubtful["rejected"], doubtful["ran"]["rc"])
    assert (None, doubtful["ran"]) == (again["ran"], again["already"])


async def test_a_submission_that_takes_too_long_is_ended_and_unknown(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(1)
    request = cluster.submission(session, specs)
    slow = command_to_json(Command(argv=("/bin/sh", "-c", "echo 7; sleep 100"), timeout_s=0.3))

    answer = (await session.ask(Request(op="submit", body={**request.body, "command": slow}))).body

    assert (-9, "7\n", True, False) == (
        answer["ran"]["rc"], answer["ran"]["out"], answer["ran"]["timed_out"], answer["rejected"]
    )  # fmt: skip


async def test_a_newer_agent_lets_an_older_one_submit_nothing(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(1)
    await cluster.open()

    with pytest.raises(Fenced):
        await cluster.submit(session, specs)

    assert [] == list(cluster.queue.iterdir())


POINTS = [
    ("batch.put", True),
    ("batch.published", True),
    ("batch.laid", True),
    ("batch.staged", True),
    ("submit.written", True),
    ("submit.linked", False),
    ("submit.won", False),
    ("batch.submitted", False),
    ("batch.answering", False),
    ("batch.answered", False),
]


@pytest.mark.parametrize(("point", "free"), POINTS, ids=[point for point, _ in POINTS])
async def test_who_dies_while_submitting_leaves_it_unsubmitted_or_claimed(
    cluster: ToyCluster, point: str, free: bool
) -> None:
    specs = cluster.specs(2)
    with pytest.raises(SourceError) as caught:
        await cluster.submit(await cluster.armed(point), specs)
    assert Garbled is type(caught.value)  # it may have happened

    again = await cluster.submit(await cluster.open(), specs)

    assert free is (again["ran"] is not None)
    assert (1 if free or point.startswith("batch.") else 0) == len(list(cluster.queue.iterdir()))


async def test_who_dies_before_a_rejected_submission_is_free_again_leaves_it_claimed(cluster: ToyCluster) -> None:
    (cluster.queue / "fail").write_text("no such queue\n")
    specs = cluster.specs(1)
    with pytest.raises(Garbled):
        await cluster.submit(await cluster.armed("batch.released"), specs)
    (cluster.queue / "fail").unlink()

    assert (await cluster.submit(await cluster.open(), specs))["ran"] is not None


# ---------------------------------------------------------------------------------------------- taking back


async def test_what_waits_is_taken_from_the_queue_and_never_runs(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(3)
    await cluster.submit(session, specs)

    outcomes = await cluster.withdraw(session, specs[1].eid, running=False)

    assert {specs[1].eid: "revoked"} == outcomes
    assert ["1_0", "1_2"] == [row.partition("|")[0] for row in cluster.run("list").split()]


async def test_a_late_job_of_a_revoked_attempt_leaves_without_running(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(1)
    await cluster.submit(session, specs)
    taken = cluster.queue / "job-1" / "waits-0"
    taken.rename(cluster.queue / "hidden")
    await cluster.withdraw(session, specs[0].eid, running=False)
    (cluster.queue / "hidden").rename(taken)

    cluster.run("run")
    await cluster.until(lambda: not cluster.run("list"))

    assert not cluster.log.exists()
    assert not cluster.file(specs[0].eid, "exit.json").exists()


async def test_what_runs_is_ended_only_when_asked_for(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(1, f"echo x >> {cluster.log}; exec sleep 100")
    await cluster.submit(session, specs)
    cluster.run("run")
    await cluster.until(cluster.log.exists)

    left = await cluster.withdraw(session, specs[0].eid, running=False)
    told = await cluster.withdraw(session, specs[0].eid, running=True)
    await cluster.until(lambda: cluster.ended(specs))

    assert ({specs[0].eid: "claimed"}, {specs[0].eid: "signalled"}) == (left, told)
    record = json.loads(cluster.file(specs[0].eid, "exit.json").read_text())
    assert ("cancel", 15) == (record["ended_by"], record["signal"])
    assert {specs[0].eid: "ended"} == await cluster.withdraw(session, specs[0].eid, running=True)


async def test_a_strangers_job_of_the_same_number_is_not_ended(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(1)
    await cluster.submit(session, specs)
    (cluster.queue / "job-1" / "name").write_text("somebody.bzzzzzzzzzzzzzz")

    outcomes = await cluster.withdraw(session, specs[0].eid, running=True)

    assert {specs[0].eid: "revoked"} == outcomes
    assert "1_0|waits|somebody.bzzzzzzzzzzzzzz\n" == cluster.run("list")


# ---------------------------------------------------------------------------------------------- jobs and looks


async def test_a_job_that_is_started_twice_runs_once(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(1)
    await cluster.submit(session, specs)

    for _ in range(3):
        cluster.run("run")
        await cluster.until(lambda: not cluster.run("list"))
        (cluster.queue / "job-1" / "waits-0").touch()

    assert ["0"] == cluster.log.read_text().split()
    assert "" == (cluster.queue / "job-1" / "log-0").read_text()


async def test_who_ends_it_near_its_walltime_is_the_walltime(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(1, f"echo x >> {cluster.log}; exec sleep 100", walltime_s=2)
    await cluster.submit(session, specs)
    cluster.run("run")
    await cluster.until(cluster.log.exists)
    await asyncio.sleep(1.7)

    cluster.run("end", "1_0")
    await cluster.until(lambda: cluster.ended(specs))

    found = (await cluster.look(session, specs[0].eid))["found"]
    record = found_from_json(specs[0].eid, found[specs[0].eid]).exit
    assert record is not None
    assert Ended.WALLTIME is record.ended_by


async def test_an_end_is_told_without_being_asked_for(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(1)
    await cluster.submit(session, specs)
    cluster.run("run")

    async with asyncio.timeout(PATIENCE_S):
        async for page in session.pushes():
            if page[0].exit is not None:
                break

    assert [(specs[0].eid, 0)] == [(found.eid, found.exit.exit_code) for found in page if found.exit]


async def test_the_past_is_asked_only_about_those_that_started_and_are_gone(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(3, f"echo x >> {cluster.log}; exec sleep 100")
    eids = [spec.eid for spec in specs]
    await cluster.submit(session, specs)
    cluster.run("run", "1_1", "1_2")
    await cluster.until(lambda: cluster.log.exists() and 2 == len(cluster.log.read_text().split()))
    past = command_to_json(Command(argv=("/bin/echo", "{jobs}", "{names}")))
    before = await cluster.look(session, *eids, histories=(past,))

    os.killpg(int((cluster.queue / "job-1" / "runs-1").read_text()), signal.SIGKILL)
    await cluster.until(lambda: "1_1" not in cluster.run("list"))
    after = await cluster.look(session, *eids, histories=(past,))

    beid = batch_eid(InstanceId("aaaa"), eids)
    assert [] == before["histories"]
    assert [f"1_1 a-sweep.{beid}\n"] == [ran["out"] for ran in after["histories"]]
    assert {beid: {"name": f"a-sweep.{beid}", "eids": eids}} == after["batches"]
    claim = found_from_json(eids[1], after["found"][eids[1]]).claim
    assert isinstance(claim, Claim)
    assert (ClaimKind.STARTED, "1_1") == (claim.kind, claim.job)


BAD: list[dict[str, Any]] = [
    {"batch": "../../etc"},
    {"batch": "gaaaaaaaaaaaaaa"},
    {"name": "another"},
    {"command": {"argv": []}},
    {"command": {"argv": ["x\0"], "env": {}, "drop": [], "timeout_s": 1}},
    {"rejects": ["("]},
    {"attempts": [{}]},
]


@pytest.mark.parametrize("wrong", BAD, ids=str)
async def test_a_bad_request_is_refused(cluster: ToyCluster, wrong: dict[str, Any]) -> None:
    session, specs = await cluster.open(), cluster.specs(1)
    request = cluster.submission(session, specs)

    with pytest.raises(Refused, match=r".") as caught:
        await session.ask(Request(op="submit", body={**request.body, **wrong}))

    assert "BadRequest" == caught.value.reason
    assert [] == list(cluster.queue.iterdir())


async def test_without_room_nothing_is_submitted(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(1)
    (cluster.root / "batches").write_text("not a folder")

    with pytest.raises(Busy):
        await cluster.submit(session, specs)

    assert [] == list(cluster.queue.iterdir())


async def test_what_is_said_without_end_is_cut(cluster: ToyCluster) -> None:
    session = await cluster.open()
    loud = command_to_json(Command(argv=("/bin/sh", "-c", "yes | head -c 20000000")))

    ran = (await session.ask(Request(op="inquire", body={"commands": {"loud": loud}}))).body["ran"]["loud"]

    assert (0, True, 8 << 20) == (ran["rc"], ran["cut"], len(ran["out"]))


async def test_what_a_command_sees_of_the_environment_is_chosen(cluster: ToyCluster) -> None:
    session = await cluster.open()
    env = Command(argv=("/usr/bin/env",), env={"LC_ALL": "C"}, drop=("(?!PATH)",))

    ran = (await session.ask(Request(op="inquire", body={"commands": {"env": command_to_json(env)}}))).body["ran"][
        "env"
    ]

    assert {"PATH", "LC_ALL"} == {line.partition("=")[0] for line in ran["out"].split("\n") if line}


async def test_a_visitor_may_have_commands_run_that_look_and_nothing_is_made_on_the_source(cluster: ToyCluster) -> None:
    session = await LocalLink().open(instance=InstanceId(""), root=str(cluster.root), slots=0, gpus=())
    cluster.sessions.append(session)
    question = inquire({"a": Command(argv=("/bin/echo", "yes")), "b": Command(argv=("/no/such/program",))})

    ran = question.parse(await session.ask(question.request))

    assert ("yes\n", None) == (ran["a"].out, ran["b"].rc)
    assert not cluster.root.exists()


async def test_a_visitor_can_neither_submit_nor_take_back(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(1)
    visitor = await LocalLink().open(instance=InstanceId(""), root=str(cluster.root), slots=0, gpus=())
    cluster.sessions.append(visitor)

    with pytest.raises(SourceError):
        await visitor.ask(cluster.submission(session, specs))

    assert [] == list(cluster.queue.iterdir())


async def test_nobody_asks_for_more_commands_at_once_than_there_may_be(cluster: ToyCluster) -> None:
    session = await cluster.open()

    with pytest.raises(SourceError, match="17 commands"):
        await session.ask(inquire({str(each): Command(argv=("/bin/true",)) for each in range(17)}).request)


async def test_an_agent_that_is_killed_lets_its_submission_go_on(cluster: ToyCluster) -> None:
    session, specs = await cluster.open(), cluster.specs(1)
    request = cluster.submission(session, specs)
    toy = " ".join(request.body["command"]["argv"])
    slow = {**request.body["command"], "argv": ["/bin/sh", "-c", f"touch {cluster.folder}/begun; sleep 1; {toy}"]}
    asked = asyncio.ensure_future(session.ask(Request(op="submit", body={**request.body, "command": slow})))
    await cluster.until((cluster.folder / "begun").exists)

    epoch = json.loads((cluster.root / "epoch" / str(session.hello.epoch)).read_text())
    os.kill(epoch["pid"], signal.SIGKILL)
    with pytest.raises((NoReply, SourceError)):
        await asked
    await cluster.until(lambda: list(cluster.root.glob("batches/*/jobid")))

    assert "1\n" == (await cluster.submit(await cluster.open(), specs))["already"]["out"]
