"""More jobs than one command of a scheduler bears: each gets its turn, whatever becomes of the others."""

from __future__ import annotations

import pytest

from reconciler.agent.scheduled import JOBS_AT_ONCE, joined

MANY = [f"{number}_0" for number in range(3 * JOBS_AT_ONCE + 7)]


def test_few_are_all_named_whenever_it_is() -> None:
    assert {"1_0,2_0,3_0"} == {joined(["3_0", "1_0", "2_0", "1_0"], at) for at in (0.0, 5.5, 1e9)}
    assert "" == joined([], 7.0)


@pytest.mark.parametrize("every_s", [1, 30, 47])
def test_of_many_each_is_named_sooner_or_later_and_never_more_than_a_command_bears(every_s: int) -> None:
    told = [joined(MANY, float(turn * every_s)).split(",") for turn in range(700)]
    assert {JOBS_AT_ONCE} == {len(set(words)) for words in told}
    assert set(MANY) == {word for words in told for word in words}
