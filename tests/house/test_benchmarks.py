"""The benchmark runner measures fairly and reports what it measured."""

from __future__ import annotations

from pathlib import Path

from benchmarks.environment import file_system
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
    table = markdown(figures, {"a": "1", "b": "2"}, {"cores": "2"}, reference="b")

    assert "| a 1 | 100 | 100 to 100 | 2.00 |" in table
    assert "| b 2 | 50 | 50 to 50 | 1.00 |" in table


def test_the_file_system_is_that_of_the_innermost_mount():
    mounts = "/dev/a / ext4 rw 0 0\nshm /dev/shm tmpfs rw 0 0\n"

    assert file_system(Path("/dev/shm/x"), mounts) == "tmpfs on shm"
