"""What a repository's URL, branch and path may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.clock import SystemClock
from reconciler.core.errors import RepositoryError
from reconciler.core.settings import RepositoryConfig
from reconciler.redaction import redact
from reconciler.repository import Repository, parse_address


@pytest.mark.parametrize(
    ("url", "protocol", "local"),
    [
        ("/srv/git/sweeps.git", "file", "/srv/git/sweeps.git"),
        ("file:///srv/git/my%20sweeps.git", "file", "/srv/git/my sweeps.git"),
        ("https://host/sweeps.git", "https", None),
        ("https://me:secret@host:8443/sweeps.git", "https", None),
        ("ssh://me@host:22/sweeps.git", "ssh", None),
        ("ssh://me@[::1]:22/sweeps.git", "ssh", None),
        ("git@host:team/sweeps.git", "ssh", None),
        ("host:sweeps.git", "ssh", None),
    ],
)
def test_an_address_is_understood(url, protocol, local):
    address = parse_address(url)

    assert (protocol, local) == (address.protocol, address.local and str(address.local))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ext::sh -c touch% /tmp/canary",
        "fd::17",
        "remote::https://host/x",
        "--upload-pack=touch /tmp/canary",
        "-oProxyCommand=touch",
        "-oProxyCommand=x:path",
        "me@-oProxyCommand=x:path",
        "ssh://-oProxyCommand=touch/x",
        "ssh://-oProxyCommand=touch@host/x",
        "ssh://ho st/x",
        "http://host/x",
        "git://host/x",
        "ftp://host/x",
        "file://otherhost/x",
        "file://relative",
        "https:///x",
        "https://host:port/x",
        "https://[::1/x",
        "relative/path",
        "../sweeps",
        "~/sweeps",
        "/srv/x\n[core]",
        "https://host/\x1b[31m",
    ],
)
def test_what_is_no_safe_address_is_refused(url):
    with pytest.raises(RepositoryError) as caught:
        parse_address(url)

    assert "UnsafeUrl" == caught.value.reason
    assert caught.value.message.isprintable()


def test_a_refusal_does_not_tell_the_password():
    with pytest.raises(RepositoryError) as caught:
        parse_address("http://me:hunter2@host/x")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "branch", ["--upload-pack=x", "-x", "a..b", "a b", "a:b", "a\nb", "", "/a", "a/", "a.lock", "@", "a//b", ".a", "a^"]
)
def test_what_is_no_branch_is_refused(branch):
    with pytest.raises(RepositoryError) as caught:
        Repository(RepositoryConfig(url="/x", branch=branch), Path("/nowhere"), clock=SystemClock())

    assert "UnsafeName" == caught.value.reason


@pytest.mark.parametrize("branch", ["main", "feature/x-1", "release-1.2", "ünïcode", "a@b", "x.y_z"])
def test_ordinary_branches_are_accepted(branch):
    assert Repository(RepositoryConfig(url="/x", branch=branch), Path("/nowhere"), clock=SystemClock())


@pytest.mark.parametrize("path", ["../up", "/etc", "a/../../b", "a/.git", "a\nb"])
def test_a_manifest_path_stays_inside(path):
    with pytest.raises(RepositoryError) as caught:
        Repository(RepositoryConfig(url="/x", path=path), Path("/nowhere"), clock=SystemClock())

    assert "UnsafeName" == caught.value.reason


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fatal: https://me:hunter2@host/x is gone", "fatal: https://host/x is gone"),
        ("https://token@host/x", "https://host/x"),
        ("https://a@b:c@host/x", "https://host/x"),
        ("ssh://git@host/x", "ssh://host/x"),
        ("GITHUB_TOKEN=abc123 next", "GITHUB_TOKEN=*** next"),
        ("password: hunter2", "password: ***"),
        ('{"api_key": "abc def", "a": 1}', '{"api_key": ***, "a": 1}'),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer ***"),
        ("mail me@host about 3 tasks", "mail me@host about 3 tasks"),
        ("https://host/a@b", "https://host/a@b"),
    ],
)
def test_secrets_are_taken_out_of_texts(text, told):
    assert told == redact(text)
