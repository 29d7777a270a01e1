"""Sources on other machines, as the operator's file names them."""

from __future__ import annotations

import pytest

from reconciler.config import InvalidConfig, load
from reconciler.core.addresses import SshAddress, parse_ssh_address
from reconciler.core.settings import SourceConfig

REPOSITORY = "repository: {url: git@host:team/sweeps.git}\n"


@pytest.fixture
def work(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def read(text, work):
    (work / "reconciler.yaml").write_text(REPOSITORY + text)
    return load(None, cwd=work, env={}, home=work.parent / "home", cpus=8)


def errors_of(text, work):
    with pytest.raises(InvalidConfig) as caught:
        read(text, work)
    return [str(error).removeprefix(f"{work}/reconciler.yaml:") for error in caught.value.errors]


def test_a_machine_needs_no_more_than_its_name(work):
    config = read("sources: {gpu-box: {host: 'ssh://gpu-box'}}", work)

    (source,) = config.sources
    instance = config.state_dir.rpartition("/")[2]
    assert ("ssh://gpu-box", 1) == (source.host, source.slots)
    assert f"~/.reconciler/{instance}/gpu-box" == source.root
    assert [None] * 4 == [source.python, source.identity_file, source.known_hosts, source.ssh_config]


def test_all_of_the_way_may_be_said(work):
    text = """\
sources:
  far: {host: "ssh://me@10.0.0.1:2200", root: ~/r, slots: 3, python: ~/v/bin/python,
        identityFile: ~/.ssh/k, knownHosts: hosts, sshConfig: /etc/x}
"""

    expected = SourceConfig(
        name="far",
        host="ssh://me@10.0.0.1:2200",
        root="~/r",
        slots=3,
        python="~/v/bin/python",
        identity_file=f"{work.parent}/home/.ssh/k",
        known_hosts=f"{work}/hosts",
        ssh_config="/etc/x",
    )
    assert (expected,) == read(text, work).sources


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{host: gpu-box}", "2:21: 'gpu-box' is not of the form ssh://user@host:port (user and port may be left out) "),
        (
            "{host: 'ssh://me:secret@b'}",
            "2:21: a password does not belong into a file that people read [PasswordInUrl]",
        ),
        ("{host: 'ssh://-oProxyCommand=x'}", "2:21: 'ssh://-oProxyCommand=x' is not of the form "),
        ("{host: 'ssh://b:70000'}", "2:21: 70000 is no port: they go from 1 to 65535 [InvalidValue]"),
        ("{host: 'ssh://b', root: r}", "2:38: the root on another machine is absolute, or below `~`, "),
        ("{host: 'ssh://b', python: \"a'b\"}", "2:40: a path of Python without quotes, backslashes and `!`, please"),
        ("{knownHosts: x}", "2:15: `knownHosts` is for sources with a `host` [NoEffect]"),
    ],
)
def test_a_wrong_way_is_told_with_its_place(work, source, expected):
    (told,) = errors_of(f"sources: {{b: {source}}}", work)

    assert expected == told[: len(expected)]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ssh://b", SshAddress(host="b")),
        ("ssh://me@b.example.org/", SshAddress(host="b.example.org", user="me")),
        ("ssh://me@[::1]:22", SshAddress(host="::1", user="me", port=22)),
        ("ssh://10.0.0.1:2200", SshAddress(host="10.0.0.1", port=2200)),
    ],
)
def test_addresses_are_read(text, address):
    assert address == parse_ssh_address(text)
    assert address == parse_ssh_address(f"ssh://{address}")
