"""A source in memory: an agent with endless room that starts and ends attempts when told to, and judges I1 and I2.

It speaks the wire's JSON, so that what the daemon hears passes through the very readers of the daemon.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from machine_steps import pause

from reconciler.core.errors import NoReply
from reconciler.core.model import Eid, HostIdentity, InstanceId, Json
from reconciler.core.wire import Found, Hello, Reply, Request
from reconciler.core.wire_json import hello_from_json, page_from_json
from reconciler.links.base import NEWCOMER, Ruler


@dataclass(slots=True)
class Entry:
    """One attempt as it lies there. state: waiting, running, ended, died (without a record) or revoked."""

    task: tuple[str, str]
    digest: str
    state: str = "waiting"
    told_to_end: bool = False
    boot: str = ""
    exit: dict[str, Json] | None = None


class FakeAgent:
    """Link and session in one; a new session is a new epoch."""

    def __init__(self) -> None:
        self.entries: dict[Eid, Entry] = {}
        self.news: dict[Eid, None] = {}
        self.unacknowledged: dict[Eid, None] = {}
        self.starts: Counter[Eid] = Counter()
        self.ends: list[tuple[Eid, str]] = []
        self.boot = 1
        self.epoch = 0
        self.cut = False  # the connection: requests arrive, replies do not

    # -- what happens there

    def live(self) -> list[Eid]:
        return [eid for eid, entry in self.entries.items() if entry.state == "running"]

    def waiting(self) -> list[Eid]:
        return [eid for eid, entry in self.entries.items() if entry.state == "waiting"]

    def start(self, eid: Eid) -> None:
        """A slot is free for it."""
        entry = self.entries[eid]
        others = [other for other in self.live() if self.entries[other].task == entry.task]
        assert not others, f"I2: {eid} starts beside {others}"
        self.starts[eid] += 1
        assert self.starts[eid] == 1, f"I1: {eid} started twice"
        entry.state, entry.boot = "running", str(self.boot)
        self.news[eid] = None

    def end(self, eid: Eid, *, code: int = 0, by: str = "itself") -> None:
        """It ends with a record; `by` is who ended it."""
        entry = self.entries[eid]
        times: dict[str, Json] = {"started_at": 1.0, "ended_at": 2.0, "cpu_s": 0.0, "max_rss_mib": 0.0}
        entry.exit = {"nonce": eid, "ended_by": by, "exit_code": code, **times}
        entry.state = "ended"
        self.unacknowledged[eid] = None
        self.news[eid] = None

    def die(self, eid: Eid) -> None:
        """All its processes are gone, and nothing was written."""
        self.entries[eid].state = "died"
        self.news[eid] = None

    def reboot(self) -> None:
        """Nothing that ran there runs any more, nobody says so, and the queue is forgotten."""
        for eid in self.live():
            self.entries[eid].state = "died"
        for eid in self.waiting():
            del self.entries[eid]
        self.news.clear()
        self.boot += 1

    def hang_up(self) -> None:
        """The connection ends, the agent with it, and its queue with the agent; what runs goes on."""
        for eid in self.waiting():
            del self.entries[eid]
        self.news.clear()

    def page(self, most: int) -> Sequence[Found]:
        """News not yet told, at most so many."""
        eids = list(self.news)[:most]
        for eid in eids:
            del self.news[eid]
        return tuple(page_from_json({eid: self._found(eid) for eid in eids}).values())

    # -- link and session

    async def open(
        self, *, instance: InstanceId, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> FakeAgent:
        await pause()
        self.epoch += 1
        self.hang_up()
        self.news = dict(self.unacknowledged)
        return self

    @property
    def identity(self) -> HostIdentity:
        return HostIdentity(host="h", machine="m", boot=str(self.boot))

    @property
    def hello(self) -> Hello:
        home = {"host": "h", "machine": "m", "boot": str(self.boot)}
        told = {"protocol": 1, "epoch": self.epoch, "python": "3.6", "root": "/r", "clock": 1, "owner": "aaaa"}
        return hello_from_json({**home, **told})

    async def ask(self, request: Request) -> Reply:
        await pause()  # under way
        body: Mapping[str, Any] = request.body
        answer = self._answer(request.op, body)
        await pause()  # and back
        if self.cut:
            raise NoReply("SessionEnded", "the connection was cut")
        return Reply(body=answer)

    async def pushes(self) -> AsyncIterator[Sequence[Found]]:
        return
        yield

    async def aclose(self) -> None:
        pass

    def _answer(self, op: str, body: Mapping[str, Any]) -> dict[str, Json]:
        match op:
            case "start":
                return {"outcomes": {spec["eid"]: self._take(spec) for spec in body["attempts"]}}
            case "inspect":
                return {"found": {eid: self._found(eid) for eid in body["eids"]}}
            case "cancel":
                return {"outcomes": {eid: self._cancel(eid) for eid in body["eids"]}}
            case "ack":
                for eid in body["eids"]:
                    self.unacknowledged.pop(eid, None)
                return {}
            case "worktree":
                return {"path": f"/w/{body['commit']}"}
        raise AssertionError(op)

    def _take(self, spec: Mapping[str, Any]) -> str:
        entry = self.entries.setdefault(spec["eid"], Entry((spec["sweep"], spec["task"]), spec["digest"]))
        if entry.state == "revoked":
            return "revoked"
        return "accepted" if entry.state == "waiting" else "claimed"

    def _cancel(self, eid: Eid) -> str:
        entry = self.entries.setdefault(eid, Entry(("", eid), ""))
        match entry.state:
            case "waiting" | "revoked":
                entry.state = "revoked"
                return "revoked"
            case "running":
                entry.told_to_end = True
                return "signalled"
            case "ended":
                return "ended"
        return "unknown"

    def _found(self, eid: Eid) -> dict[str, Json]:
        entry = self.entries.get(eid)
        state = "" if entry is None else entry.state
        home: dict[str, Json] = {"host": "h", "machine": "m", "boot": str(self.boot), "at": 1.0}
        claim: dict[str, Json] | None = None
        if state == "revoked":
            claim = {"kind": "revoked", **home}
        elif entry is not None and state in ("running", "ended", "died"):
            claim = {"kind": "started", **home, "boot": entry.boot, "nonce": eid, "digest": entry.digest}
        return {
            "staged": claim is not None,
            "waiting": state == "waiting",
            "claim": claim,
            "lock": {"running": "held", "ended": "free", "died": "free"}.get(state, "unknown"),
            "exit": entry.exit if entry is not None and state == "ended" else None,
            "refused": "",
            "directory": "",
        }
