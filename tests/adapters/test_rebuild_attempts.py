"""Attempts are known again from what is left of them, each as far as its remains prove it, and so is the budget."""

from __future__ import annotations

from pathlib import Path

import pytest
from rebuild_lab import T0, RebuildLab

from reconciler.core.model import Phase

X = "parameters: {x: [1, 2, 3]}"


@pytest.fixture
def lab(tmp_path: Path) -> RebuildLab:
    lab = RebuildLab(tmp_path)
    lab.commit(s=X)
    return lab


@pytest.mark.parametrize(
    ("end", "attempt", "task"),
    [
        ("0", Phase.SUCCEEDED, Phase.SUCCEEDED),
        ("3", Phase.FAILED, Phase.FAILED),
        ("running", Phase.RUNNING, Phase.RUNNING),
        ("lost", Phase.LOST, Phase.WAITING),  # it is not counted, and tried again
        ("dead", Phase.LOST, Phase.WAITING),
        ("torn", Phase.RUNNING, Phase.RUNNING),  # as far as anybody can tell
        ("cancelled", Phase.CANCELLED, Phase.WAITING),
        ("revoked", Phase.CANCELLED, Phase.WAITING),
        ("staged", Phase.QUEUED, Phase.QUEUED),
    ],
)
async def test_an_attempt_is_what_its_remains_prove(lab: RebuildLab, end: str, attempt: Phase, task: Phase) -> None:
    rules = "rules: [{class: Lost, action: Retry, count: false}, {class: UserError, action: Fail}]"
    spec = f"{X}, retry: {{limit: 1, {rules}}}"
    lab.commit(s=spec)
    lab.left({"x": 1}, end=end, digest=lab.digest(spec))

    await lab.rebuild()

    assert [attempt] == [each.phase for each in lab.attempts({"x": 1})]
    assert [task, "waiting", "waiting"] == lab.phases()


async def test_all_that_the_files_tell_of_an_attempt_is_known_again(lab: RebuildLab) -> None:
    eid = lab.left({"x": 1}, digest=lab.digest(X), at=T0 - 50, walltime_s=60, gpus=1)

    await lab.rebuild()

    (attempt,) = lab.attempts({"x": 1})
    assert (eid, 1, "laptop", lab.digest(X), "n") == (
        attempt.eid,
        attempt.key.number,
        attempt.source,
        attempt.digest,
        attempt.nonce,
    )
    assert (T0 - 50, T0 - 49, 0, 0.5, 3.0) == (
        attempt.started_at,
        attempt.ended_at,
        attempt.exit_code,
        attempt.cpu_s,
        attempt.max_rss_mib,
    )
    assert (60, 1, f"/r/attempts/{eid}") == (attempt.resources.walltime_s, attempt.resources.gpus, attempt.directory)


async def test_numbers_go_on_after_the_last_one(lab: RebuildLab) -> None:
    spec = f"{X}, retry: {{limit: 5}}"
    lab.commit(s=spec)
    for number, end in enumerate(("3", "revoked", "cancelled", "4"), start=1):
        lab.left({"x": 1}, number, end, digest=lab.digest(spec), at=T0 - 100 + 10 * number)

    await lab.rebuild()

    task = lab.task({"x": 1})
    assert task is not None
    assert (4, 2, "waiting") == (task.attempts, task.failures, task.phase)
    assert ["failed", "cancelled", "cancelled", "failed"] == [each.phase for each in lab.attempts({"x": 1})]


async def test_a_revoked_attempt_without_a_spec_is_recognised_by_its_name(lab: RebuildLab) -> None:
    lab.left({"x": 2}, 1, "revoked")
    lab.left({"x": 2}, 3, "revoked")  # of the second, nothing has come to the source

    done = await lab.rebuild()

    assert ([1, 3], ()) == ([each.key.number for each in lab.attempts({"x": 2})], done.nameless)


async def test_a_revoked_attempt_of_a_task_that_nobody_remembers_is_told(lab: RebuildLab) -> None:
    eid = lab.left({"x": 99}, 1, "revoked")

    done = await lab.rebuild()

    assert [eid] == [left.eid for left in done.nameless]


async def test_an_attempt_whose_spec_is_torn_is_recognised_by_its_name(lab: RebuildLab) -> None:
    eid = lab.left({"x": 2}, digest=lab.digest(X))
    lab.put("laptop", eid, None, "0", lab.digest(X))

    await lab.rebuild()

    assert ["waiting", "succeeded", "waiting"] == lab.phases()


async def test_strangers_are_left_alone_and_told(lab: RebuildLab) -> None:
    true = lab.left({"x": 1}, digest=lab.digest(X))
    remains = lab.sites["laptop"].remains
    foreign = "gzzzz" + true[5:]
    remains[foreign] = remains[true]
    other = lab.left({"x": 2}, digest=lab.digest(X), parameters={"x": 7})  # its id is not that of its parameters
    nobodys = lab.left({"x": 99}, parameters={"x": 7})

    done = await lab.rebuild()

    assert {foreign, nobodys} == {left.eid for left in done.strangers}
    assert other not in {left.eid for left in done.strangers}  # what it was is known from git
    assert ["succeeded", "succeeded", "waiting"] == lab.phases()


async def test_an_attempt_under_another_name_than_its_spec_tells_is_not_believed(lab: RebuildLab) -> None:
    true = lab.left({"x": 1}, digest=lab.digest(X))
    remains = lab.sites["laptop"].remains
    remains[true[:-1] + ("a" if true[-1] != "a" else "b")] = remains.pop(true)

    done = await lab.rebuild()

    assert (1, ["waiting"] * 3) == (len(done.nameless), lab.phases())


async def test_an_empty_folder_is_nothing(lab: RebuildLab) -> None:
    eid = lab.left({"x": 1}, end="staged")
    lab.put("laptop", eid, None, "staged")

    done = await lab.rebuild()

    assert ((), (), ["waiting"] * 3) == (done.nameless, done.strangers, lab.phases())


async def test_an_attempt_that_others_followed_has_ended_whatever_still_shows_that(lab: RebuildLab) -> None:
    spec = f"{X}, retry: {{limit: 5}}"
    lab.commit(s=spec)
    lab.left({"x": 1}, 1, "running", digest=lab.digest(spec))
    lab.left({"x": 1}, 2, "staged", digest=lab.digest(spec))
    lab.left({"x": 1}, 3, "running", digest=lab.digest(spec))

    await lab.rebuild()

    assert ["lost", "lost", "running"] == [each.phase for each in lab.attempts({"x": 1})]
    assert 1 == len(lab.reader().open_attempts(lab.attempts({"x": 1})[0].source))


async def test_of_one_name_on_two_sources_the_success_counts(tmp_path: Path) -> None:
    lab = RebuildLab(tmp_path, "laptop", "other")
    lab.commit(s=X)
    lab.left({"x": 1}, end="running", source="laptop", digest=lab.digest(X))
    lab.left({"x": 1}, end="0", source="other", digest=lab.digest(X))

    done = await lab.rebuild()

    assert [("succeeded", "other")] == [(each.phase, each.source) for each in lab.attempts({"x": 1})]
    assert ["laptop"] == [left.source for left in done.doubled]


async def test_replicates_are_told_apart(lab: RebuildLab) -> None:
    lab.commit(s="parameters: {x: [1]}, replicates: 40")
    digest = lab.digest("parameters: {x: [1]}, replicates: 40")
    for replicate in (0, 17, 39):
        lab.left({"x": 1}, digest=digest, replicate=replicate)
    lab.commit(s="parameters: {x: [1]}, replicates: 20")

    await lab.rebuild()

    assert [0, 17] == [number for number, phase in enumerate(lab.phases()) if phase == "succeeded"]
    former = lab.task({"x": 1}, replicate=39)
    assert former is not None
    assert (39, False, "succeeded") == (former.replicate, former.desired, former.phase)


# ---------------------------------------------------------------------------------------------- budgets


async def test_failures_are_charged_again(lab: RebuildLab) -> None:
    spec = f"{X}, retry: {{limit: 1}}"
    lab.commit(s=spec)
    for number in (1, 2):
        lab.left({"x": 1}, number, "3", digest=lab.digest(spec))
    lab.left({"x": 2}, 1, "3", digest=lab.digest(spec))

    await lab.rebuild()

    assert ["failed", "waiting", "waiting"] == lab.phases()
    spent, charged = lab.task({"x": 1}), lab.task({"x": 2})
    assert spent is not None
    assert charged is not None
    assert (2, 1) == (spent.failures, charged.failures)


async def test_an_attempt_after_the_last_one_allowed_shows_that_somebody_asked_for_a_retry(lab: RebuildLab) -> None:
    spec = f"{X}, retry: {{limit: 1}}"
    lab.commit(s=spec)
    for number in (1, 2, 3):
        lab.left({"x": 1}, number, "3", digest=lab.digest(spec))

    await lab.rebuild()

    task = lab.task({"x": 1})
    assert task is not None
    assert (1, "waiting") == (task.failures, task.phase)


async def test_a_backoff_is_counted_from_the_end_of_the_attempt(lab: RebuildLab) -> None:
    spec = f"{X}, retry: {{limit: 1, backoff: {{duration: 10m}}}}"
    lab.commit(s=spec)
    lab.left({"x": 1}, 1, "3", digest=lab.digest(spec), at=T0 - 100)

    await lab.rebuild()

    task = lab.task({"x": 1})
    assert task is not None
    assert T0 - 99 + 600 == task.not_before


async def test_resources_that_were_earned_are_earned_again(lab: RebuildLab) -> None:
    rules = "rules: [{class: UserError, action: Retry, scale: {memory: 2}}]"
    spec = f"{X}, resources: {{memory: 1Gi}}, retry: {{limit: 5, {rules}}}"
    lab.commit(s=spec)
    for number in (1, 2, 3):
        lab.left({"x": 1}, number, "3", digest=lab.digest(spec))

    await lab.rebuild()

    assert [1024, 2048, 4096] == [each.resources.memory_mib for each in lab.attempts({"x": 1})]
