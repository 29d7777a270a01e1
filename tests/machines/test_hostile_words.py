"""Every small text: quantities, times, templates, addresses, what git says, what must not be told."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hostile import NASTY, bounded, mutated, only
from hypothesis import given
from hypothesis import strategies as st
from machine_budget import budget

from reconciler import config, cron, documents, redaction
from reconciler.core import quantities, templates
from reconciler.core.errors import RepositoryError
from reconciler.repository import failures
from reconciler.repository.address import check_name, manifest_path, parse_address
from reconciler.repository.git import Result
from reconciler.repository.objects import _parse_tree

WORDS = [
    b"30s",
    b"1h30m",
    b"2d",
    b"1-02:03:04",
    b"999999d",
    b"4Gi",
    b"1.5TiB",
    b"512 Mi",
    b"0 2 * * *",
    b"*/5 1-3 1,2 jan-mar mon",
    b"@daily",
    b"0 0 30 2 *",
    b"59 23 31 12 7",
    b"$(x)-$$(y)",
    b"$($(x))",
    b"https://me:secret@host:22/a.git",
    b"ssh://me@host/x",
    b"me@host:path",
    b"/srv/git",
    b"file:///a%20b",
    b"ext::sh -c x",
    b"main",
    b"feature/x",
    b"refs/heads/a..b",
    b"sweeps.d/more",
    b"fatal: repository 'x' not found",
    b"ssh: Could not resolve host",
    b"token=abc password: 'x y'",
    b"Authorization: Bearer abcdefgh",
    b"1e-3",
    b"0x1F",
    b"010",
    b"-.inf",
    b"100644 a.yaml\0" + b"\1" * 20,
    b"40000 d\0" + b"\2" * 20 + b"120000 l\0" + b"\3" * 20,
]
TEXTS = st.one_of(mutated(WORDS), st.sampled_from(NASTY)).map(lambda text: text.decode("utf-8", "replace"))
READERS = {
    "duration": (quantities.parse_duration_s, (ValueError,)),
    "memory": (quantities.parse_memory_mib, (ValueError,)),
    "cron": (lambda text: cron.first_tick_after(text[:200], 1.7e9), (ValueError,)),
    "zone": (lambda text: cron.first_tick_after("* * * * *", 0.0, text), (ValueError,)),
    "references": (templates.references, (ValueError,)),
    "template": (lambda text: templates.substitute(text, {"x": "$(x)", "y": "1"}), (ValueError,)),
    "scalar": (documents.scalar, (documents.NotScalarError,)),
    "address": (parse_address, (RepositoryError,)),
    "name": (check_name, (RepositoryError,)),
    "folder": (manifest_path, (RepositoryError,)),
    "secrets": (redaction.redact, ()),
    "complaint": (lambda text: failures.explain(Result(code=1, stdout="", stderr=text), HERE), ()),
}
HERE = parse_address("/srv/git")


@budget(1500, long=25_000)
@given(text=TEXTS)
def test_whatever_is_written_is_read_or_refused(text: str, figures: Counter[str]) -> None:
    for read, errors in READERS.values():
        with bounded(figures):
            only(errors, lambda read=read: read(text))


LONG = {
    "colons": "a://" + ":" * 200_000,
    "schemes": "a" * 200_000,
    "dots": "a." * 100_000 + "://",
    "tokens": "token" * 40_000,
    "packed": "packed object " * 50_000,
    "errors": "packfile " * 80_000,
    "repositories": "repository '" * 50_000,
    "transports": "transport '" * 60_000,
    "locks": "Unable to create '" * 40_000,
    "fatal": "fatal: " * 100_000,
    "references": "$(" * 200_000,
    "dollars": "$" * 400_000,
    "digits": "1" * 400_000,
    "spaces": " " * 400_000,
    "bearers": "bearer " * 100_000,
    "quotes": "password='" * 60_000,
    "slashes": "/" * 400_000,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_long_text_takes_no_longer_than_its_length_asks_for(reader: str, text: str, figures: Counter[str]) -> None:
    read, errors = READERS[reader]
    with bounded(figures):
        only(errors, lambda: read(text))


@budget(400, long=4_000)
@given(data=mutated([word for word in WORDS if b"\0" in word]))
def test_a_tree_of_git_is_read_or_refused(data: bytes, figures: Counter[str]) -> None:
    with bounded(figures):
        only((ValueError, IndexError, KeyError), lambda: _parse_tree(data))


CONFIGURATIONS = [
    (
        b"repository: {url: /srv/git/sweeps.git, branch: main, path: sweeps.d, interval: 30s}\n"
        b"sources:\n  laptop: {scheduler: process, slots: 4, gpus: [0, 1], memory: 64Gi, labels: {a: b}}\n"
        b"state: {dir: ~/state}\nresults: {dir: /r}\nlimits: {maxTasksPerSweep: 100000}\nprune: {maxTasks: 100}\n"
        b'http: {listen: "127.0.0.1:9470"}\n'
    ),
    b"repository: {url: me@host:x.git, verify: {mode: Head, allowedSigners: /etc/signers}}\n",
]


@budget(500, long=8_000)
@given(text=mutated(CONFIGURATIONS))
def test_a_mistreated_configuration_is_understood_or_refused(text: bytes, figures: Counter[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="c-") as folder, bounded(figures):
        path = Path(folder) / "reconciler.yaml"
        path.write_bytes(text)
        only(
            (config.InvalidConfig,),
            lambda: config.load(path, cwd=Path(folder), env=os.environ, home=Path(folder), cpus=2),
        )
