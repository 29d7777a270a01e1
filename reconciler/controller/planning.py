"""What would happen: the same survey and the same diff as an acceptance, counted and not written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.catalog import Catalog, Sweep
from reconciler.clock import Clock
from reconciler.controller.acceptance import pinned_already, policy_of
from reconciler.controller.brake import brake, plan_id
from reconciler.controller.pins import Pins
from reconciler.controller.steps import finish
from reconciler.controller.survey import AtCommit, Manifest, Survey, Surveyor, Tree, projects_of
from reconciler.core import identity
from reconciler.core.diff import Verb
from reconciler.core.errors import ReconcilerError, RepositoryError, StoreError, UsageError
from reconciler.core.model import Commit, ProjectName, SweepName
from reconciler.core.parameters import expand
from reconciler.core.settings import Config
from reconciler.repository import PLANNED, Codebase, Head, Repository, WorkingTree, git_codebases
from reconciler.snapshots import tree_codebases
from reconciler.store import DiffSummary, Reader

PATIENCE_S = 300.0  # for projects: somebody waits for the answer
QUIET = (Verb.KEEP, Verb.LEAVE)  # what changes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """What would become of one sweep. action: create, update, delete, unchanged or invalid."""

    name: str
    path: str
    action: str
    counts: Mapping[Verb, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    spec_changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would happen at a revision (None: the working tree).

    plan_id and blocked: removals that wait for an approval, and why; the id is what `approve` takes.
    manifests: the good ones.
    """

    revision: Commit | None
    sweeps: tuple[SweepPlan, ...]
    errors: tuple[ReconcilerError, ...]
    plan_id: str = ""
    blocked: str = ""
    manifests: tuple[Manifest, ...] = ()

    @property
    def changes(self) -> bool:
        return any(sweep.action in ("create", "update", "delete") for sweep in self.sweeps)


async def plan(config: Config, *, working_tree: bool, clock: Clock) -> Plan:
    """The plan for the repository's head, or for the uncommitted files of its checkout.

    Fetches into a mirror of its own, and writes nothing else. Raises RepositoryError, StoreError.
    """
    reader = _open(Path(config.state_dir))
    try:
        return await _plan(config, reader, _checkout(config) if working_tree else None, clock)
    finally:
        if reader is not None:
            reader.close()


def _open(state_dir: Path) -> Reader | None:
    """The store as readers see it; None when nothing was ever accepted."""
    try:
        return Reader.open(state_dir)
    except StoreError as error:
        if error.reason == "NoState":
            return None
        raise


def _checkout(config: Config) -> Path:
    path = Path(config.repository.url)
    if not (path / ".git").exists():
        raise UsageError(
            "NoWorkingTree",
            f"{config.repository.url} is not a checkout on this machine",
            hint="leave out --working-tree: the plan is then made for the branch's head",
        )
    return path


async def _plan(config: Config, reader: Reader | None, working_tree: Path | None, clock: Clock) -> Plan:
    mirror = Repository(config.repository, Path(config.state_dir) / "plan.git", clock=clock)
    mirrors, snapshots = git_codebases(config, PLANNED, clock), tree_codebases(config, PLANNED, clock)
    codebases: dict[ProjectName, Codebase] = {**mirrors, **snapshots}
    pins = Pins(mirror, codebases, patience_s=PATIENCE_S)
    try:
        return await _plan_with(mirror, pins, config, reader, working_tree, clock)
    finally:
        await pins.aclose()
        mirror.close()
        for codebase in codebases.values():
            codebase.close()


async def _plan_with(
    mirror: Repository, pins: Pins, config: Config, reader: Reader | None, working_tree: Path | None, clock: Clock
) -> Plan:
    head = await mirror.fetch()
    tree: Tree = AtCommit(mirror, head.commit)
    if working_tree is not None:
        tree = WorkingTree(working_tree, config.repository.path)
    surveyor = Surveyor(max_tasks=config.max_tasks_per_sweep, projects=projects_of(config), clock=clock)
    survey = await surveyor.survey(tree)
    planner = _Planner(reader, pins, head)
    await planner.begin(survey)
    sweeps = [await planner.manifest(name, manifest) for name, manifest in survey.sweeps.items()]
    sweeps += [
        SweepPlan(name=_name(path, several), path=path, action="invalid") for path, several in survey.broken.items()
    ]
    if survey.complete:
        sweeps += list(planner.deletions(survey))
    errors = tuple(error for several in survey.broken.values() for broken in several for error in broken.errors)
    return Plan(
        revision=None if working_tree is not None else head.commit,
        sweeps=tuple(sorted(sweeps, key=lambda sweep: sweep.name)),
        errors=(*errors, *planner.errors),
        plan_id=planner.pending(),
        blocked=planner.blocked(config.prune_max_tasks),
        manifests=tuple(survey.sweeps.values()),
    )


class _Planner:
    """The diff of each sweep against the store, in numbers."""

    def __init__(self, reader: Reader | None, pins: Pins, head: Head) -> None:
        self._reader = reader
        self._pins = pins
        self._head = head
        self._sweeps = {sweep.name: sweep for sweep in Catalog(reader).sweeps()} if reader is not None else {}
        self._removed_active = 0
        self._deleted = 0
        self.errors: list[ReconcilerError] = []

    async def begin(self, survey: Survey) -> None:
        """Ask for the commits that are not known."""
        specs = [manifest.loaded.spec for manifest in survey.sweeps.values()]
        await self._pins.begin([spec for spec in specs if pinned_already(spec, self._sweeps.get(spec.name)) is None])

    async def manifest(self, name: SweepName, manifest: Manifest) -> SweepPlan:
        spec, known = manifest.loaded.spec, self._sweeps.get(name)
        if known is not None and not known.row.deleted and known.row.document_digest == identity.spec_digest(spec):
            return SweepPlan(name=name, path=manifest.path, action="unchanged")
        try:
            pin = pinned_already(spec, known) or await self._pins.resolve(spec, self._head)
        except RepositoryError as error:
            self.errors.append(error)
            return SweepPlan(name=name, path=manifest.path, action="invalid")
        if known is None or self._reader is None:
            count = sum(1 for _ in expand(spec))
            return SweepPlan(name=name, path=manifest.path, action="create", counts={Verb.ADD: count})
        finish(self._reader.stage(name, enumerate(expand(spec))))
        summary = finish(self._reader.summarise(name, policy_of(spec, pin)))
        self._removed_active += summary.removed_active
        return _sweep_plan(name, manifest.path, "update", summary, _spec_changes(known, manifest))

    def deletions(self, survey: Survey) -> Iterator[SweepPlan]:
        for name, sweep in self._sweeps.items():
            if sweep.row.deleted or name in survey.sweeps or name in survey.broken_names or self._reader is None:
                continue
            finish(self._reader.stage(name, ()))
            policy = replace(sweep.policy, deletion=sweep.spec.deletion_policy)
            summary = finish(self._reader.summarise(name, policy))
            self._removed_active += summary.removed_active
            self._deleted += 1
            yield _sweep_plan(name, sweep.row.path, "delete", summary, ())

    def pending(self) -> str:
        """The id of the removals that already wait for approval."""
        return plan_id((name, sweep.row.frozen) for name, sweep in self._sweeps.items())

    def blocked(self, max_tasks: int) -> str:
        alive = sum(not sweep.row.deleted for sweep in self._sweeps.values())
        return self._waiting() or brake(
            sweeps=alive, deleted=self._deleted, removed_active=self._removed_active, max_tasks=max_tasks
        )

    def _waiting(self) -> str:
        """Why the removals that already wait do so, or ""."""
        if self._reader is None or not self.pending():
            return ""
        row = self._reader.repository()
        if row.rewritten_from is not None and not row.blocked:
            return f"removals wait: the branch no longer contains {row.rewritten_from[:12]}, its history was rewritten"
        return row.blocked


def _sweep_plan(
    name: SweepName, path: str, action: str, summary: DiffSummary, spec_changes: tuple[str, ...]
) -> SweepPlan:
    counts = {verb: count for verb, count in summary.counts.items() if count}
    return SweepPlan(
        name=name, path=path, action=action, counts=counts, reasons=summary.reasons, spec_changes=spec_changes
    )


def _spec_changes(known: Sweep, manifest: Manifest) -> tuple[str, ...]:
    """The names of the fields whose value changes."""
    old, new = known.spec, manifest.loaded.spec
    return tuple(name for name in new.__dataclass_fields__ if getattr(old, name) != getattr(new, name))


def _name(path: str, several: tuple[object, ...]) -> str:
    names = [getattr(broken, "name", None) for broken in several]
    return next((name for name in names if name), path)
