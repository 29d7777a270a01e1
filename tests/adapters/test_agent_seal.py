"""A seal tells each file that does not look as it did when the folder was verified."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from reconciler.agent import seal

NAMES = ("a.py", "b.py", "pkg/c.py", "link")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "code"
    (made / "pkg").mkdir(parents=True)
    for name in NAMES[:3]:
        (made / name).write_text("print('verified')\n")
    (made / "link").symlink_to("a.py")
    return made


@pytest.fixture
def sealed(folder, tmp_path):
    return seal.put(str(tmp_path / "seals"), seal.take(str(folder), NAMES), "pin")


def write_in_place(folder):
    """As many bytes, and the old times."""
    before = (folder / "a.py").stat()
    (folder / "a.py").write_text("print('modified')\n")
    os.utime(folder / "a.py", ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_whole(folder):
    (folder / "new").write_text("print('verified')\n")
    (folder / "new").rename(folder / "a.py")


CHANGES = {
    "written": write_in_place,
    "replaced": replace_whole,
    "removed": lambda folder: (folder / "a.py").unlink(),
    "made executable": lambda folder: (folder / "a.py").chmod(0o755),
}


def test_what_nobody_touched_is_as_it_was_sealed(sealed):
    assert [] == seal.differing(sealed)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_each_change_of_a_file_is_named(folder, sealed, change):
    change(folder)

    assert ["a.py"] == seal.differing(sealed)


def test_a_link_that_leads_elsewhere_is_named(folder, sealed):
    (folder / "link").unlink()
    (folder / "link").symlink_to("b.py")

    assert ["link"] == seal.differing(sealed)


def test_a_file_that_nobody_sealed_does_not_count(folder, sealed):
    (folder / "untracked").touch()

    assert [] == seal.differing(sealed)


def test_the_first_five_are_named_and_the_others_counted(folder, tmp_path):
    names = [f"n{number}" for number in range(8)]
    for name in names:
        (folder / name).touch()
    path = seal.put(str(tmp_path), seal.take(str(folder), names), "pin")
    for name in names:
        (folder / name).unlink()

    assert [*names[:5], "3 more"] == seal.differing(path)


@pytest.mark.parametrize("torn", [b"", b"seal 1\0", None])
def test_a_seal_that_is_torn_or_gone_proves_nothing(sealed, torn):
    whole = Path(sealed).read_bytes()
    if torn is None:
        os.unlink(sealed)
    else:
        Path(sealed).write_bytes(torn or whole[:-20])

    assert [f"the seal {sealed}"] == seal.differing(sealed)


def test_a_file_that_changes_within_one_tick_after_the_look_is_noticed(folder):
    """Files just written are waited for: the next write must fall into another tick of the clock."""
    (folder / "a.py").write_text("one")
    began = time.time()
    seal.take(str(folder), NAMES)

    assert time.time() - began > seal.TICK_S / 2


def test_the_same_seal_is_kept_once_and_old_ones_go(folder, sealed, tmp_path):
    old = tmp_path / "seals" / "old"
    old.touch()
    os.utime(old, (1, 1))
    (folder / "b.py").chmod(0o700)
    other = seal.put(str(tmp_path / "seals"), seal.take(str(folder), NAMES), "pin")
    again = seal.put(str(tmp_path / "seals"), seal.take(str(folder), NAMES), "pin")

    assert other == again
    assert sorted(map(os.path.basename, (sealed, other))) == sorted(os.listdir(tmp_path / "seals"))
