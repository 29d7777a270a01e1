"""The benchmark runner measures fairly and reports what it measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import chosen
from benchmarks.environment import file_system
from benchmarks.figures import Measured
from benchmarks.report import markdown
from benchmarks.rounds import Figure, interleaved


def test_contenders_take_turns_each_in_an_empty_folder(tmp_path):
    turns = []

    def contender(name, seconds):
        def dispatch(tasks, folder):
            turns.append((name, tasks, list(folder.iterdir())))
            (folder / "left behind").touch()
            return seconds

        return dispatch

    contenders = {"a": contender("a", 1.0), "b": contender("b", 2.0)}
    figures = interleaved(contenders, tasks=10, rounds=2, folder=tmp_path, say=lambda line: None)

    assert turns == [("a", 10, []), ("b", 10, [])] * 2
    assert list(tmp_path.iterdir()) == []
    assert figures == [Figure(name="a", tasks=10, seconds=(1.0, 1.0)), Figure(name="b", tasks=10, seconds=(2.0, 2.0))]


def test_the_median_round_is_the_figure():
    figure = Figure(name="a", tasks=100, seconds=(1.0, 50.0, 2.0))

    assert (figure.rate, figure.slowest, figure.fastest) == (50.0, 2.0, 100.0)


def test_the_table_shows_ratios_to_the_reference():
    figures = [Figure(name="a", tasks=100, seconds=(1.0,)), Figure(name="b", tasks=100, seconds=(2.0,))]
    table = markdown(figures, {"a": "1", "b": "2"}, {"cores": "2"}, "b", {})

    assert "| a 1 | 100 | 100 to 100 | 2.00 |" in table
    assert "| b 2 | 50 | 50 to 50 | 1.00 |" in table


def test_the_file_system_is_that_of_the_innermost_mount():
    mounts = "/dev/a / ext4 rw 0 0\nshm /dev/shm tmpfs rw 0 0\n"

    assert file_system(Path("/dev/shm/x"), mounts) == "tmpfs on shm"


def test_a_goal_is_met_by_the_median_on_the_right_side():
    at_most = Measured(what="a", unit="s", values=(1.0, 9.0, 2.0), goal=2.0)
    at_least = Measured(what="b", unit="/s", values=(1.0, 9.0, 2.0), goal=3.0, more_is_better=True)
    without = Measured(what="c", unit="s", values=(1.0,))

    assert (True, False, None) == (at_most.met, at_least.met, without.met)


def test_nine_tenths_of_the_values_do_not_exceed_the_p90():
    assert 9.0 == Measured(what="a", unit="s", values=tuple(map(float, range(10, 0, -1)))).p90


def test_the_table_shows_figures_beside_their_goals():
    measured = {"x": [Measured(what="a", unit="s", values=(0.25, 0.5, 2.0), goal=0.4, note="n")]}

    assert "| a (n) | 0.5 s | 0.25 to 2 |  | ≤ 0.4 | **missed** |" in markdown([], {}, {"cores": "2"}, "b", measured)


@pytest.mark.parametrize(
    ("only", "names"),
    [("dispatch", ["dispatch"]), ("idle,scale", ["expansion", "acceptance", "passes", "restart", "idle"])],
)
def test_benchmarks_are_chosen_by_name_or_by_group(only, names):
    assert names == chosen(only)


def test_an_unknown_benchmark_is_named():
    with pytest.raises(SystemExit, match="there is no benchmark speed"):
        chosen("speed")
