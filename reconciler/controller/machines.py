"""What is told about a source besides its conditions: its machine, how far away it is, and the code there."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.jobs import site_to_json
from reconciler.core.model import Code, Json
from reconciler.core.waiting import view_to_json
from reconciler.source import SourceState
from reconciler.sourceloop import SourceLoop

PROJECTS_MAX = 50  # those in trouble come first


def details(loop: SourceLoop, codes: Iterable[Code]) -> dict[str, Json]:
    """As readers get it. codes: what tasks may want to run there."""
    config, state = loop.source.config, loop.source.state
    tally = loop.collector.tally if loop.collector is not None else None
    return {
        "scheduler": config.scheduler,
        "host": config.host,
        "reason": state.reason,
        "message": state.message,
        "advice": state.advice,
        "machine": _machine(state),
        "refused": [
            {"sweep": sweep, "generation": generation, "reason": hold.reason, "message": hold.message}
            for sweep, generation, hold in loop.source.barred.told()
        ],
        "queue": None if loop.source.queue is None else view_to_json(loop.source.queue),
        "site": None if loop.source.site is None else site_to_json(loop.source.site),
        "projects": sorted((_project(loop, code) for code in set(codes)), key=_trouble)[:PROJECTS_MAX],
        "collected": tally.attempts if tally is not None else 0,
        "collectedBytes": tally.bytes if tally is not None else 0,
        "collectFailures": tally.failures if tally is not None else 0,
    }


def _machine(state: SourceState) -> Json:
    """Null before it was ever looked at."""
    hello, probe, survey = state.hello, state.probe, state.survey
    if hello is None or probe is None:
        return None
    return {
        "host": hello.identity.host,
        "python": hello.python,
        "root": hello.root,
        "cpus": probe.cpus,
        "load": round(probe.load1, 2),
        "memoryMib": probe.memory_mib,
        "memoryFreeMib": probe.memory_free_mib,
        "diskFreeMib": probe.disk_free_mib,
        "latencySeconds": None if state.latency_s is None else round(state.latency_s, 4),
        "clockSkewSeconds": None if state.clock_skew_s is None else round(state.clock_skew_s, 2),
        "gpus": None if survey is None else list(survey.gpus),
        "programs": None if survey is None else list(survey.programs),
        "endsLeftovers": None if survey is None else survey.ends_leftovers,
    }


def _trouble(project: dict[str, Json]) -> tuple[bool, str, str]:
    return project["inSync"] is True, str(project["project"]), str(project["revision"])


def _project(loop: SourceLoop, code: Code) -> dict[str, Json]:
    hold = loop.code_problem(code)
    return {
        "project": code.project,
        "revision": code.pin,
        "inSync": hold is None,
        "reason": "" if hold is None else hold.reason,
        "message": "" if hold is None else hold.message,
    }
