"""The repository pass: fetch, understand, and put new generations in force.

All manifests of a commit are understood before anything acts. Absence is not desire: an unreachable repository, a
broken or unnamed manifest, a rewritten history and a removal of very much cancel nothing by themselves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from reconciler.catalog import Catalog, Sweep
from reconciler.clock import Clock
from reconciler.controller.brake import brake, plan_id
from reconciler.controller.pins import Pins
from reconciler.controller.steps import drive
from reconciler.controller.survey import AtCommit, Manifest, Survey, Surveyor, projects_of
from reconciler.core import identity
from reconciler.core.diff import DiffPolicy
from reconciler.core.errors import ManifestError, Position, RepositoryError, UsageError
from reconciler.core.model import Commit, Point, ProjectName, SweepName
from reconciler.core.parameters import expand
from reconciler.core.settings import Config
from reconciler.core.spec import SweepSpec
from reconciler.crashpoints import crashpoint
from reconciler.manifests import Broken
from reconciler.repository import Codebase, Head, Repository
from reconciler.store import DiffSummary, Draft, Event, RepositoryRow, Store

log = logging.getLogger("reconciler.repository")

NO_CODEBASES: Mapping[ProjectName, Codebase] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one pass came to: the head it saw, whether that was new, and the sweeps that changed.

    unpinned: sweeps whose revision could not be resolved: they stay as they are.
    """

    head: Head
    news: bool
    changed: tuple[SweepName, ...]
    unpinned: frozenset[SweepName] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A draft whose diff is written under an inactive generation."""

    draft: Draft
    summary: DiffSummary


class Acceptance:
    """Brings the store's desired state to what the repository says."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        repository: Repository,
        config: Config,
        clock: Clock,
        codebases: Mapping[ProjectName, Codebase] = NO_CODEBASES,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._repository = repository
        self._config = config
        self._clock = clock
        self._surveyor = Surveyor(max_tasks=config.max_tasks_per_sweep, projects=projects_of(config), clock=clock)
        self._pins = Pins(repository, codebases)
        self._looked = False  # since this daemon started: its configuration may have changed, which no commit tells
        self._alone = asyncio.Lock()  # a pass and an approval both change what is desired
        self._unpinned: RepositoryError | None = None  # a revision could not be resolved in this pass
        self._not_pinned: set[SweepName] = set()  # of which sweeps
        self._interrupted = False  # a pass or an approval ended half-way: the store could not be written, say

    async def run(self, repin: Collection[SweepName] = ()) -> Pass:
        """One pass. `repin`: sweeps whose commit is to be resolved anew.

        Raises RepositoryError: then nothing has changed.
        """
        async with self._alone:
            await self._carry_on()
            self._interrupted = True
            done = await self._run(repin)
            self._interrupted = False
            return done

    async def _carry_on(self) -> None:
        """Finish what is in force and discard what is not, as after a crash: nothing of such a sweep starts before."""
        if self._interrupted:
            await drive(self._store.recover(self._clock.now()), self._clock)
            self._catalog.refresh_all()
            self._interrupted = False

    async def _run(self, repin: Collection[SweepName]) -> Pass:
        known = self._known()
        try:
            head = await self._repository.fetch()
            await self._repository.verify(head.commit)
        except RepositoryError as error:
            self._note_error(known, error)
            raise
        crashpoint("repository.fetched")
        looked_before = self._looked
        if looked_before and head.commit == known.accepted and not known.error_reason and not repin:
            return Pass(head=head, news=False, changed=())
        rewritten = known.accepted is not None and not await self._repository.is_descendant(known.accepted, head.commit)
        changed: tuple[SweepName, ...] = ()
        blocked, self._unpinned, self._not_pinned = known.blocked, None, set()
        if not looked_before or head.tree != known.tree or repin or rewritten or known.rewritten_from is not None:
            survey = await self._surveyor.survey(AtCommit(self._repository, head.commit))
            changed, blocked = await self._accept(survey, head, known, rewritten, repin)
        self._looked = True
        crashpoint("repository.accepted")
        self._note_accepted(known, head, rewritten, blocked)
        await self._keep(head)
        crashpoint("repository.kept")
        return Pass(head=head, news=True, changed=changed, unpinned=frozenset(self._not_pinned))

    def _known(self) -> RepositoryRow:
        """What is known of the repository. Why removals wait is forgotten with the last one: an approval or a thaw may
        have been cut short before its last word."""
        known = self._store.repository()
        waiting = any(sweep.row.frozen for sweep in self._catalog.sweeps())
        return known if waiting else replace(known, blocked="", rewritten_from=None)

    async def _accept(
        self, survey: Survey, head: Head, known: RepositoryRow, rewritten: bool, repin: Collection[SweepName]
    ) -> tuple[tuple[SweepName, ...], str]:
        """Put every change of the survey in force; returns the sweeps that changed, and why removals wait, or ""."""
        alive = sum(not sweep.row.deleted for sweep in self._catalog.sweeps())
        pending = sum(sweep.row.deleted and sweep.row.frozen != "" for sweep in self._catalog.sweeps())
        drafts, broken = await self._drafts(survey, head, repin)
        gone = list(self._deletions(survey, head))
        prepared = [await self._prepare(draft, survey) for draft in (*drafts, *gone)]
        crashpoint("repository.prepared")
        beside = self._frozen_beside(prepared)
        blocked = brake(
            sweeps=alive + pending,
            deleted=len(gone) + pending,
            removed_active=sum(each.summary.removed_active for each in prepared)
            + sum(map(self._store.held_back, beside)),
            max_tasks=self._config.prune_max_tasks,
        )
        waiting = known.blocked if beside else ""
        for each in prepared:
            await self._commit(each, freeze=rewritten or bool(blocked or waiting))
        self._note_broken({**survey.broken, **broken})
        changed = [each.draft.name for each in prepared]
        built_upon = known.rewritten_from is not None and not rewritten and head.commit != known.accepted
        if built_upon and not blocked and not known.blocked:
            changed.extend(await self._thaw())
        return tuple(changed), blocked or known.blocked

    def _frozen_beside(self, prepared: Collection[Prepared]) -> list[SweepName]:
        """Other sweeps whose removals wait: what else is removed is judged with them, and joins them."""
        judged_anew = {each.draft.name for each in prepared}
        return [each.name for each in self._catalog.sweeps() if each.row.frozen and each.name not in judged_anew]

    async def _drafts(
        self, survey: Survey, head: Head, repin: Collection[SweepName]
    ) -> tuple[list[Draft], Mapping[str, tuple[Broken, ...]]]:
        """A draft for each sweep whose manifest says something new; and what turned out broken on the way."""
        drafts: list[Draft] = []
        broken: dict[str, tuple[Broken, ...]] = {}
        news = {name: manifest for name, manifest in survey.sweeps.items() if not self._same(manifest, head, repin)}
        pinned = {name: pinned_already(each.loaded.spec, self._catalog.get(name)) for name, each in news.items()}
        pinned |= dict.fromkeys(repin)
        await self._pins.begin([each.loaded.spec for name, each in news.items() if pinned[name] is None])
        for name, manifest in news.items():
            spec = manifest.loaded.spec
            try:
                pin = pinned[name] or await self._pins.resolve(spec, head)
            except RepositoryError as error:
                broken[manifest.path] = (_no_revision(name, manifest, error),)
                self._unpinned = error
                self._not_pinned.add(name)
                continue
            drafts.append(_draft(manifest, pin, head))
        return drafts, broken

    def _same(self, manifest: Manifest, head: Head, repin: Collection[SweepName]) -> bool:
        """Whether the manifest says nothing new; if the file was moved, that is noted."""
        spec = manifest.loaded.spec
        known = self._catalog.get(spec.name)
        if known is None or known.row.deleted or spec.name in repin:
            return False
        if known.row.document_digest != identity.spec_digest(spec):
            return False
        if known.row.path != manifest.path:
            self._store.set_path(spec.name, manifest.path, head.commit)
            self._catalog.refresh(spec.name)
        return True

    def _deletions(self, survey: Survey, head: Head) -> Iterator[Draft]:
        """A draft for each sweep whose manifest has left the repository, when it is certain that it has."""
        missing = [
            sweep
            for sweep in self._catalog.sweeps()
            if not sweep.row.deleted and sweep.name not in survey.sweeps and sweep.name not in survey.broken_names
        ]
        if missing and not survey.complete:
            log.warning("deletions wait: a manifest cannot be read", extra={"sweeps": len(missing)})
            return
        for sweep in missing:
            yield Draft(
                name=sweep.name,
                path=sweep.row.path,
                commit=head.commit,
                document=sweep.row.document,
                document_digest=sweep.row.document_digest,
                pin=sweep.pin,
                policy=replace(sweep.policy, deletion=sweep.spec.deletion_policy),
            )

    async def _prepare(self, draft: Draft, survey: Survey) -> Prepared:
        manifest = survey.sweeps.get(draft.name)
        deleted = draft.policy.deletion is not None or manifest is None
        points: Iterable[Point] = () if deleted or manifest is None else expand(manifest.loaded.spec)
        await drive(self._store.stage(draft.name, enumerate(points)), self._clock)
        return Prepared(draft=draft, summary=await drive(self._store.prepare(draft), self._clock))

    async def _commit(self, prepared: Prepared, *, freeze: bool) -> None:
        name = prepared.draft.name
        steps = self._store.commit(name, freeze=freeze and prepared.summary.removed > 0, at=self._clock.now())
        next(steps)
        self._catalog.refresh(name)  # it is in force: whatever starts from now on is of this generation
        accepted = await drive(steps, self._clock)
        self._catalog.refresh(name)
        counts = {verb.value: count for verb, count in prepared.summary.counts.items() if count}
        log.info("sweep accepted", extra={"sweep": name, "generation": accepted.generation, **counts})

    async def _thaw(self) -> list[SweepName]:
        """The rewritten history has become the history: what waited for that goes on."""
        thawed = [sweep.name for sweep in self._catalog.sweeps() if sweep.row.frozen]
        for name in thawed:
            await drive(self._store.release_frozen(name, self._clock.now()), self._clock)
            self._catalog.refresh(name)
        return thawed

    async def aclose(self) -> None:
        """Ask nobody any more."""
        await self._pins.aclose()

    async def approve(self, plan: str) -> list[SweepName]:
        """Let every frozen removal go ahead; returns the sweeps concerned.

        plan: what was seen by who approves. It is compared with nobody beside: a pass may freeze more, which nobody has
        seen. Raises UsageError (NothingToApprove, OtherPlan).
        """
        async with self._alone:
            await self._carry_on()
            self._check_plan(plan)
            self._interrupted = True
            released = await self._thaw()
            self._interrupted = False
            self._store.set_repository(replace(self._store.repository(), blocked="", rewritten_from=None))
            return released

    def _check_plan(self, asked: str) -> None:
        frozen = plan_id((sweep.name, sweep.row.frozen) for sweep in self._catalog.sweeps())
        if not frozen:
            raise UsageError("NothingToApprove", "no removal waits for an approval")
        if asked != frozen:
            raise UsageError(
                "OtherPlan",
                f"what waits for approval is {frozen}, not {asked}",
                hint="look at `reconciler plan` again: the removals have changed",
            )

    async def _keep(self, head: Head) -> None:
        codes = {sweep.code for sweep in self._catalog.sweeps() if sweep.code is not None}
        await self._pins.keep(head.commit, codes)

    def _note_error(self, known: RepositoryRow, error: RepositoryError) -> None:
        self._store.set_repository(
            replace(known, checked_at=self._clock.now(), error_reason=error.reason, error_message=error.message)
        )

    def _note_accepted(self, known: RepositoryRow, head: Head, rewritten: bool, blocked: str) -> None:
        frozen = any(sweep.row.frozen for sweep in self._catalog.sweeps())
        rewritten_from = known.accepted if rewritten else known.rewritten_from
        error = self._unpinned  # with an error noted the next poll looks at this head again
        self._store.set_repository(
            RepositoryRow(
                accepted=head.commit,
                tree=head.tree if error is None else None,
                fetched=head.commit,
                checked_at=self._clock.now(),
                error_reason=error.reason if error else "",
                error_message=error.message if error else "",
                rewritten_from=rewritten_from if frozen else None,
                blocked=blocked if frozen else "",
            )
        )
        if rewritten:
            self._store.add_events(
                [Event(reason="HistoryRewritten", message=f"{head.commit} does not descend from {known.accepted}")],
                self._clock.now(),
            )

    def _note_broken(self, broken: Mapping[str, tuple[Broken, ...]]) -> None:
        """What is broken stays known until the manifest is well again, or gone."""
        now = self._clock.now()
        for row in self._store.invalid():
            if row.path not in broken:
                self._store.clear_invalid(row.path)
        for path, several in broken.items():
            for each in several:
                self._store.set_invalid(path, each.name, [error_json(error) for error in each.errors], now)
                for error in each.errors:
                    log.warning("manifest refused", extra={"error": str(error)})


def error_json(error: ManifestError) -> dict[str, str | int]:
    """One error of a manifest, as readers see it."""
    return {
        "file": error.position.file,
        "line": error.position.line,
        "column": error.position.column,
        "pointer": error.pointer,
        "reason": error.reason,
        "message": error.message,
        "hint": error.hint,
    }


def pinned_already(spec: SweepSpec, known: Sweep | None) -> Commit | None:
    """The commit that tasks run already; None: what defines it has changed, and it is to be resolved."""
    if known is None or known.row.deleted or identity.pin_key(spec) != identity.pin_key(known.spec):
        return None
    return known.pin


def _draft(manifest: Manifest, pin: Commit, head: Head) -> Draft:
    spec = manifest.loaded.spec
    return Draft(
        name=spec.name,
        path=manifest.path,
        commit=head.commit,
        document=identity.declared_json(manifest.loaded.document),
        document_digest=identity.spec_digest(spec),
        pin=pin,
        policy=policy_of(spec, pin),
    )


def policy_of(spec: SweepSpec, pin: Commit | None) -> DiffPolicy:
    """What a spec says about changes."""
    return DiffPolicy(
        digest=identity.work_digest(spec, pin),
        state=spec.state,
        update_policy=spec.update_policy,
        on_remove=spec.on_remove,
    )


def _no_revision(name: SweepName, manifest: Manifest, error: RepositoryError) -> Broken:
    located = ManifestError(
        error.reason, error.message, position=Position(file=manifest.path), pointer="/spec/revision", hint=error.hint
    )
    return Broken(name=name, errors=(located,))
