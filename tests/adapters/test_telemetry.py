"""The metrics page: complete from the start, bounded, and only what is known."""

from __future__ import annotations

import re
import subprocess

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from reconciler.core.model import Phase
from reconciler.core.spec import SweepState
from reconciler.telemetry import (
    FetchResult,
    KeyKind,
    LinkSnapshot,
    ReconcileResult,
    Snapshot,
    SourceSnapshot,
    SweepSnapshot,
    Telemetry,
)

LINK_METRICS = (
    "problem",
    "latency_seconds",
    "clock_skew_seconds",
    "load1",
    "disk_free_bytes",
    "sessions_total",
    "session_failures_total",
)


@pytest.fixture
def telemetry():
    return Telemetry(version="1.2.3", revision="abc")


def page(telemetry):
    return generate_latest(telemetry.registry).decode()


def samples(telemetry, name):
    """Labels (without their names, in the order of the names) → value."""
    families = text_string_to_metric_families(page(telemetry))
    found = [sample for family in families for sample in family.samples if sample.name == f"reconciler_{name}"]
    return {tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in found}


def sweep(name="mnist", **changes):
    values = {"state": SweepState.ACTIVE, "generation": 1, "desired": 10, **changes}
    return SweepSnapshot(name=name, **values)


BUSY = Snapshot(
    sweeps=(
        sweep(
            tasks={("", Phase.WAITING): 3, ("laptop", Phase.RUNNING): 2, ("laptop", Phase.FAILED): 1},
            finished={("laptop", Phase.FAILED): 4, ("old", Phase.SUCCEEDED): 5},
            created_at=100.0,
        ),
    ),
    sources=(
        SourceSnapshot(name="laptop", scheduler="process", up=True, slots=4, used=2, last_success_at=7.0),
        SourceSnapshot(name="cluster", scheduler="slurm", up=None, slots=100, used=0),
    ),
    manifests_valid=1,
    manifests_invalid=0,
    last_fetch_success_at=5.0,
    queue_depth=2,
    queue_adds=17,
    queue_retries=3,
)


def test_the_way_to_a_source_is_told_as_far_as_it_is_known(telemetry):
    near = LinkSnapshot(sessions=3, failures=1, latency_s=0.2, clock_skew_s=-1.5, load1=0.5, disk_free_mib=2)
    away = LinkSnapshot(problem="HostKeyChanged", failures=7)
    common = {"scheduler": "process", "up": True, "slots": 1, "used": 0}
    telemetry.publish(
        Snapshot(
            sources=(SourceSnapshot(name="a", link=near, **common), SourceSnapshot(name="b", link=away, **common)),
        )
    )

    told = {name: samples(telemetry, f"source_{name}") for name in LINK_METRICS}

    assert {
        "problem": {("HostKeyChanged", "b"): 1},
        "latency_seconds": {("a",): 0.2},
        "clock_skew_seconds": {("a",): -1.5},
        "load1": {("a",): 0.5},
        "disk_free_bytes": {("a",): 2 << 20},
        "sessions_total": {("a",): 3, ("b",): 0},
        "session_failures_total": {("a",): 1, ("b",): 7},
    } == told


def test_the_build_is_told(telemetry):
    (labels,) = samples(telemetry, "build_info")

    assert ("abc", "1.2.3") == labels[1:]


def test_each_child_of_a_closed_set_is_there_from_the_start_at_zero(telemetry):
    reconciled = samples(telemetry, "reconcile_total")
    fetched = samples(telemetry, "git_fetches_total")

    assert {(kind.value, result.value): 0 for kind in KeyKind for result in ReconcileResult} == reconciled
    assert {(result.value,): 0 for result in FetchResult} == fetched
    assert 0 == samples(telemetry, "log_messages_total")[("error",)]


def test_unknown_is_absent(telemetry):
    told = page(telemetry)

    assert not re.search(r"^reconciler_(git_last_fetch|reconcile_last|store_size|manifests)", told, re.MULTILINE)


def test_passes_and_fetches_are_counted(telemetry):
    telemetry.reconciled(KeyKind.SWEEP, ReconcileResult.ERROR, 0.3)
    telemetry.fetched(FetchResult.CHANGED, 0.02)

    assert 1 == samples(telemetry, "reconcile_total")[("sweep", "error")]
    assert 0.3 == samples(telemetry, "reconcile_duration_seconds_sum")[("sweep",)]
    assert 1 == samples(telemetry, "git_fetches_total")[("changed",)]
    assert {(): 1} == samples(telemetry, "git_fetch_duration_seconds_count")


def test_a_commit_from_the_future_counts_as_applied_at_once(telemetry):
    telemetry.applied(-5)

    assert {(): 0} == samples(telemetry, "commit_to_apply_seconds_sum")


def test_all_states_of_each_source_that_a_sweep_uses_are_told(telemetry):
    telemetry.publish(BUSY)

    tasks = samples(telemetry, "sweep_tasks")

    zeros = {(source, phase, "mnist"): 0 for source in ("laptop", "old") for phase in Phase if phase != "waiting"}
    expected = zeros | {
        ("", "waiting", "mnist"): 3,
        ("laptop", "running", "mnist"): 2,
        ("laptop", "failed", "mnist"): 1,
    }
    assert expected == tasks


def test_finished_attempts_come_from_the_snapshot_so_that_restarts_lose_none(telemetry):
    telemetry.publish(BUSY)

    finished = samples(telemetry, "attempts_finished_total")

    assert (4, 5, 0) == (
        finished[("failed", "laptop", "mnist")],
        finished[("succeeded", "old", "mnist")],
        finished[("lost", "laptop", "mnist")],
    )


def test_a_source_that_was_never_tried_is_neither_up_nor_down(telemetry):
    telemetry.publish(BUSY)

    assert {("laptop",): 1} == samples(telemetry, "source_up")
    assert {("cluster",): 100, ("laptop",): 4} == samples(telemetry, "source_slots_limit")


def test_the_queue_is_told(telemetry):
    telemetry.publish(BUSY)

    names = ("workqueue_depth", "workqueue_adds_total", "workqueue_retries_total")
    assert [{(): 2}, {(): 17}, {(): 3}] == [samples(telemetry, name) for name in names]


def test_a_sweep_that_is_gone_leaves_the_page(telemetry):
    telemetry.publish(BUSY)
    telemetry.publish(Snapshot())

    assert "mnist" not in page(telemetry)


def test_beyond_the_limit_sweeps_are_summed_up_and_the_active_keep_their_own(telemetry):
    idle = [
        sweep(f"idle-{number}", changed_at=float(number), finished={("s", Phase.SUCCEEDED): 2}) for number in range(300)
    ]
    active = sweep("active", tasks={("s", Phase.RUNNING): 1}, changed_at=0.0)
    telemetry.publish(Snapshot(sweeps=(*idle, active)))

    desired = samples(telemetry, "sweep_desired_tasks")

    assert 201 == len(desired)
    assert {("active",), ("idle-299",), ("_other",)} <= set(desired)
    assert (1010, {(): 101}) == (desired[("_other",)], samples(telemetry, "metrics_sweeps_limited"))
    assert 202 == samples(telemetry, "attempts_finished_total")[("succeeded", "s", "_other")]


def test_the_page_is_bounded_however_many_sweeps_there_are(telemetry):
    tasks = {(source, Phase.RUNNING): 1 for source in ("a", "b")}
    telemetry.publish(Snapshot(sweeps=tuple(sweep(f"s-{number}", tasks=tasks) for number in range(2000))))

    per_sweep = [line for line in page(telemetry).splitlines() if 'sweep="' in line]
    assert len(per_sweep) <= 201 * 50


def test_operations_that_nobody_foresaw_are_bounded(telemetry):
    for number in range(200):
        telemetry.stored(f"operation-{number}", 0.1)

    counts = samples(telemetry, "store_operation_duration_seconds_count")
    assert (65, 136) == (len(counts), counts[("_other",)])


def test_no_series_tells_when_it_was_created(telemetry):
    telemetry.reconciled(KeyKind.SWEEP, ReconcileResult.ERROR, 0.3)

    assert not re.search(r"^reconciler_\w+_created[ {]", page(telemetry), re.MULTILINE)


def test_no_label_is_one_that_prometheus_sets_itself(telemetry):
    telemetry.publish(BUSY)

    assert not re.search(r"[{,](job|instance)=", page(telemetry))


def test_two_daemons_in_one_process_do_not_share_counters(telemetry):
    other = Telemetry(version="1")
    telemetry.fetched(FetchResult.ERROR, 1)

    assert 0 == samples(other, "git_fetches_total")[("error",)]


@pytest.mark.real("prometheus")
def test_prometheus_finds_nothing_to_complain_about(telemetry):
    telemetry.publish(BUSY)
    for kind in KeyKind:
        telemetry.reconciled(kind, ReconcileResult.SUCCESS, 0.1)
    telemetry.stored("accept", 0.1)
    ours = [line for line in page(telemetry).splitlines(keepends=True) if "reconciler_" in line]

    checked = subprocess.run(["promtool", "check", "metrics"], input="".join(ours), capture_output=True, text=True)

    assert (0, "") == (checked.returncode, checked.stderr)
