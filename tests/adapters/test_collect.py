"""What attempts have written far away comes here whole, once, whatever is cut, killed or changed meanwhile."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from dataclasses import replace

import pytest
from collect_lab import CollectLab

from reconciler.core.errors import Busy, ResultsError
from reconciler.core.model import Phase
from reconciler.core.wire import Reply

BIG = os.urandom(300_000)


@pytest.fixture
def lab(tmp_path):
    lab = CollectLab(tmp_path)
    lab.accept(range(6))
    yield lab
    lab.close()


async def test_the_files_of_an_ended_attempt_come_here(lab) -> None:
    (attempt,) = lab.start()
    lab.ends(attempt, Phase.FAILED, stdout_log="out", stderr_log="", metrics_json='{"loss": 1}', exit_json="{}")

    await lab.collect()

    wanted = {"stdout.log": b"out", "stderr.log": b"", "metrics.json": b'{"loss": 1}', "exit.json": b"{}"}
    assert wanted == lab.lies(attempt)
    assert wanted.items() <= lab.shown(attempt).items()
    assert 0 == lab.pending()
    status = lab.status(attempt)
    assert ("failed", 1, "laptop") == (status["phase"], status["attempt"], status["source"])
    assert {"size": 3, "sha256": hashlib.sha256(b"out").hexdigest()} == status["files"]["stdout.log"]
    assert b"number: 0\n" == lab.shown(attempt)["params.yaml"]
    assert (1, 16, 0, None) == (
        lab.collector.tally.attempts,
        lab.collector.tally.bytes,
        lab.collector.tally.failures,
        lab.collector.tally.problem,
    )


async def test_what_runs_is_not_collected(lab) -> None:
    (attempt,) = lab.start()
    lab.write(attempt.eid, "stdout.log", "so far")
    lab.learn(attempt, Phase.RUNNING)

    await lab.collect()

    assert {} == lab.lies(attempt)


async def test_an_attempt_that_never_ran_has_a_status_and_no_files(lab) -> None:
    (attempt,) = lab.start()
    lab.ends(attempt, Phase.CANCELLED)

    await lab.collect()

    assert ({}, 0, "cancelled") == (lab.lies(attempt), lab.pending(), lab.status(attempt)["phase"])


async def test_a_large_file_comes_in_pieces(lab) -> None:
    (attempt,) = lab.start()
    lab.ends(attempt, stdout_log=BIG)

    await lab.collect()

    assert {"stdout.log": BIG} == lab.lies(attempt)
    assert 300_000 == sum(request.body.get("length", 0) for request in lab.far.asked)
    assert 1 << 18 >= max(request.body.get("length", 0) for request in lab.far.asked)


@pytest.mark.parametrize("number", range(1, 7))
async def test_a_cut_line_loses_nothing_and_what_has_come_does_not_come_again(lab, number: int) -> None:
    first, second = lab.start(2)
    lab.ends(first, stdout_log=BIG)
    lab.ends(second, stdout_log=BIG[::-1], exit_json="{}")
    lab.far.cut_at(number)
    await lab.collect()
    lab.far.before = lambda request: None

    lab.collector = lab.fresh_collector()
    await lab.collect()

    assert ({"stdout.log": BIG}, {"stdout.log": BIG[::-1], "exit.json": b"{}"}) == (lab.lies(first), lab.lies(second))
    assert (0, 600_000) == (lab.pending(), lab.far.came)
    assert [] == [path for path in lab.results.rglob(".*") if path.is_file()]


async def test_a_file_that_changes_while_it_is_read_is_read_again(lab) -> None:
    (attempt,) = lab.start()
    lab.ends(attempt, stdout_log=BIG)
    changes = iter([BIG + b"more"])

    def change(request) -> None:
        if request.op == "read" and len(lab.far.asked) >= 4 and (new := next(changes, None)):
            lab.write(attempt.eid, "stdout.log", new)

    lab.far.before = change
    await lab.collect()

    assert ({"stdout.log": BIG + b"more"}, 0) == (lab.lies(attempt), lab.pending())


async def test_a_file_that_never_stops_changing_is_told_and_hinders_no_other(lab) -> None:
    restless, calm = lab.start(2)
    lab.ends(restless, stdout_log=BIG, exit_json="{}")
    lab.ends(calm, stdout_log="calm")
    lab.far.before = lambda request: (
        lab.write(restless.eid, "stdout.log", os.urandom(300_000)) and None if request.op == "read" else None
    )

    await lab.collect(3.0)

    assert ({"stdout.log": b"calm"}, 1) == (lab.lies(calm), lab.pending())
    assert "CollectFailed" == lab.collector.tally.problem.reason
    assert "changes while it is read" in lab.collector.tally.problem.message

    lab.far.before = lambda request: None
    await lab.collect()
    assert (0, None) == (lab.pending(), lab.collector.tally.problem)


async def test_bytes_that_went_wrong_on_the_way_are_not_believed(lab) -> None:
    small, large = lab.start(2)
    lab.ends(small, stdout_log="right")
    lab.ends(large, stdout_log=BIG)
    to_spoil = ["outputs", "read"]

    def spoil(request, reply: Reply) -> Reply:
        if request.op not in to_spoil:
            return reply
        to_spoil.remove(request.op)
        text = json.dumps(reply.body).replace(base64.b64encode(b"right").decode(), base64.b64encode(b"wrong").decode())
        body = json.loads(text)
        if request.op == "read":
            body["data"] = base64.b64encode(bytes(len(base64.b64decode(body["data"])))).decode()
        return Reply(body=body)

    lab.far.after = spoil
    await lab.collect()

    assert ({"stdout.log": b"right"}, {"stdout.log": BIG}, 0) == (lab.lies(small), lab.lies(large), lab.pending())
    assert [] == to_spoil


async def test_a_file_beyond_the_limit_comes_as_its_beginning_and_its_end_and_that_is_told(tmp_path) -> None:
    lab = CollectLab(tmp_path, limit=100_000)
    lab.accept(range(1))
    (attempt,) = lab.start()
    lab.ends(attempt, stdout_log=b"a" * 50_000 + BIG + b"z" * 50_000, metrics_json="1" * 100_001)

    await lab.collect()

    lies = lab.lies(attempt)
    head, note, tail = lies["stdout.log"][:50_000], lies["stdout.log"][50_000:-50_000], lies["stdout.log"][-50_000:]
    assert (b"a" * 50_000, b"z" * 50_000) == (head, tail)
    assert b"300000 bytes were left out" in note
    assert "metrics.json.cut" in lies
    assert lab.status(attempt)["files"]["stdout.log"]["cut"]
    assert "ResultCut" in [event.reason for event in lab.store.events(attempt.key.sweep, limit=10)]
    lab.close()


async def test_a_full_disk_here_waits_and_says_so(lab) -> None:
    (attempt,) = lab.start()
    lab.ends(attempt, stdout_log="out")
    keep = lab.tree.keep

    def full(*_) -> None:
        raise ResultsError("ResultsDiskFull", "no space", hint="make room")

    lab.tree.keep = full
    session = asyncio.ensure_future(lab.collect(30.0))
    while not lab.collector.tally.failures:  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(0)
    assert ("ResultsDiskFull", 1, 1) == (lab.collector.tally.problem.reason, lab.pending(), len(lab.far.asked))

    lab.tree.keep = keep
    await session
    assert ({"stdout.log": b"out"}, None, 2) == (lab.lies(attempt), lab.collector.tally.problem, len(lab.far.asked))


async def test_a_file_that_cannot_be_read_leaves_the_others_here_and_is_tried_again(lab) -> None:
    (attempt,) = lab.start()
    lab.ends(attempt, stdout_log="out")
    path = lab.write(attempt.eid, "metrics.json", "{}")
    path.unlink()
    path.symlink_to("/etc/passwd")

    await lab.collect(2.0)
    assert ({"stdout.log": b"out"}, 1, {}) == (lab.lies(attempt), lab.pending(), lab.shown(attempt))

    path.unlink()
    await lab.collect(20.0)
    assert (0, "succeeded") == (lab.pending(), lab.status(attempt)["phase"])


async def test_a_long_file_does_not_come_again_because_another_could_not_be_read(lab) -> None:
    (attempt,) = lab.start()
    lab.ends(attempt, stdout_log=BIG)
    path = lab.write(attempt.eid, "metrics.json", "{}")
    path.unlink()
    path.mkdir()

    await lab.collect(40.0)

    assert ({"stdout.log": BIG}, 1) == (lab.lies(attempt), lab.pending())
    assert 3 <= lab.collector.tally.failures
    assert 300_000 == sum(request.body.get("length", 0) for request in lab.far.asked)


async def test_a_source_that_says_later_is_asked_later(lab) -> None:
    (attempt,) = lab.start()
    lab.ends(attempt, stdout_log="out")

    def busy(request) -> None:
        raise Busy("Busy", "later")

    lab.far.before = busy
    await lab.collect(4.0)
    assert 1 == len(lab.far.asked)

    lab.far.before = lambda request: None
    await lab.collect(10.0)
    assert 0 == lab.pending()


async def test_a_failure_never_covers_a_success(lab) -> None:
    (attempt,) = lab.start()
    lab.ends(attempt, stdout_log="good", metrics_json="{}")
    later = replace(attempt, key=attempt.key._replace(number=2))

    await lab.collect()
    lab.tree.keep(later.key, "stdout.log", b"bad")
    lab.tree.conclude(replace(later, phase=Phase.FAILED), {}, [])

    assert (b"good", "succeeded", 1) == (
        lab.shown(attempt)["stdout.log"],
        lab.status(attempt)["phase"],
        lab.status(attempt)["attempt"],
    )
    assert {"stdout.log": b"bad"} == lab.lies(later)


async def test_a_success_covers_a_failure_and_what_only_that_had_written(lab) -> None:
    (attempt,) = lab.start()
    lab.ends(attempt, Phase.FAILED, stdout_log="bad", progress_jsonl="{}")
    later = replace(attempt, key=attempt.key._replace(number=2), phase=Phase.SUCCEEDED)

    await lab.collect()
    lab.tree.keep(later.key, "stdout.log", b"good")
    lab.tree.conclude(later, {}, [])

    assert ["params.yaml", "status.yaml", "stdout.log"] == list(lab.shown(attempt))
    assert b"good" == lab.shown(attempt)["stdout.log"]
    assert {"stdout.log": b"bad", "progress.jsonl": b"{}"} == lab.lies(attempt)


async def test_thousands_come_in_the_background_while_others_get_their_turn(tmp_path) -> None:
    lab = CollectLab(tmp_path)
    lab.accept(range(500))
    for attempt in lab.start(500):
        lab.ends(attempt, stdout_log="x")

    await lab.collect(120.0)

    assert 0 == lab.pending()
    assert [50] * 10 == [len(request.body["eids"]) for request in lab.far.asked]
    lab.close()


async def test_disk_work_of_a_lost_session_is_waited_for_by_the_next(lab) -> None:
    (attempt,) = lab.start()
    lab.ends(attempt, stdout_log="out")
    done: list[str] = []
    may_end = asyncio.Event()

    async def slow(work):
        done.append("begun")
        await may_end.wait()
        done.append("ended")
        return work()

    lab.collector._aside = slow
    await lab.collect(1.0)
    await lab.collect(1.0)
    assert ["begun"] == done

    may_end.set()
    await lab.collect()
    assert (0, "begun", "ended") == (lab.pending(), *done[:2])
