"""How the code of a sweep is told: where it lies as pinned, where not, and where nobody has looked."""

from __future__ import annotations

import pytest

from reconciler.core.model import Commit, ProjectName, SourceName, SweepName
from reconciler.core.spec import SweepState
from reconciler.core.status import CodeFacts, Problem, SweepFacts, sweep_status

A, B = SourceName("a"), SourceName("b")
DIFFERS = Problem(reason="ProjectDiffers", message="train.py differs on a")
COMING = Problem(reason="ProjectComing", message="on its way to b")


def code(**fields):
    return CodeFacts(project=ProjectName("mnist"), pin=Commit("0123456789abcdef"), **fields)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (code(), ("Unknown", "NotLookedAt", "mnist 0123456789ab was not needed so far")),
        (code(ready=(A, B)), ("True", "AsPinned", "mnist 0123456789ab on a, b")),
        (code(ready=(B,), problems={A: DIFFERS}), ("False", "ProjectDiffers", "train.py differs on a")),
        (code(ready=(A,), problems={B: COMING}), ("Unknown", "ProjectComing", "on its way to b")),
        (code(problems={A: DIFFERS, B: COMING}), ("False", "ProjectDiffers", "train.py differs on a")),
    ],
    ids=["nobody has looked", "as pinned", "one differs", "one is coming", "differs and coming"],
)
def test_the_code_of_a_sweep_is_told_over_all_sources(facts, expected):
    status = sweep_status(
        SweepFacts(
            name=SweepName("s"), state=SweepState.ACTIVE, generation=1, observed_generation=1, tasks={}, code=facts
        )
    )

    (told,) = [each for each in status.conditions if each.type == "ProjectInSync"]
    assert expected == (told.status.value, told.reason, told.message)
