"""How it is told: one row for each condition, each line for a person, and the documented shape for programs."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.code_reasons import CODE
from reconciler.core.fit import Hold
from reconciler.core.link_reasons import LINK_REASONS
from reconciler.core.model import Commit, ConditionStatus, Phase, SourceName, SweepName
from reconciler.core.reasons import REASONS, what_to_do
from reconciler.core.refusals import REFUSALS
from reconciler.core.spec import SweepState
from reconciler.core.status import (
    POLARITY,
    Polarity,
    Problem,
    SourceFacts,
    SweepFacts,
    source_status,
    sweep_status,
)
from reconciler.core.status_json import status_json

BROKEN = Problem(reason="UnknownField", message="s.yaml:3:1: there is no field 'comand'")
FROZEN = Problem(reason="ApprovalNeeded", message="12 removals wait")
REWRITTEN = Problem(reason="NotADescendant", message="the branch was rewritten")
TIMED_OUT = Problem(reason="TimedOut", message="git did not answer")
UNFIT = Hold(reason="NoSourceFits", message="", tasks=4)
REFUSED = Hold(reason="SubmissionRefused", message="cluster refuses it: Invalid account", tasks=4)
UNSTARTED = Hold(reason="JobsNotStarting", message="python3: not found", tasks=4)
LIMITED = Hold(reason="ParallelismReached", message="", tasks=88)


def sweep(*, generation=1, observed=1, state=SweepState.ACTIVE, **fields):
    """Facts of a sweep; counts of phases by their own names: `running=3`."""
    tasks = {phase: fields.pop(phase.value) for phase in Phase if phase.value in fields}
    return SweepFacts(
        name=SweepName("s"), state=state, generation=generation, observed_generation=observed, tasks=tasks, **fields
    )


def source(**fields):
    return SourceFacts(name=SourceName("laptop"), **({"enabled": True, "connected": True, "slots": 4} | fields))


def told(status):
    """{type: "status reason"} of all conditions that are listed."""
    return {condition.type: f"{condition.status} {condition.reason}" for condition in status.conditions}


SWEEPS = {
    "all succeeded": (sweep(succeeded=3), {"Ready": "True AllSucceeded", "Reconciling": "False Steady"}),
    "nothing desired": (sweep(), {"Ready": "True AllSucceeded", "Reconciling": "False Steady"}),
    "at work": (
        sweep(running=1, waiting=2),
        {"Ready": "False Progressing", "Reconciling": "True Progressing"},
    ),
    "only waiting": (sweep(waiting=2), {"Ready": "False Progressing", "Reconciling": "True Progressing"}),
    "removed tasks still run": (
        sweep(succeeded=3, leaving=1),
        {"Ready": "False Progressing", "Reconciling": "True Progressing"},
    ),
    "a new generation": (
        sweep(generation=2, succeeded=3),
        {"Ready": "Unknown NewGeneration", "Reconciling": "True NewGeneration"},
    ),
    "the last pass failed": (
        sweep(succeeded=3, error=TIMED_OUT),
        {"Ready": "Unknown TimedOut", "Reconciling": "True TimedOut"},
    ),
    "paused": (
        sweep(waiting=2, state=SweepState.PAUSED),
        {"Ready": "False Paused", "Reconciling": "False Steady"},
    ),
    "paused while some run": (
        sweep(waiting=2, running=1, state=SweepState.PAUSED),
        {"Ready": "False Paused", "Reconciling": "True Progressing"},
    ),
    "paused when all was done": (
        sweep(succeeded=2, state=SweepState.PAUSED),
        {"Ready": "True AllSucceeded", "Reconciling": "False Steady"},
    ),
    "cancelled": (
        sweep(cancelled=2, state=SweepState.CANCELLED),
        {"Ready": "False SweepCancelled", "Reconciling": "False Steady"},
    ),
    "some failed for good": (
        sweep(succeeded=2, failed=1, lost=1),
        {"Ready": "False TasksFailed", "Reconciling": "False TasksFailed", "Stalled": "True TasksFailed"},
    ),
    "some failed, others go on": (
        sweep(waiting=2, failed=1),
        {"Ready": "False Progressing", "Reconciling": "True Progressing"},
    ),
    "too many failed": (
        sweep(waiting=2, failed=2, lost=1, allowed_failures=2),
        {
            "Ready": "False MaxFailuresReached",
            "Reconciling": "False MaxFailuresReached",
            "Stalled": "True MaxFailuresReached",
        },
    ),
    "as many failed as may": (
        sweep(waiting=2, failed=2, allowed_failures=2),
        {"Ready": "False Progressing", "Reconciling": "True Progressing"},
    ),
    "too many failed, some still run": (
        sweep(waiting=2, running=1, failed=1, allowed_failures=0),
        {
            "Ready": "False MaxFailuresReached",
            "Reconciling": "True Progressing",
            "Stalled": "True MaxFailuresReached",
        },
    ),
    "nothing could ever take what waits": (
        sweep(waiting=4, holds=[UNFIT]),
        {"Ready": "False NoSourceFits", "Reconciling": "False NoSourceFits", "Stalled": "True NoSourceFits"},
    ),
    "a scheduler refuses what waits": (
        sweep(waiting=4, holds=[REFUSED]),
        {
            "Ready": "False SubmissionRefused",
            "Reconciling": "False SubmissionRefused",
            "Stalled": "True SubmissionRefused",
        },
    ),
    "what waits has not started there for long": (
        sweep(waiting=6, holds=[UNSTARTED, Hold(reason="Backoff", message="", tasks=2)]),
        {
            "Ready": "False JobsNotStarting",
            "Reconciling": "False JobsNotStarting",
            "Stalled": "True JobsNotStarting",
        },
    ),
    "one of it tries whether it starts now": (
        sweep(waiting=4, queued=1, holds=[UNSTARTED]),
        {"Ready": "False Progressing", "Reconciling": "True Progressing"},
    ),
    "something takes some of it": (
        sweep(waiting=5, holds=[UNFIT]),
        {"Ready": "False Progressing", "Reconciling": "True Progressing"},
    ),
    "the newest manifest is broken": (
        sweep(succeeded=1, invalid=BROKEN),
        {"Ready": "False UnknownField", "Reconciling": "False Steady", "Invalid": "True UnknownField"},
    ),
    "removals wait for approval": (
        sweep(succeeded=1, prune_blocked=FROZEN),
        {"Ready": "False ApprovalNeeded", "Reconciling": "False Steady", "PruneBlocked": "True ApprovalNeeded"},
    ),
    "the branch was rewritten": (
        sweep(succeeded=1, history_rewritten=REWRITTEN),
        {"Ready": "False NotADescendant", "Reconciling": "False Steady", "HistoryRewritten": "True NotADescendant"},
    ),
    "an attempt without proof": (
        sweep(running=1, unresolved=1),
        {"Ready": "False Progressing", "Reconciling": "True Progressing", "Unresolved": "True NoProof"},
    ),
}


@pytest.mark.parametrize(("facts", "expected"), SWEEPS.values(), ids=SWEEPS)
def test_conditions_of_a_sweep(facts, expected):
    assert told(sweep_status(facts)) == expected


SUMMARIES = {
    "12 running, 88 waiting: ParallelismReached": sweep(running=12, waiting=88, holds=[LIMITED]),
    "88 waiting: ParallelismReached": sweep(waiting=88, holds=[UNFIT, LIMITED]),
    "3 succeeded": sweep(succeeded=3),
    "no tasks": sweep(),
    "2 leaving, 1 running": sweep(running=1, leaving=2),
    "1 succeeded, 2 failed, 1 lost; Stalled": sweep(succeeded=1, failed=2, lost=1),
    "1 succeeded; Invalid, Unresolved": sweep(succeeded=1, invalid=BROKEN, unresolved=1),
    "1 running, 2 queued, 1 cancelled, 4 waiting": sweep(running=1, queued=2, cancelled=1, waiting=4),
}


@pytest.mark.parametrize(("expected", "facts"), SUMMARIES.items(), ids=SUMMARIES)
def test_one_line_for_a_person(expected, facts):
    assert sweep_status(facts).summary == expected


SOURCES = {
    "connected": (source(), {"Up": "True Connected"}),
    "not connected yet": (source(connected=False), {"Up": "Unknown NotConnected"}),
    "no answer": (source(connected=False, problem=TIMED_OUT), {"Up": "False TimedOut"}),
    "disabled": (source(enabled=False), {"Up": "True Connected", "Disabled": "True DisabledByOperator"}),
    "fenced": (
        source(problem=Problem(reason="Fenced", message="a newer daemon owns the root")),
        {"Up": "False Fenced", "Fenced": "True Fenced"},
    ),
    "another host": (
        source(problem=Problem(reason="WrongHost", message="login2 answered for login1")),
        {"Up": "False WrongHost", "WrongHost": "True WrongHost"},
    ),
    "cannot collect": (
        source(uncollectable=Problem(reason="ResultsDiskFull", message="no space")),
        {"Up": "True Connected", "CollectFailed": "True ResultsDiskFull"},
    ),
    "without proof": (source(unresolved=2), {"Up": "True Connected", "Unresolved": "True NoProof"}),
}


@pytest.mark.parametrize(("facts", "expected"), SOURCES.values(), ids=SOURCES)
def test_conditions_of_a_source(facts, expected):
    assert told(source_status(facts)) == expected


@pytest.mark.parametrize(
    ("facts", "up"), [(source(), True), (source(connected=False), False), (source(problem=TIMED_OUT), False)]
)
def test_a_source_is_up_when_it_is_connected_and_has_no_problem(facts, up):
    assert source_status(facts).up is up


def test_status_as_json():
    facts = sweep(generation=3, observed=3, running=1, waiting=2, sources={SourceName("laptop"): 1}, holds=[LIMITED])
    told_sweep = sweep_status(facts)

    assert status_json(Commit("c0ffee"), [told_sweep], [source_status(source(active=1))]) == {
        "revision": "c0ffee",
        "sweeps": [
            {
                "name": "s",
                "state": "Active",
                "generation": 3,
                "observedGeneration": 3,
                "project": None,
                "commit": None,
                "summary": "1 running, 2 waiting: ParallelismReached",
                "conditions": [
                    {"type": "Ready", "status": "False", "reason": "Progressing", "message": "3 tasks to go"},
                    {"type": "Reconciling", "status": "True", "reason": "Progressing", "message": ""},
                ],
                "tasks": {
                    "desired": 3,
                    "waiting": 2,
                    "queued": 0,
                    "running": 1,
                    "succeeded": 0,
                    "failed": 0,
                    "cancelled": 0,
                    "lost": 0,
                },
                "sources": {"laptop": 1},
                "holds": [{"reason": "ParallelismReached", "message": "", "until": None, "tasks": 88}],
            }
        ],
        "sources": [
            {
                "name": "laptop",
                "up": True,
                "enabled": True,
                "slots": 4,
                "active": 1,
                "gpus": 0,
                "gpusFree": 0,
                "uncollected": 0,
                "conditions": [{"type": "Up", "status": "True", "reason": "Connected", "message": ""}],
            }
        ],
    }


def test_before_the_first_commit_there_is_no_revision():
    assert status_json(None, [], []) == {"revision": None, "sweeps": [], "sources": []}


def test_sweeps_and_sources_are_listed_by_name():
    named = [sweep_status(SweepFacts(**_fields(name))) for name in ("q", "p")]

    assert [each["name"] for each in status_json(None, named, [])["sweeps"]] == ["p", "q"]


def _fields(name):
    return {"name": name, "state": SweepState.ACTIVE, "generation": 1, "observed_generation": 1, "tasks": {}}


# ------------------------------------------------------------------------------------------------ whatever is known

PROBLEMS = st.none() | st.sampled_from([BROKEN, FROZEN, REWRITTEN, TIMED_OUT])
FACTS = st.builds(
    SweepFacts,
    name=st.just(SweepName("s")),
    state=st.sampled_from(SweepState),
    generation=st.integers(1, 2),
    observed_generation=st.just(1),
    tasks=st.dictionaries(st.sampled_from(Phase), st.integers(0, 2)),
    leaving=st.sampled_from([0, 1]),
    holds=st.lists(st.sampled_from([UNFIT, LIMITED]), max_size=2),
    allowed_failures=st.none() | st.integers(0, 2),
    unresolved=st.sampled_from([0, 1]),
    invalid=PROBLEMS,
    prune_blocked=PROBLEMS,
    history_rewritten=PROBLEMS,
    error=PROBLEMS,
)


def by_type(status):
    return {condition.type: condition for condition in status.conditions}


@given(FACTS)
def test_bad_news_is_listed_only_while_it_is_news_and_the_rest_always(facts):
    listed = by_type(sweep_status(facts))

    assert {"Ready", "Reconciling"} <= listed.keys()
    assert all(
        condition.status is ConditionStatus.TRUE for kind, condition in listed.items() if POLARITY[kind] is Polarity.BAD
    )


@given(FACTS)
def test_ready_means_that_all_succeeded_and_nothing_is_wrong(facts):
    status = sweep_status(facts)
    if by_type(status)["Ready"].status is ConditionStatus.TRUE:
        assert sum(facts.tasks.values()) == facts.tasks.get(Phase.SUCCEEDED, 0)
        assert by_type(status).keys() <= {"Ready", "Reconciling", "Unresolved"}
        assert by_type(status)["Reconciling"].status is ConditionStatus.FALSE


@given(FACTS)
def test_what_is_neither_ready_nor_reconciling_says_what_a_person_must_do(facts):
    listed = by_type(sweep_status(facts))
    if ConditionStatus.TRUE not in (listed["Ready"].status, listed["Reconciling"].status):
        bad = any(POLARITY[kind] is Polarity.BAD for kind in listed)
        assert bad or facts.state is not SweepState.ACTIVE or facts.tasks.get(Phase.CANCELLED)


@given(FACTS)
def test_every_condition_has_a_reason_and_the_whole_is_json(facts):
    status = sweep_status(facts)

    assert all(condition.reason for condition in status.conditions)
    assert json.loads(json.dumps(status_json(None, [status], [])))["sweeps"][0]["summary"] == status.summary


# ------------------------------------------------------------------------------------------------ reasons


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_says_what_it_means_and_what_to_do(reason):
    assert len(REASONS[reason].meaning.split()) >= 4
    assert all(text.endswith(".") for text in REASONS[reason] if text)
    assert what_to_do(reason) == REASONS[reason].action


def test_no_reason_stands_in_two_tables_and_each_table_is_in_order():
    tables = [REFUSALS, CODE, LINK_REASONS]
    told = [*REFUSALS, *CODE, *LINK_REASONS]
    own = list(REASONS)[len(told) :]

    assert told == list(REASONS)[: len(told)]
    assert [[*sorted(table)] for table in (*tables, own)] == [[*table] for table in (*tables, own)]


def test_nothing_is_to_be_done_about_a_word_that_is_not_known():
    assert what_to_do("NoSuchReason") == ""
