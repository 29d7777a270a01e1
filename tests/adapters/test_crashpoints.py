"""Crash points: nothing unless armed, one death when armed, and three in each transaction of the store."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from reconciler import crashpoints
from reconciler.core.errors import StoreError
from reconciler.core.model import InstanceId, SourceName
from reconciler.store import Store

PASSES = """
import os, sys
from reconciler.crashpoints import arm_from_environment, crashpoint
arm_from_environment(os.environ)
for name in sys.argv[1:]:
    crashpoint(name)
"""


class Crash(BaseException):
    """What a simulator raises."""


@pytest.fixture
def passed():
    """The names passed since, in order."""
    names = []
    crashpoints.arm(names.append)
    yield names
    crashpoints.arm(None)


def passing(names, at, token):
    """How a process ends that passes these points."""
    environment = {"RECONCILER_CRASH_AT": at, "RECONCILER_CRASH_TOKEN": str(token), "PYTHONPATH": ":".join(sys.path)}
    return subprocess.run([sys.executable, "-c", PASSES, *names], env=environment, check=False).returncode


def test_a_process_dies_at_the_named_point_and_only_once(tmp_path):
    token = tmp_path / "token"
    token.touch()

    assert 0 == passing(["a.first", "a.second"], "a.third", token)
    assert -signal.SIGKILL == passing(["a.first", "a.second"], "a.second", token)
    assert 0 == passing(["a.first", "a.second"], "a.second", token)


def test_a_number_chooses_the_passing(tmp_path):
    token = tmp_path / "token"
    token.touch()

    assert 0 == passing(["a.step", "a.step"], "a.step#3", token)
    assert -signal.SIGKILL == passing(["a.step", "a.step", "a.step"], "a.step#3", token)


def test_a_transaction_has_a_point_before_between_and_after(tmp_path, passed):
    Store.create(tmp_path, instance=InstanceId("aaaa"), at=0.0).close()
    passed = [name for name in passed if name != "store.migrated"]

    assert ["store.create.begun", "store.create.written", "store.create.committed"] == passed


@pytest.mark.parametrize(("step", "kept"), [("begun", 0), ("written", 0), ("committed", 1)])
def test_what_a_crash_leaves_is_nothing_until_it_is_committed(tmp_path, step, kept):
    store = Store.create(tmp_path, instance=InstanceId("aaaa"), at=0.0)

    def crash(name):
        if name == f"store.source.{step}":
            raise Crash

    crashpoints.arm(crash)
    try:
        with pytest.raises(Crash):
            store.set_source(SourceName("here"), {}, 0.0)
    finally:
        crashpoints.arm(None)

    assert kept == len(store.sources())
    store.close()


def test_a_transaction_that_fails_passes_no_further_point(tmp_path, passed):
    store = Store.create(tmp_path, instance=InstanceId("aaaa"), at=0.0)
    store.close()
    passed.clear()

    with pytest.raises(StoreError):
        store.set_source(SourceName("here"), {}, 0.0)
    assert [] == passed
