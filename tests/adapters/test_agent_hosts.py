"""Which hosts have ruled a root is left in it, and told where a file server is known to keep it for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.agent import hosts, system
from reconciler.agent.place import Place

MINE = system.Identity("login1", "m" * 32, "0-b")
OTHER = {"host": "login2", "machine": "n" * 32, "boot": "0-c"}
LOCAL = "1 0 8:1 / / rw - ext4 /dev/sda rw\n"


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Says of which kind the file system of all folders is from now on; the first is of NFS."""

    def says(kind):
        monkeypatch.setattr(system, "_filesystem", lambda _: kind)

    says("nfs4")
    return says


def place(folder: Path, identity: system.Identity = MINE) -> Place:
    made = Place(str(folder))
    made.here = identity
    return made


def test_who_has_ruled_is_told_to_who_comes_later(served, tmp_path):
    hosts.sign(place(tmp_path, system.Identity(**OTHER)))
    hosts.sign(place(tmp_path))
    hosts.sign(place(tmp_path))

    told = hosts.signed(place(tmp_path))

    assert sorted([MINE._asdict(), OTHER], key=str) == sorted(told, key=str)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "tmpfs", "overlay", "virtiofs", "9p", "fuse.sshfs", None])
def test_nobody_is_told_where_files_may_have_been_copied_with_their_machine(served, tmp_path, kind):
    hosts.sign(place(tmp_path))
    served(kind)

    assert [] == hosts.signed(place(tmp_path))


def test_nothing_is_left_on_a_disk_of_ones_own(served, tmp_path):
    served("ext4")
    hosts.sign(place(tmp_path))

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("blank", ["host", "machine", "boot"])
def test_who_cannot_tell_who_he_is_leaves_no_name(served, tmp_path, blank):
    hosts.sign(place(tmp_path, MINE._replace(**{blank: ""})))

    assert [] == hosts.signed(place(tmp_path))


@pytest.mark.parametrize("strange", [".nfs0001", "a,b", "a,b,c,d", "a,b c,d", "a,,c"])
def test_what_others_leave_there_is_nobody(served, tmp_path, strange):
    hosts.sign(place(tmp_path))
    (tmp_path / "hosts" / strange).touch()

    assert [MINE._asdict()] == hosts.signed(place(tmp_path))


def test_the_oldest_names_go_when_there_are_many(served, tmp_path, monkeypatch):
    monkeypatch.setattr(hosts, "KEPT", 2)
    for number in range(5):
        hosts.sign(place(tmp_path, MINE._replace(host=f"login{number}")))

    assert {"login3", "login4"} == {each["host"] for each in hosts.signed(place(tmp_path))}


def test_a_root_without_room_tells_of_nobody(served, tmp_path):
    (tmp_path / "hosts").write_text("")
    hosts.sign(place(tmp_path))

    assert [] == hosts.signed(place(tmp_path))
