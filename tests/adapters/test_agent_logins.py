"""Whether a machine ends what a login leaves behind, from what systemd-logind and its files say."""

from __future__ import annotations

import pytest

from reconciler.agent.logins import Logind, ends_leftovers, from_bus, from_files, in_session, kills


@pytest.mark.parametrize(
    ("cgroups", "expected"),
    [
        ("0::/user.slice/user-1000.slice/session-3.scope\n", True),
        ("1:name=systemd:/user.slice/user-1000.slice/session-c2.scope\n0::/\n", True),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope\n", False),
        ("0::/system.slice/ssh.service\n", False),
        ("0::/\n", False),
    ],
)
def test_only_what_logind_counts_to_a_login_is_in_danger(cgroups, expected):
    assert expected == in_session(cgroups)


@pytest.mark.parametrize(
    ("logind", "expected"),
    [
        (Logind(True, [], []), True),
        (Logind(False, [], []), False),
        (Logind(True, ["root", "me"], []), False),
        (Logind(True, [], ["you"]), False),
        (Logind(True, [], ["me"]), True),
    ],
)
def test_accounts_are_spared_or_chosen_by_name(logind, expected):
    assert expected == kills(logind, "me")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ('b true\nas 1 "root"\nas 0\n', Logind(True, ["root"], [])),
        ('b false\nas 2 "root" "me"\nas 1 "you"\n', Logind(False, ["root", "me"], ["you"])),
        ("", None),
        ("Failed to connect to bus: No such file or directory\n", None),
        ("b maybe\nas 0\nas 0\n", None),
    ],
)
def test_what_logind_says_over_the_bus_is_understood(told, expected):
    assert expected == from_bus(told)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["[Login]\n#KillUserProcesses=yes\n"], None),
        (["[Login]\nKillUserProcesses=yes\n"], Logind(True, ["root"], [])),
        (["KillUserProcesses=yes\n", "KillUserProcesses=no\n"], Logind(False, ["root"], [])),
        (
            ["KillUserProcesses = true\nKillExcludeUsers=root me\nKillOnlyUsers=you\n"],
            Logind(True, ["root", "me"], ["you"]),
        ),
    ],
)
def test_files_are_read_where_logind_does_not_answer(texts, expected):
    assert expected == from_files(texts)


@pytest.mark.parametrize("text", ["0::/system.slice/ssh.service\n", None])
def test_what_does_not_belong_to_a_login_is_never_in_danger(tmp_path, text):
    if text is not None:
        (tmp_path / "cgroup").write_text(text)

    assert not ends_leftovers(str(tmp_path / "cgroup"))
