"""The results tree: whose files are shown, what is whole, and what is said when it cannot be written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from reconciler.core.errors import ResultsError
from reconciler.core.model import (
    Attempt,
    AttemptKey,
    Digest,
    Eid,
    HostIdentity,
    Phase,
    Resources,
    SourceName,
    SweepName,
    TaskId,
)
from reconciler.results import Kept, ResultsTree, counts_more

KEY = AttemptKey(SweepName("s"), TaskId("aaaaaaaaaa"), 1)
ORDER = ("succeeded", "failed", "running", "lost")  # what counts more stands before what counts less


def attempt(phase: Phase, number: int = 1) -> Attempt:
    return Attempt(
        key=KEY._replace(number=number),
        eid=Eid("g"),
        source=SourceName("far"),
        digest=Digest("d"),
        phase=phase,
        home=HostIdentity(host="h", machine="m", boot="b"),
        resources=Resources(),
        intended_at=0.0,
        ended_at=1_700_000_000.5,
    )


@pytest.fixture
def tree(tmp_path: Path) -> ResultsTree:
    return ResultsTree(tmp_path / "results")


@pytest.mark.parametrize("new", ORDER)
@pytest.mark.parametrize("shown", ORDER)
def test_what_counts_more_is_shown_whichever_was_first(new: str, shown: str) -> None:
    later = counts_more(Phase(new), 2, (Phase(shown), 1))
    earlier = counts_more(Phase(new), 1, (Phase(shown), 2))

    assert (ORDER.index(new) <= ORDER.index(shown), ORDER.index(new) < ORDER.index(shown)) == (later, earlier)


def test_a_cancellation_counts_as_much_as_a_failure_and_anything_more_than_nothing() -> None:
    assert counts_more(Phase.CANCELLED, 2, (Phase.FAILED, 1))
    assert counts_more(Phase.FAILED, 2, (Phase.CANCELLED, 1))
    assert counts_more(Phase.LOST, 1, None)


def test_a_status_that_is_not_ours_is_covered(tree: ResultsTree) -> None:
    folder = tree.task_folder(KEY)
    folder.mkdir(parents=True)
    (folder / "status.yaml").write_text("\x00 garbage")

    tree.conclude(attempt(Phase.LOST), {"a.b": [1e-5, "on"]}, [Kept(name="x", size=1, sha256="y")])

    told = yaml.safe_load((folder / "status.yaml").read_text())
    assert ("lost", 1, "2023-11-14T22:13:20.500+00:00") == (told["phase"], told["attempt"], str(told["ended"]))
    assert {"a.b": [1e-5, "on"]} == yaml.safe_load((folder / "params.yaml").read_text())


def test_concluded_twice_nothing_changes(tree: ResultsTree) -> None:
    tree.keep(KEY, "stdout.log", b"out")
    for _ in range(2):
        tree.conclude(attempt(Phase.SUCCEEDED), {}, [])
        tree.sync()
        shown = {path.name: path.read_bytes() for path in tree.task_folder(KEY).iterdir() if path.is_file()}
        assert (b"out", ["params.yaml", "status.yaml", "stdout.log"]) == (shown["stdout.log"], sorted(shown))


def test_pieces_that_a_power_loss_has_spoilt_are_forgotten(tree: ResultsTree) -> None:
    digest = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"  # of foo
    part = tree.begin(KEY, "stdout.log", digest)
    tree.append(part, b"\0\0\0")

    assert None is tree.complete(tree.begin(KEY, "stdout.log", digest), size=3, head=3, note="")

    part = tree.begin(KEY, "stdout.log", digest)
    tree.append(part, b"foo")
    assert Kept(name="stdout.log", size=3, sha256=digest) == tree.complete(part, size=3, head=3, note="")
    assert tree.has(KEY, "stdout.log", 3, digest)
    assert not tree.has(KEY, "stdout.log", 3, digest[::-1])


def test_a_tree_that_cannot_be_written_is_told_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    tree = ResultsTree(tmp_path / "results")

    for work in (
        lambda: tree.keep(KEY, "x", b""),
        tree.sync,
        lambda: tree.conclude(replace(attempt(Phase.LOST)), {}, []),
    ):
        with pytest.raises(ResultsError) as caught:
            work()
        assert "ResultsUnwritable" == caught.value.reason
        assert str(tmp_path) in caught.value.message
        assert "results.dir" in caught.value.hint
