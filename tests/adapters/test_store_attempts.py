"""What the store keeps of attempts, and what a pass costs when nothing changed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
from store_lab import HOME, LAPTOP, SWEEP, A, Lab, drain, task_id

from reconciler.core.efficiency import Usage
from reconciler.core.errors import StoreError
from reconciler.core.model import (
    Condition,
    ConditionStatus,
    FailureClass,
    Phase,
    Resources,
    SourceName,
    SweepName,
    TaskId,
    TaskKey,
)
from reconciler.store import Event, RepositoryRow
from reconciler.store import reader as questions
from reconciler.store.events import KEPT

ENDED = (Phase.FAILED, Phase.CANCELLED, Phase.LOST)


@pytest.fixture
def lab(tmp_path):
    with closing(Lab(tmp_path)) as lab:
        yield lab
        assert [] == lab.faults()


def reset(lab, tasks=None, phases=ENDED):
    return drain(lab.store.reset(SWEEP, tasks, phases=phases, reason="Retried", at=lab.now))


# ---------------------------------------------------------------------------------------------- intent and record


def test_an_intended_task_is_queued_on_its_source(lab):
    lab.accept([1, 2])
    (attempt,) = lab.start()
    task = lab.number(1)
    expected = (Phase.QUEUED, 1, A, LAPTOP)
    assert expected == (task.phase, task.attempts, task.digest, task.source)
    assert [attempt] == lab.store.open_attempts(LAPTOP)


def test_the_ends_of_attempts_are_counted_once_and_stay_counted(lab):
    lab.accept([1])
    (attempt,) = lab.start()
    ended = replace(attempt, phase=Phase.FAILED, ended_at=1.0)
    task = replace(lab.number(1), phase=Phase.FAILED)

    lab.store.record([(ended, task)], lab.now)
    lab.store.record([(ended, task)], lab.now)
    reset(lab)

    assert {(LAPTOP, Phase.FAILED): 1} == lab.store.endings(SWEEP)


def test_what_ended_attempts_used_is_added_up_once_and_stays(lab):
    lab.accept([1, 2])
    for attempt in lab.start(2):
        ended = replace(
            attempt, phase=Phase.FAILED, started_at=1.0, ended_at=11.0, cpu_s=5.0, max_rss_mib=1.0,
            resources=Resources(cpus=2, memory_mib=4, walltime_s=100),
        )  # fmt: skip
        task = replace(lab.task(attempt.key.task_key), phase=Phase.FAILED)
        lab.store.record([(ended, task)], lab.now)
        lab.store.record([(ended, task)], lab.now)
        again = replace(ended, phase=Phase.SUCCEEDED)  # a record that came late
        lab.store.record([(again, replace(task, phase=Phase.SUCCEEDED))], lab.now)

    used = Usage(elapsed_s=20.0, cpu_s=10.0, reserved_cpu_s=40.0, largest_mib=1.0, memory=0.25, walltime=0.1)
    assert {LAPTOP: used} == lab.store.usage(SWEEP)


def test_of_each_task_the_newest_measured_attempt_is_told(lab):
    lab.accept([1, 2])
    for cpu_s in (1.0, 2.0, None):
        for attempt in lab.start(2):
            ended = replace(attempt, phase=Phase.FAILED, started_at=1.0, ended_at=2.0, cpu_s=cpu_s)
            lab.store.record([(ended, replace(lab.task(attempt.key.task_key), phase=Phase.FAILED))], lab.now)
        reset(lab)

    wanted = {task_id(1): (2, 2.0), task_id(2): (2, 2.0)}
    found = {attempt.key.task: (attempt.key.number, attempt.cpu_s) for attempt in lab.store.measured(SWEEP)}
    some = lab.store.measured_of(SWEEP, [task_id(2), TaskId("unknown")])
    assert wanted == found
    assert {task_id(2): 2.0} == {task: attempt.cpu_s for task, attempt in some.items()}


def test_an_attempt_comes_back_as_it_was_saved(lab):
    lab.accept([1])
    (attempt,) = lab.start()
    full = replace(
        attempt, phase=Phase.FAILED, accepted_at=1.0, started_at=2.0, ended_at=3.5, nonce="n", gpus=(0, 3),
        reason="UserError", message="it said ÿ", failure=FailureClass.USER_ERROR, exit_code=1, cpu_s=0.5,
        max_rss_mib=12.0, directory="/d", resources=Resources(cpus=2, gpu_type="a100"),
    )  # fmt: skip
    lab.store.record([(full, replace(lab.number(1), phase=Phase.FAILED))], lab.now)
    assert [full] == lab.store.attempts(TaskKey(SWEEP, task_id(1)))
    assert HOME == full.home


def test_no_task_has_two_attempts_at_once(lab):
    lab.accept([1, 2])
    (attempt,) = lab.start()
    again = replace(attempt, key=attempt.key._replace(number=2), eid="gother")
    with pytest.raises(StoreError) as problem:
        lab.store.intend([lab.attempt(lab.heads()[0]), again])
    assert "NotWaiting" == problem.value.reason
    assert 1 == len(lab.heads()), "the whole batch is taken back"


def test_a_number_is_never_given_twice(lab):
    lab.accept([1])
    (attempt,) = lab.start()
    lab.end(Phase.LOST, Phase.WAITING)
    with pytest.raises(StoreError) as problem:
        lab.store.intend([attempt])
    assert "NumberTaken" == problem.value.reason


def test_numbers_go_on_after_a_removed_point_returns(lab):
    lab.accept([1])
    lab.start()
    lab.end(Phase.FAILED, Phase.WAITING)
    lab.accept([2])
    lab.accept([1])
    assert [2] == [attempt.key.number for attempt in lab.start()]


def test_recording_twice_is_recording_once(lab):
    lab.accept([1])
    (attempt,) = lab.start()
    ended = replace(attempt, phase=Phase.FAILED, ended_at=lab.now)
    pair = (ended, replace(lab.number(1), phase=Phase.WAITING, failures=1))
    lab.store.record([pair], lab.now)
    events = lab.store.events(SWEEP)
    lab.start()
    lab.store.record([pair, pair], lab.now)
    assert ["queued"] == lab.phases(), "the second attempt is not undone by news of the first"
    assert len(events) + 1 == len(lab.store.events(SWEEP))


def test_a_recorded_success_is_final(lab):
    lab.accept([1])
    (attempt,) = lab.start()
    lab.end(Phase.SUCCEEDED)
    lab.learn(attempt, Phase.FAILED)
    assert ["succeeded"] == lab.phases()


def test_an_end_is_not_taken_back_by_older_news(lab):
    lab.accept([1])
    (attempt,) = lab.start()
    lab.end(Phase.FAILED)
    lab.learn(attempt, Phase.RUNNING)
    assert ["failed"] == lab.phases()


def test_news_does_not_undo_an_intended_cancellation(lab):
    lab.accept([1])
    (attempt,) = lab.start()
    lab.store.intend_cancel([attempt.eid], "UserAsked", 5.0)
    lab.learn(attempt, Phase.RUNNING)
    assert [("UserAsked", 5.0)] == [(each.cancel, each.cancel_at) for each in lab.open()]


def test_cancellations_are_issued_again_after_a_while(lab):
    lab.accept([1])
    (attempt,) = lab.start()
    lab.store.intend_cancel([attempt.eid], "UserAsked", 5.0)
    lab.store.intend_cancel([attempt.eid], "Another", 9.0)
    assert [] == lab.store.cancelling(LAPTOP, 8.0)
    assert ["UserAsked"] == [each.cancel for each in lab.store.cancelling(LAPTOP, 9.0)]


def test_attempts_are_found_by_their_name_on_the_source(lab):
    lab.accept([1, 2])
    first, second = lab.start(2)
    assert {second.eid: second} == lab.store.attempts_by_eid([second.eid, "gunknown"])
    assert first.eid != second.eid


def test_what_was_sent_is_not_to_be_sent_again_and_stays_open(lab):
    lab.accept([1, 2])
    first, second = lab.start(2)

    lab.store.sent([first.eid], 7.0)

    assert [second] == lab.store.unaccepted(LAPTOP, limit=10)
    assert [7.0, None] == [attempt.sent_at for attempt in lab.open()]


def test_what_was_certainly_not_taken_is_to_be_sent_again(lab):
    lab.accept([1])
    lab.start()
    (attempt,) = lab.open()
    lab.store.sent([attempt.eid], 7.0)

    lab.store.unsent([attempt.eid])

    assert [attempt] == lab.store.unaccepted(LAPTOP, limit=10)


def test_what_was_seen_there_stays_sent_whatever_the_scheduler_says(lab):
    lab.accept([1])
    (attempt,) = lab.start()
    lab.store.sent([attempt.eid], 7.0)
    lab.store.accepted([attempt.eid], 8.0)

    lab.store.unsent([attempt.eid])

    assert [(7.0, 8.0)] == [(attempt.sent_at, attempt.accepted_at) for attempt in lab.open()]


def test_what_was_sent_is_remembered_over_a_crash_and_by_what_is_learned_later(lab):
    lab.accept([1])
    (attempt,) = lab.start()
    lab.store.sent([attempt.eid], 7.0)

    lab.reopen()
    (attempt,) = lab.open()
    lab.learn(attempt, Phase.RUNNING)

    assert [7.0] == [attempt.sent_at for attempt in lab.open()]


def test_an_accepted_attempt_is_no_longer_unaccepted(lab):
    lab.accept([1, 2])
    first, second = lab.start(2)
    lab.store.accepted([first.eid], 7.0)
    assert [second] == lab.store.unaccepted(LAPTOP, limit=10)


def test_an_unknown_task_is_an_error_of_the_store(lab):
    lab.accept([1])
    attempt = lab.attempt(lab.heads()[0])
    with pytest.raises(StoreError) as problem:
        lab.store.intend([replace(attempt, key=attempt.key._replace(task=TaskId("zzzzzzzzzz")))])
    assert "UnknownTask" == problem.value.reason


# ---------------------------------------------------------------------------------------------- heads


def test_a_task_in_backoff_is_no_head_until_its_time(lab):
    lab.accept([1, 2])
    lab.start()
    lab.end(Phase.FAILED, Phase.WAITING, not_before=lab.now + 10)
    assert [2] == [head.parameters["number"] for head in lab.heads()]
    assert lab.now + 10 == lab.store.next_wake(SWEEP, lab.now)
    lab.now += 10
    assert [1, 2] == [head.parameters["number"] for head in lab.heads()]
    assert lab.store.next_wake(SWEEP, lab.now) is None


def test_a_backoff_from_before_the_clock_was_set_back_is_over(lab):
    lab.accept([1, 2])
    lab.start(2)
    lab.end(Phase.FAILED, Phase.WAITING, not_before=lab.now + 10)
    lab.now -= 3600

    heads = lab.store.heads(SWEEP, limit=9, now=lab.now, longest_s=600)
    waits = (lab.store.next_wake(SWEEP, lab.now, 600), lab.store.delayed(SWEEP, lab.now, 600))
    assert ([1, 2], (None, 0)) == ([head.parameters["number"] for head in heads], waits)


def test_a_retry_lets_ended_tasks_wait_with_a_fresh_budget(lab):
    lab.accept([1, 2, 3])
    failed, lost, succeeded = lab.start(3)
    lab.learn(failed, Phase.FAILED, failures=3)
    lab.learn(lost, Phase.LOST)
    lab.learn(succeeded, Phase.SUCCEEDED)
    assert 2 == reset(lab, phases=(*ENDED, Phase.SUCCEEDED))
    assert [(0, 1), (0, 1)] == [(head.failures, head.attempts) for head in lab.heads()]


def test_a_retry_of_one_task_leaves_the_others(lab):
    lab.accept([1, 2])
    lab.start(2)
    lab.end(Phase.FAILED)
    reset(lab, [TaskKey(SWEEP, task_id(2))])
    assert ["failed", "waiting"] == lab.phases()


def test_a_task_is_found_by_the_beginning_of_its_id(lab):
    lab.accept([1, 2, 3])
    assert [task_id(2)] == [task.key.task for task in lab.store.find_task(SWEEP, task_id(2)[:4])]


def test_tasks_are_paged_in_declared_order(lab):
    lab.accept(range(7))
    pages, last = [], None
    while page := lab.store.tasks(SWEEP, after=last, limit=3):
        pages.append([task.ordinal for task in page])
        last = page[-1]
    assert [[0, 1, 2], [3, 4, 5], [6]] == pages


def test_an_unknown_sweep_has_nothing(lab):
    name = SweepName("unknown")
    found = (lab.store.sweep(name), lab.store.counts(name), lab.store.heads(name, limit=5, now=0.0))
    assert (None, {}, []) == found


# ---------------------------------------------------------------------------------------------- beside tasks


def test_the_repository_is_remembered(lab):
    assert RepositoryRow() == lab.store.repository()
    row = RepositoryRow(accepted="c", tree="t", fetched="f", checked_at=1.0, error_reason="E", error_message="m")
    lab.store.set_repository(row)
    assert row == lab.store.repository()


def test_a_status_is_written_only_when_it_changed(lab):
    lab.accept([1])
    ready = Condition(type="Ready", status=ConditionStatus.TRUE, reason="Accepted")
    written = [lab.store.set_status(SWEEP, [ready], {"BackingOff": 3}) for _ in range(2)]
    assert [True, False] == written
    assert ((ready,), {"BackingOff": 3}) == (lab.store.sweep(SWEEP).conditions, lab.store.sweep(SWEEP).holds)


def test_a_manifest_that_is_understood_again_is_no_longer_invalid(lab):
    lab.store.set_invalid("a.yaml", None, [{"message": "no name"}], 1.0)
    lab.store.set_invalid("b.yaml", SWEEP, [{"message": "bad"}], 1.0)
    lab.store.clear_invalid("b.yaml")
    assert [("a.yaml", None)] == [(row.path, row.sweep) for row in lab.store.invalid()]


def test_sources_tell_their_last_known_state(lab):
    lab.store.set_source(SourceName("b"), {"up": False}, 1.0)
    lab.store.set_source(SourceName("a"), {"up": True}, 2.0)
    lab.store.set_source(SourceName("b"), {"up": True}, 3.0)
    assert [("a", 2.0), ("b", 3.0)] == [(row.name, row.at) for row in lab.store.sources()]


def test_only_the_newest_events_are_kept(lab):
    lab.store.add_events([Event(reason="R", message="first"), Event(reason="R", message="second")], 1.0)
    lab.store._database.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'events'", (KEPT,))
    lab.store.add_events([Event(reason="R", message="last")], 1.0)
    assert ["last", "second"] == [event.message for event in lab.store.events()]


def test_events_tell_the_story_of_one_task(lab):
    lab.accept([1, 2])
    lab.start(2)
    story = [event.reason for event in lab.store.events(SWEEP, task_id(1))]
    assert (["Intended"], 3) == (story, len(lab.store.events(SWEEP)))


# ---------------------------------------------------------------------------------------------- what a pass costs


@pytest.mark.parametrize(
    "sql",
    [
        questions.READY,
        questions.DUE,
        questions.WAITING,
        questions.NEXT_WAKE,
        questions.COUNTS,
        questions.OPEN,
        questions.UNACCEPTED,
        questions.CANCELLING,
    ],
)
def test_a_question_of_every_pass_neither_scans_nor_sorts_tasks(lab, sql):
    plan = [row[3] for row in lab.store._database.rows(f"EXPLAIN QUERY PLAN {sql}", [1] * sql.count("?"))]
    assert [] == [step for step in plan if step.startswith("SCAN") and "counters" not in step]
    assert [] == [step for step in plan if "TEMP B-TREE" in step and "GROUP BY" not in step]
