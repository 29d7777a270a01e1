"""How long a look at code is believed: for a moment in a worktree of ours, never in a folder that people edit."""

from __future__ import annotations

import pytest

from reconciler.agent import seal
from reconciler.agent.proof import Proofs


@pytest.fixture
def sealed(tmp_path):
    """A folder with many files at this place, and its seal beside worktrees."""

    def make(folder):
        folder.mkdir(parents=True)
        names = [f"f{number}" for number in range(3000)]  # so that one look takes some milliseconds
        for name in names:
            (folder / name).touch()
        return seal.put(str(tmp_path / "projects/p/seals"), seal.take(str(folder), names), "pin")

    return make


@pytest.mark.parametrize(("place", "told"), [("projects/p/pin", []), ("elsewhere/there", ["f7"])])
def test_only_in_a_worktree_of_ours_is_a_look_believed(tmp_path, sealed, place, told):
    proofs, path = Proofs(), sealed(tmp_path / place)
    first = proofs.differing(path, str(tmp_path / place))
    (tmp_path / place / "f7").write_text("edited")

    assert [] == first
    assert told == proofs.differing(path, str(tmp_path / place))


def test_another_folder_under_the_name_of_a_worktree_is_looked_at_again(tmp_path, sealed):
    proofs, path = Proofs(), sealed(tmp_path / "projects/p/pin")
    proofs.differing(path, str(tmp_path / "projects/p/pin"))
    (tmp_path / "projects/p/pin").rename(tmp_path / "aside")
    (tmp_path / "projects/p/pin").mkdir()

    assert 6 == len(proofs.differing(path, str(tmp_path / "projects/p/pin")))
