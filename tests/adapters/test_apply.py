"""What is sent to a source at once fits into one line of the conversation with its agent."""

from __future__ import annotations

import json

from reconciler.agent.channel import MAX_LINE
from reconciler.apply import in_one_line
from reconciler.core.model import Eid
from reconciler.core.sizes import MOST_TEXTS
from reconciler.core.wire import AttemptSpec
from reconciler.dialects.process import ProcessDialect

LONGEST = "\N{GRINNING FACE}" * (MOST_TEXTS // 4)  # four bytes for a program, twelve as JSON


def specs(count: int, *, text: str) -> list[AttemptSpec]:
    return [
        AttemptSpec(
            eid=Eid(f"gaaaa{number:010d}"),
            sweep="s",
            task="t",
            attempt=1,
            argv=("run", text),
            environment={},
            setup=(),
            parameters={"x": text},
            cwd=None,
            checkpoint="c",
            walltime_s=None,
            gpus=0,
        )
        for number in range(count)
    ]


def test_short_ones_go_all_at_once() -> None:
    short = specs(500, text="1")

    assert short == in_one_line(short)


def test_the_longest_that_there_can_be_go_a_few_at_a_time_and_fit_into_a_line() -> None:
    chosen = in_one_line(specs(20, text=LONGEST))

    line = json.dumps(ProcessDialect().submit(chosen).request.body)
    assert (True, True) == (1 <= len(chosen) < 20, len(line) < MAX_LINE)


def test_one_goes_alone_however_long_it_is() -> None:
    assert 1 == len(in_one_line(specs(2, text="x" * (8 << 20))))
