"""A repository, sources on which attempts have been left, and a state that is to be made anew from both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from git_repository import GitRepository
from virtual_clock import VirtualClock

from reconciler.catalog import Catalog
from reconciler.core import identity
from reconciler.core.errors import NotSent
from reconciler.core.model import (
    Attempt,
    Commit,
    Eid,
    HostIdentity,
    InstanceId,
    Json,
    SourceName,
    SweepName,
    Task,
    TaskId,
    TaskKey,
)
from reconciler.core.settings import Config, RepositoryConfig, SourceConfig
from reconciler.core.wire import Found, Hello, Reply, Request
from reconciler.dialects.process import ProcessDialect
from reconciler.links.base import NEWCOMER, Ruler
from reconciler.manifests import load
from reconciler.rebuild import Reach, Rebuilt, rebuild, rehearse
from reconciler.store import Reader, Store

OWNER = InstanceId("aaaa")
HERE = HostIdentity(host="h", machine="m", boot="b")
T0 = 1_700_000_000.0  # when the clock begins: all that was left is older


class NoWait(VirtualClock):
    """Nobody waits."""

    async def sleep(self, seconds: float) -> None:
        del seconds


class Site:
    """What lies on one source. `asked`: the instances in whose name somebody came."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.remains: dict[str, Json] = {}
        self.unread: list[str] = []
        self.away = False
        self.mark = ""
        self.asked: list[str] = []

    async def open(
        self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> Session:
        if self.away:
            raise NotSent("AgentNotStarted", "no answer")
        self.asked.append(instance)
        return Session(self)


class Session:
    """Answers a census, two attempts a page."""

    def __init__(self, site: Site) -> None:
        self._site = site
        owner = InstanceId(site.owner)
        self.hello = Hello(identity=HERE, epoch=1, python="3.6.0", root="/r", clock=T0, owner=owner, mark=site.mark)

    async def ask(self, request: Request) -> Reply:
        assert "census" == request.op
        eids = sorted(eid for eid in self._site.remains if eid > str(request.body["after"]))
        page = {eid: self._site.remains[eid] for eid in eids[:2]}
        return Reply(body={"remains": page, "unread": self._site.unread, "after": eids[1] if len(eids) > 2 else ""})

    async def pushes(self) -> AsyncIterator[Sequence[Found]]:
        for page in ():
            yield page

    async def aclose(self) -> None:
        pass


class RebuildLab:
    """One world. `head` is the newest commit."""

    def __init__(self, folder: Path, *sites: str) -> None:
        self.origin = GitRepository(folder / "origin")
        self.state = folder / "state"
        self.clock = NoWait(T0)
        self.sites = {name: Site(OWNER) for name in sites or ("laptop",)}
        self.head = Commit("")
        self.config = Config(
            file=None,
            repository=RepositoryConfig(url=str(self.origin.directory)),
            sources=tuple(SourceConfig(name=SourceName(name), root=f"/r/{name}") for name in self.sites),
            state_dir=str(self.state),
            results_dir="/r",
        )
        self.reach = Reach(
            dialect=lambda source: ProcessDialect(),
            link=lambda source: self.sites[source.name],
            clock=self.clock,
            daemon="d",
        )

    # -- git

    def commit(self, *options: str, **sweeps: str | None) -> Commit:
        """Manifests by name, each the inside of its `spec` but for the command, which is [x]; None takes it away."""
        for name, spec in sweeps.items():
            path = f"sweeps.d/{name}.yaml"
            if spec is None:
                (self.origin.directory / path).unlink()
            else:
                self.origin.write(path, manifest(name, spec))
        self.head = Commit(self.origin.commit(None, *options))
        return self.head

    def digest(self, spec: str, pin: Commit | None = None, name: str = "s") -> str:
        """Of the work of a sweep with this spec, pinned to the head unless told otherwise."""
        loaded = load(manifest(name, spec).encode(), file="f", read=_no_table)
        return identity.work_digest(loaded.spec, pin or self.head)

    # -- what was left

    def left(
        self,
        point: dict[str, Json],
        number: int = 1,
        end: str = "0",
        *,
        sweep: str = "s",
        replicate: int = 0,
        source: str = "laptop",
        digest: str = "",
        pin: Commit | None = None,
        at: float = T0 - 100,
        **spec: Json,
    ) -> Eid:
        """An attempt on a source. end: an exit code, or staged, running, lost, torn, dead, revoked or cancelled."""
        task = identity.task_id(SweepName(sweep), point, replicate)
        eid = identity.eid(OWNER, TaskKey(SweepName(sweep), task), number)
        body: Json = {
            "sweep": sweep,
            "task": task,
            "attempt": number,
            "parameters": point,
            "cwd": f"/r/projects/self/{pin or self.head}",
            "walltime_s": None,
            "gpus": 0,
            "digest": digest,
        } | spec
        self.put(source, eid, None if end == "revoked" else body, end, digest, at)
        return eid

    def put(self, source: str, eid: str, spec: Json, end: str = "0", digest: str = "", at: float = T0 - 100) -> None:
        """The remains of one attempt, in the shape in which they travel."""
        claim = None if end in ("staged", "torn", "dead") else _claim(end, digest, at)
        record = _record(end, at) if end == "cancelled" or end.isdigit() else None
        found = {
            "staged": spec is not None or claim is not None,
            "waiting": False,
            "claim": claim,
            "lock": {"running": "held", "staged": "unknown", "revoked": "unknown"}.get(end, "free"),
            "exit": record,
            "torn": end in ("torn", "dead"),
            "refused": "",
            "directory": f"/r/attempts/{eid}",
        }
        self.sites[source].remains[eid] = {"spec": spec, "dead": end == "dead", "found": found}

    # -- what comes of it

    async def rebuild(self, *, force: bool = False) -> Rebuilt:
        return await rebuild(self.config, self.reach, force=force, tell=lambda what, done, of: None)

    async def rehearse(self) -> Rebuilt:
        return await rehearse(self.config, self.reach, tell=lambda what, done, of: None)

    @contextmanager
    def store(self) -> Any:
        """The state as the daemon would open it."""
        store = Store.create(self.state, instance=InstanceId("zzzz"), at=self.clock.now())
        try:
            yield store
        finally:
            store.close()

    def reader(self) -> Reader:
        return Reader.open(self.state)

    def task(self, parameters: dict[str, Json], sweep: str = "s", replicate: int = 0) -> Task | None:
        """As the new state knows it."""
        task = identity.task_id(SweepName(sweep), parameters, replicate)
        reader = self.reader()
        try:
            return reader.task(TaskKey(SweepName(sweep), TaskId(task)))
        finally:
            reader.close()

    def attempts(self, parameters: dict[str, Json], sweep: str = "s") -> list[Attempt]:
        task = identity.task_id(SweepName(sweep), parameters, 0)
        reader = self.reader()
        try:
            return reader.attempts(TaskKey(SweepName(sweep), TaskId(task)))
        finally:
            reader.close()

    def phases(self, sweep: str = "s") -> list[str]:
        """Of the desired tasks, in declared order."""
        reader = self.reader()
        try:
            return [task.phase.value for task in reader.tasks(SweepName(sweep), limit=1000)]
        finally:
            reader.close()

    def catalog(self) -> Catalog:
        return Catalog(self.reader())


def manifest(name: str, spec: str) -> str:
    return f"apiVersion: reconciler/v1alpha1\nkind: Sweep\nmetadata: {{name: {name}}}\nspec: {{command: [x], {spec}}}\n"


def _claim(end: str, digest: str, at: float) -> Json:
    claim: dict[str, Json] = {
        "kind": "started",
        "at": at,
        "host": HERE.host,
        "machine": HERE.machine,
        "boot": HERE.boot,
    }
    if end == "revoked":
        return claim | {"kind": "revoked"}
    return claim | {"nonce": "n", "digest": digest, "job": "7", "pid": 7, "gpus": []}


def _record(end: str, at: float) -> Json:
    cancelled = end == "cancelled"
    return {
        "nonce": "n",
        "started_at": at,
        "ended_at": at + 1,
        "ended_by": "cancel" if cancelled else "itself",
        "exit_code": None if cancelled else int(end),
        "signal": 15 if cancelled else None,
        "launch_error": None,
        "cpu_s": 0.5,
        "max_rss_mib": 3.0,
    }


def _no_table(path: str) -> bytes:
    raise OSError(path)
