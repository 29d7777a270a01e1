"""What schedulers think of what manifests would have submitted there: each is asked, and nothing is submitted.

They are asked over sessions of our own, as visitors, so that no daemon is disturbed. A scheduler that cannot be asked
has not agreed: that is a warning, and never passes for an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.faraway import VISITOR
from reconciler.cli.findings import Finding, Level
from reconciler.cli.output import duration, plural
from reconciler.cli.schedulers import surveyed
from reconciler.core.command import distinct_resources
from reconciler.core.errors import Busy, LocatedError, Problem, ReconcilerError, Refused
from reconciler.core.fit import Capacity, allowed, misfit
from reconciler.core.jobs import Demand, options_of
from reconciler.core.parameters import count
from reconciler.core.settings import Config, SourceConfig
from reconciler.core.spec import SweepState
from reconciler.core.wire_commands import COMMANDS_MAX, Command, Ran, inquire
from reconciler.dialects.base import Opinion, Surveyed, Tried
from reconciler.dialects.choice import dialect_of, trials_of
from reconciler.dialects.slurm_trial import Nodes, SlurmTrials, look, nodes_of

if TYPE_CHECKING:
    from reconciler.links.base import Session
    from reconciler.manifests import Loaded

ANSWER_S = 180.0  # for all that is asked of one source
DEMANDS_MAX = 12  # of one sweep
TRIALS_MAX = 500  # on one source


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A submission that nobody makes. of: how many different demands the tasks of its sweep have."""

    manifest: Loaded
    demand: Demand
    tasks: int
    of: int

    @property
    def sweep(self) -> str:
        return self.manifest.spec.name


async def try_out(config: Config, manifests: Iterable[Loaded]) -> list[Finding]:
    """What each scheduler thinks of these sweeps, where their placement allows it. All are asked side by side."""
    wanted = _wanted(config, [each for each in manifests if each.spec.state is not SweepState.CANCELLED])
    answers = await asyncio.gather(*(_asked(config, source, trials) for source, trials in wanted if trials))
    return [finding for several in answers for finding in several]


def schedulers(config: Config) -> list[SourceConfig]:
    """The sources whose scheduler can be asked what it thinks."""
    return [source for source in config.sources if source.enabled and trials_of(source) is not None]


def _wanted(config: Config, manifests: Sequence[Loaded]) -> list[tuple[SourceConfig, list[Trial]]]:
    """What is to be asked of each source."""
    every = {
        each.name: Capacity(
            name=each.name, slots=each.slots, memory_mib=each.memory_mib, scheduled=each.scheduled, labels=each.labels
        )
        for each in config.sources
    }
    found: dict[str, list[Trial]] = {source.name: [] for source in schedulers(config)}
    for manifest in manifests:
        spec = manifest.spec
        places = [each for each in allowed(spec.placement, list(every.values())) if each.name in found]
        if not places:
            continue
        resources, of = distinct_resources(spec, DEMANDS_MAX)
        for place in places:
            source = next(each for each in config.sources if each.name == place.name)
            options = options_of(spec.scheduler_options.get(source.scheduler, {}))
            tasks = max(1, count(spec))
            found[place.name] += [
                Trial(manifest=manifest, demand=Demand(resources=each, options=options), tasks=tasks, of=of)
                for each in resources
                if not misfit(place, each)
            ]
    return [(source, found[source.name]) for source in schedulers(config)]


async def _asked(config: Config, source: SourceConfig, trials: Sequence[Trial]) -> list[Finding]:
    """What one source's scheduler said; or that it was not asked."""
    left = trials[TRIALS_MAX:]
    try:
        async with asyncio.timeout(ANSWER_S):
            opinions = await _visited(source, trials[:TRIALS_MAX])
    except ReconcilerError as error:
        return [_not_asked(source, trials, str(error), error.hint)]
    except TimeoutError:
        return [_not_asked(source, trials, f"it has not answered within {ANSWER_S:.0f} s", "")]
    told = list(_told(config, source, opinions))
    return [*told, _not_asked(source, left, "there is too much to ask about", "")] if left else told


def _not_asked(source: SourceConfig, trials: Sequence[Trial], why: str, hint: str) -> Finding:
    sweeps = list(dict.fromkeys(trial.sweep for trial in trials))
    names = ", ".join(sweeps[:10]) + (", …" if len(sweeps) > 10 else "")
    message = f"its scheduler was not asked about {plural(len(sweeps), 'sweep')} ({names}): {why}"
    return Finding(subject=f"source {source.name}", level=Level.WARN, message=message, hint=hint)


async def _visited(source: SourceConfig, trials: Sequence[Trial]) -> list[tuple[Trial, Tried]]:
    from reconciler.links.choice import link_to

    session = await link_to(source).open(instance=VISITOR, root=source.root, slots=0, gpus=())
    try:
        asker = await _met(source, session)
        tried = await _try(asker, trials, [trial.demand for trial in trials])
        return [(trial, await _with_fault(asker, trial, each)) for trial, each in zip(trials, tried, strict=True)]
    finally:
        await session.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """A scheduler that answers. most: attempts in one submission."""

    session: Session
    trials: SlurmTrials
    nodes: Sequence[Nodes]
    most: int


async def _met(source: SourceConfig, session: Session) -> Asker:
    """What it bears, and which nodes it has. Raises Busy when nobody answers."""
    trials, dialect = trials_of(source), dialect_of(source)
    assert trials is not None, "others are not asked"
    limits = dialect.limits
    if isinstance(dialect, Surveyed):
        site = await surveyed(dialect, session)
        if site is None:
            raise Busy("Busy", "no controller of Slurm answers there", hint="see what `scontrol ping` says there")
        limits = dialect.within(site).limits
    looked = inquire({"nodes": look()})
    nodes = nodes_of(looked.parse(await session.ask(looked.request))["nodes"])
    return Asker(session=session, trials=trials, nodes=nodes, most=limits.batch_max)


async def _try(asker: Asker, trials: Sequence[Trial], demands: Sequence[Demand]) -> list[Tried]:
    """The opinion on each trial, asked with this demand instead of its own."""
    commands: dict[str, Command] = {}
    refused: dict[str, Tried] = {}
    root = asker.session.hello.root
    for number, (trial, demand) in enumerate(zip(trials, demands, strict=True)):
        try:
            spec, tasks = trial.manifest.spec, min(trial.tasks, asker.most)
            warn_s = spec.checkpoint.before_s
            commands[str(number)] = asker.trials.command(spec.name, demand, tasks, root, warn_s=warn_s)
        except Refused as error:
            at = ("spec", "resources", "gpuType")
            refused[str(number)] = Tried(opinion=Opinion.REFUSED, message=error.message, hint=error.hint, at=at)
    ran: dict[str, Ran] = {}
    keys = list(commands)
    for first in range(0, len(keys), COMMANDS_MAX):
        question = inquire({key: commands[key] for key in keys[first : first + COMMANDS_MAX]})
        ran |= question.parse(await asker.session.ask(question.request))
    return [
        refused.get(str(number)) or asker.trials.read(ran[str(number)], demand, asker.nodes)
        for number, demand in enumerate(demands)
    ]


async def _with_fault(asker: Asker, trial: Trial, tried: Tried) -> Tried:
    """With what is at fault, if its scheduler did not say: the one thing without which it would be taken."""
    if tried.opinion is not Opinion.REFUSED or tried.at:
        return tried
    less = list(asker.trials.relaxed(trial.demand))[:COMMANDS_MAX]
    opinions = await _try(asker, [trial] * len(less), [demand for _, demand in less])
    at = [path for (path, _), each in zip(less, opinions, strict=True) if each.opinion is Opinion.TAKEN]
    return asker.trials.blamed(tried, at[0]) if at else tried


# ---------------------------------------------------------------------------------------------- telling


def _told(config: Config, source: SourceConfig, opinions: Sequence[tuple[Trial, Tried]]) -> Iterator[Finding]:
    """One finding for each sweep and opinion, whatever the number of its demands that share it."""
    alike: dict[tuple[str, Opinion, str, tuple[str, ...]], list[Trial]] = {}
    first: dict[tuple[str, Opinion, str, tuple[str, ...]], Tried] = {}
    for trial, tried in opinions:
        key = (trial.sweep, tried.opinion, "" if tried.opinion is Opinion.TAKEN else tried.message, tried.at)
        alike.setdefault(key, []).append(trial)
        first.setdefault(key, tried)
    for key, trials in alike.items():
        yield _finding(config, source, trials, first[key])


def _finding(config: Config, source: SourceConfig, trials: Sequence[Trial], tried: Tried) -> Finding:
    subject, words = f"sweep {trials[0].sweep} on {source.name}", f"{tried.message}{_which(trials)}"
    match tried.opinion:
        case Opinion.TAKEN:
            return Finding(subject=subject, message=f"would be taken: {words}")
        case Opinion.LATER:
            message = f"would not be taken now: {words}"
            return Finding(subject=subject, level=Level.WARN, message=message, hint=tried.hint)
        case Opinion.UNKNOWN:
            message = f"nobody can tell whether it would be taken: {words}"
            return Finding(subject=subject, level=Level.WARN, message=message, hint=tried.hint)
        case Opinion.REFUSED:
            error = _refusal(config, source, trials[0], tried, words)
            return Finding(subject=subject, level=Level.FAIL, message=str(error), hint=error.hint, error=error)


def _which(trials: Sequence[Trial]) -> str:
    """Which of the sweep's tasks are meant, if not all of them."""
    of, wanted = trials[0].of, trials[0].demand.resources
    if len(trials) == of:
        return ""
    told = {
        "cpus": wanted.cpus,
        "memory": None if wanted.memory_mib is None else f"{wanted.memory_mib / 1024:g}Gi",
        "gpus": wanted.gpus,
        "walltime": None if wanted.walltime_s is None else duration(wanted.walltime_s),
        "nodes": wanted.nodes if wanted.nodes > 1 else None,
        "tasksPerNode": wanted.tasks_per_node if wanted.tasks_per_node > 1 else None,
    }
    shown = ", ".join(f"{name} {value}" for name, value in told.items() if value)
    return f" ({len(trials)} of {of} kinds of its tasks, such as: {shown})"


def _refusal(config: Config, source: SourceConfig, trial: Trial, tried: Tried, words: str) -> LocatedError:
    """At the place that is at fault: in the manifest, or in the configuration, whose options go with all sweeps."""
    message = f"{source.name} would refuse it: {words}"
    if tried.at[:1] == ("options",) and config.file is not None:
        from reconciler.config import located

        path = ("sources", source.name, *tried.at)
        problem = Problem(path=path, reason="SubmissionRefused", message=message, hint=tried.hint)
        return located(Path(config.file), problem)
    path = tried.at if tried.at[:1] == ("spec",) else ("spec", "resources")
    problem = Problem(path=path, reason="SubmissionRefused", message=message, hint=tried.hint)
    return trial.manifest.error(problem)
