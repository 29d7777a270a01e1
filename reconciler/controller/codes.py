"""What is told about the code of sweeps: where it is as pinned, where not, and what was done for that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.catalog import Sweep
from reconciler.core.model import Code, ProjectName, SourceName
from reconciler.core.status import CodeFacts, Problem
from reconciler.sourceloop import SourceLoop
from reconciler.telemetry import ProjectSnapshot


def code_facts(sweep: Sweep, loops: Mapping[SourceName, SourceLoop]) -> CodeFacts | None:
    """The code of one sweep, over all sources."""
    code = sweep.code
    if code is None:
        return None
    holds = {name: loop.projects.problem(code) for name, loop in sorted(loops.items())}
    return CodeFacts(
        project=code.project,
        pin=code.pin,
        ready=tuple(name for name, loop in sorted(loops.items()) if loop.projects.found(code) is not None),
        problems={
            name: Problem(reason=hold.reason, message=hold.message) for name, hold in holds.items() if hold is not None
        },
    )


def project_snapshots(codes: Iterable[Code], loops: Mapping[SourceName, SourceLoop]) -> tuple[ProjectSnapshot, ...]:
    """Each project that sweeps are pinned to, on each source on which something is known of it."""
    pins: dict[ProjectName, list[Code]] = {}
    for code in codes:
        pins.setdefault(code.project, []).append(code)
    told = []
    for loop in loops.values():
        for project in sorted(loop.projects.tallies()):
            tally, wanted = loop.projects.tallies()[project], pins.get(project, [])
            held = any(loop.projects.problem(code) is not None for code in wanted)
            found = any(loop.projects.found(code) is not None for code in wanted)
            told.append(
                ProjectSnapshot(
                    source=loop.name,
                    project=project,
                    in_sync=False if held else True if found else None,
                    brought=tally.brought,
                    failures=tally.failures,
                    sent_bytes=tally.sent_bytes,
                )
            )
    return tuple(told)
