"""A daemon taken apart: the production's passes on a repository, a source and a clock of the test, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from machine_agent import FakeAgent
from machine_git import FakeGit
from machine_steps import Job, StepClock, run
from some_stock import only_self

from reconciler import apply, requests
from reconciler.catalog import Catalog
from reconciler.controller.brake import plan_id
from reconciler.controller.controller import DISPATCH, REPOSITORY, REQUESTS, Controller
from reconciler.controller.keys import sweep_key
from reconciler.controller.steps import finish
from reconciler.core.dispatch import Hold
from reconciler.core.errors import RepositoryError
from reconciler.core.model import Attempt, Code, Eid, InstanceId, SourceName, SweepName
from reconciler.core.settings import Config, RepositoryConfig, SourceConfig
from reconciler.core.status import Problem
from reconciler.core.wire import Found
from reconciler.dialects.process import ProcessDialect
from reconciler.observe import observe
from reconciler.project import Projects
from reconciler.requests import Action, Verb
from reconciler.source import Source, acknowledge
from reconciler.store import Store
from reconciler.telemetry import Telemetry
from reconciler.workqueue import WorkQueue

LAPTOP = SourceName("laptop")


class Hand:
    """What `SourceLoop` does, in the order that the test wants: the same calls, and no tasks."""

    def __init__(self, source: Source, store: Store, catalog: Catalog, clock: StepClock) -> None:
        self.source, self._store, self._catalog, self._clock = source, store, catalog, clock
        self.projects = Projects(source, only_self(FakeGit.git_dir), clock)
        self._asked: dict[Eid, float] = {}
        self.ready = False
        self.problem: Problem | None = None
        self.untried = False
        self.beginning = False
        self.collector = None

    @property
    def name(self) -> SourceName:
        return LAPTOP

    def unresolved(self, sweep: SweepName | None = None) -> int:
        return 0

    def code_problem(self, code: Code | None) -> Hold | None:
        return None if code is None else self.projects.problem(code)

    def prefetch(self) -> int:
        return 0

    def kick(self) -> None:
        pass

    async def connect(self) -> None:
        """A new session begins with a look at all that is open."""
        self.ready = False
        await self.source.connect()
        await self._look_at([attempt.eid for attempt in self._store.open_attempts(LAPTOP)])
        self.ready = True

    async def act(self) -> None:
        """Bring code, start what is intended, end what is to be cancelled."""
        await self.projects.bring(apply.codes(self.source, self._store, self._catalog))
        for once in (self._submit, self._cancel):
            while (done := await once()).sent:
                await self._look_at(done.look_at)

    async def _submit(self) -> apply.Applied:
        return await apply.submit(self.source, self._store, self._catalog, self.projects, self._clock)

    async def _cancel(self) -> apply.Applied:
        return await apply.cancel(self.source, self._store, self._catalog, self._clock, self._asked)

    async def hear(self, page: Sequence[Found]) -> None:
        """A page of news arrives; what is recorded the source may forget."""
        hello = self.source.state.hello
        assert hello is not None
        seen = observe(self._store, self._catalog, hello, page, self._clock.now())
        if seen.acknowledge:
            await self.source.ask(acknowledge(seen.acknowledge))

    async def _look_at(self, eids: Sequence[Eid]) -> None:
        if eids:
            page = await self.source.ask(self.source.dialect.inspect(eids))
            await self.hear(list(page.values()))


class World:
    """One state directory, and whoever serves it at the moment."""

    def __init__(self, folder: Path, *, slots: int, prune_max_tasks: int, git: FakeGit | None = None) -> None:
        """git: what another world pushed to as well."""
        self.git, self.agent, self.clock = git or FakeGit(), FakeAgent(), StepClock()
        self.folder = folder
        source = SourceConfig(name=LAPTOP, root="/r", slots=slots)
        self.config = Config(
            file=None,
            repository=RepositoryConfig(url="/nowhere"),
            sources=(source,),
            state_dir=str(folder / "state"),
            results_dir="/r",
            prune_max_tasks=prune_max_tasks,
        )
        self._telemetry = Telemetry(version="0")
        self._asked = 0
        self.open()

    # -- the daemon begins and ends

    def open(self) -> None:
        """As the engine begins: what a crash has left is finished or discarded first."""
        self.store = Store.create(self.folder / "state", instance=InstanceId("aaaa"), at=self.clock.now())
        finish(self.store.recover(self.clock.now()))
        self.catalog = Catalog(self.store)
        self.controller = Controller(
            config=self.config,
            store=self.store,
            catalog=self.catalog,
            repository=self.git,
            queue=WorkQueue(self.clock, random=lambda: 0.0),
            telemetry=self._telemetry,
            clock=self.clock,
        )
        source = Source(
            config=self.config.sources[0],
            instance=self.store.instance(),
            daemon="d",
            dialect=ProcessDialect(),
            link=self.agent,
            clock=self.clock,
        )
        self.hand = Hand(source, self.store, self.catalog, self.clock)
        self.controller.attach({LAPTOP: self.hand})

    def close(self) -> None:
        self.store.close()

    # -- what it does, as jobs

    def look(self) -> Job:
        """The repository pass."""
        return Job(self._look())

    async def _look(self) -> None:
        try:
            await self.controller.reconcile(REPOSITORY)
        except RepositoryError as error:
            if error.reason not in ("Unreachable", "RevisionNotFound"):
                raise

    def dispatch(self) -> None:
        run(self.controller.reconcile(DISPATCH))

    def tell(self) -> None:
        """The pass of each sweep."""
        for sweep in self.catalog.sweeps():
            run(self.controller.reconcile(sweep_key(sweep.name)))

    def act(self) -> Job:
        return Job(self._act())

    async def _act(self) -> None:
        if not self.hand.ready:
            await self.hand.connect()
        await self.hand.act()

    def hear(self, most: int) -> None:
        if self.hand.ready:
            run(self.hand.hear(self.agent.page(most)))

    # -- what people ask for

    def ask(self, verb: Verb, **arguments: object) -> requests.Outcome:
        """A request, carried out at once."""
        self._asked += 1
        action = Action(id=f"r{self._asked}", verb=verb, at=self.clock.now(), by="me", arguments=arguments)
        state = Path(self.config.state_dir)
        requests.submit(state, action)
        run(self.controller.reconcile(REQUESTS))
        outcome = requests.outcome(state, action.id)
        assert outcome is not None
        return outcome

    def approve(self) -> requests.Outcome:
        frozen = ((sweep.name, sweep.row.frozen) for sweep in self.catalog.sweeps())
        return self.ask(Verb.APPROVE, plan=plan_id(frozen))

    # -- what is

    def open_attempts(self) -> list[Attempt]:
        return self.store.open_attempts(LAPTOP)

    def names(self) -> Iterator[SweepName]:
        """All sweeps that were ever accepted."""
        for (name,) in self.store._database.rows("SELECT name FROM sweeps WHERE generation > 0"):
            yield SweepName(name)
