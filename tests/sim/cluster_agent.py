"""The agent on a cluster's login node: stages, submits once, lists, revokes and cancels; it may die between two steps.

It follows the steps of a submission: stage, epoch, submit claim, sbatch, job id, answer. Of a listing and the files it
takes the listing first, so that an end is never overlooked.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reconciler.core import identity
from reconciler.core.errors import Busy, Fenced, Garbled, Refused
from reconciler.core.jobs import Account, Job, JobState, Listing, Verdict
from reconciler.core.model import Eid, HostIdentity, InstanceId
from reconciler.core.wire import (
    AttemptSpec,
    CancelOutcome,
    Claim,
    ClaimKind,
    Found,
    Request,
    RevokeOutcome,
    StartOutcome,
)
from tests.sim.cluster_jobs import Down, Element, Entry, Rejected, State
from tests.sim.cluster_root import Batch, Folder
from tests.sim.cluster_shim import job_id
from tests.sim.loop import Killed, Process

if TYPE_CHECKING:
    from tests.sim.cluster_side import ClusterSide

MUTATIONS = frozenset({"submit", "revoke", "cancel", "ack", "forget", "worktree"})
STATES = {State.PENDING: JobState.WAITING, State.RUNNING: JobState.RUNNING, State.COMPLETING: JobState.ENDING}
VERDICTS = {
    "COMPLETED": Verdict.COMPLETED,
    "FAILED": Verdict.FAILED,
    "TIMEOUT": Verdict.TIMEOUT,
    "OUT_OF_MEMORY": Verdict.OUT_OF_MEMORY,
    "NODE_FAIL": Verdict.NODE_FAILURE,
    "PREEMPTED": Verdict.PREEMPTED,
    "CANCELLED": Verdict.CANCELLED,
}
PUSH_EVERY_S = 10.0
_REVOKES = {ClaimKind.REVOKED: RevokeOutcome.REVOKED, ClaimKind.STARTED: RevokeOutcome.CLAIMED}


class Agent(Process):
    """One agent, for one session. It goes on for a while when nobody listens any more."""

    def __init__(self, side: ClusterSide, instance: InstanceId, epoch: int, home: HostIdentity) -> None:
        super().__init__(side.world.loop, f"{side.config.name} agent")
        self.side = side
        self.root = side.root
        self.instance = instance
        self.epoch = epoch
        self.home = home

    async def answer(self, request: Request) -> Mapping[str, Any]:
        """What it says to one request. Raises what it would name as an error."""
        await self._step()
        body: Any = request.body
        if request.op in MUTATIONS:
            self._unfenced()
        match request.op:
            case "submit":
                self.root.mark = body.get("mark", "")
                return {"answer": await self._submit(body["attempts"])}
            case "inspect":
                return {"answer": await self._inspect(body["eids"])}
            case "revoke":
                return {"answer": await self._revoke(body["eids"])}
            case "cancel":
                return {"answer": await self._cancel(body["eids"])}
            case "ack":
                for eid in body["eids"]:
                    self.root.folders.setdefault(eid, Folder()).told = True
                return {}
        return self._tell(request.op, body)

    def _tell(self, op: str, body: Any) -> Mapping[str, Any]:
        """What changes nothing about attempts."""
        match op:
            case "census":  # names are enough: what lies there is looked at when it is intended
                return {"remains": {}, "unread": sorted(self.root.folders), "after": ""}
            case "worktree":
                return {"path": f"/work/{body['commit']}"}
            case "tidy":
                return {"worktrees": 0, "removed": 0}
            case "probe":
                now = self.side.world.home.epoch + self.loop.now
                return {
                    "cpus": 1,
                    "load1": 0.1,
                    "memory_mib": 1,
                    "memory_free_mib": 1,
                    "disk_free_mib": 1,
                    "clock": now,
                }
        raise Garbled("BadRequest", f"no such operation: {op}")

    # -- submissions

    async def _submit(self, specs: Sequence[AttemptSpec]) -> dict[Eid, StartOutcome]:
        claims = {spec.eid: claim for spec in specs if (claim := self.root.claim_of(spec.eid)) is not None}
        outcomes = {eid: _outcome(claim) for eid, claim in claims.items()}
        free = [spec for spec in specs if spec.eid not in claims]
        if not free:
            return outcomes
        eids = tuple(spec.eid for spec in free)
        beid = identity.batch_eid(self.instance, eids)
        try:
            self.root.stage(free)
        except OSError as error:  # nothing was submitted yet
            raise Busy("Busy", f"nothing can be staged: {error}") from None
        await self._step()
        self._unfenced()
        batch = self.root.batches.setdefault(beid, Batch(eids))
        if batch.claimed:
            return outcomes | (dict.fromkeys(eids, StartOutcome.ACCEPTED) if batch.array is not None else {})
        batch.claimed = True
        await self._step()
        array = await self._sbatch(beid, batch, free)
        if array is None:
            return outcomes
        await self._step()
        batch.array = array
        await self._step()
        return outcomes | dict.fromkeys(eids, StartOutcome.ACCEPTED)

    async def _sbatch(self, beid: Eid, batch: Batch, specs: Sequence[AttemptSpec]) -> int | None:
        """The one step that cannot be repeated; None: nobody knows. Raises Busy and Refused when it was not taken."""
        done = self.loop.create_future()
        self.side.sbatch(beid, batch, specs, done)
        try:
            answer = await done
        except Rejected as error:
            self.side.told -= set(batch.eids)
            await self._step()
            batch.claimed = False  # certainly not taken: the same may be tried again
            await self._step()
            raise (Busy if error.later else Refused)("Busy" if error.later else "BadRequest", str(error)) from None
        assert answer is None or isinstance(answer, int)
        return answer

    # -- looks

    async def _inspect(self, eids: Sequence[Eid]) -> dict[Eid, Found]:
        listing, rows = await self._listing()
        await self._step()
        asked = {eid for eid in eids if self.root.claim_of(eid) is not None and eid not in rows}
        accounts = await self._accounting(asked) if listing is Listing.CLEAN and asked else {}
        return {eid: self._found(eid, listing, rows.get(eid), accounts.get(eid, [])) for eid in eids}

    def _found(self, eid: Eid, listing: Listing, row: Element | None, entries: list[Entry]) -> Found:
        folder = self.root.folders.get(eid)
        claim = self.root.claim_of(eid)
        return Found(
            eid=eid,
            staged=folder is not None and folder.spec is not None,
            claim=claim,
            exit=self.root.record_of(eid),
            directory=f"/r/attempts/{eid}",
            listing=listing,
            job=None if row is None else self._job(row),
            account=self._account(claim, entries),
            said=folder.said if folder is not None and claim is None and row is None else "",
        )

    def _job(self, row: Element) -> Job:
        state = JobState.UNKNOWN if self.side.dice.random() < self.side.trouble.odd_states else STATES[row.state]
        return Job(id=job_id(row), state=state, raw=row.state.value, restarts=row.restarts)

    def _account(self, claim: Claim | None, entries: list[Entry]) -> Account | None:
        """Of several starts the one that has won the claim, if it is among them."""
        if not entries:
            return None
        self.side.world.happened["accounted"] += 1
        chosen = entries[-1]
        for entry in entries:
            if claim is not None and (f"{entry.array}_{entry.index}", entry.restarts) == (claim.job, claim.restarts):
                chosen = entry
        try:
            ceased = self.side.scheduler.ceased(chosen)
        except Down:
            ceased = False
        return Account(
            job=f"{chosen.array}_{chosen.index}",
            restarts=chosen.restarts,
            verdict=VERDICTS[chosen.verdict],
            ended_at=self.side.wall() - (self.loop.now - chosen.ended_at),
            raw=chosen.verdict,
            ceased=ceased,
        )

    async def _listing(self) -> tuple[Listing, dict[Eid, Element]]:
        """All jobs of the account, by the attempts whose tags they carry; a running one before its copies."""
        await asyncio.sleep(self.side.command_s())
        trouble, chance = self.side.trouble, self.side.dice.random
        self.side.world.happened["listings"] += 1
        try:
            listed = self.side.scheduler.listed("me")
        except Down:
            return Listing.FAILED, {}
        if chance() < trouble.listing_fails:
            return Listing.FAILED, {}
        if chance() < trouble.listing_empty:  # a wrapper has swallowed an error
            listed = []
        elif chance() < trouble.listing_partial:
            listed = [row for row in listed if chance() < 0.6]
        rows: dict[Eid, Element] = {}
        for row in sorted((row for row in listed if row.state in STATES), key=lambda row: row.state is State.RUNNING):
            eid = self._attempt_of(row)
            if eid is not None:
                rows[eid] = copy.copy(row)  # as it was at this moment
        return Listing.CLEAN, rows

    def _attempt_of(self, row: Element) -> Eid | None:
        """The tag is the end of the name, and the index tells which; None: a stranger's."""
        batch = self.root.batches.get(Eid(row.name[-15:]))
        return batch.eids[row.index] if batch is not None and row.index < len(batch.eids) else None

    async def _accounting(self, eids: set[Eid]) -> dict[Eid, list[Entry]]:
        """How starts of these have ended, by tag."""
        await asyncio.sleep(self.side.command_s())
        places = {
            (beid, index): eid
            for beid, batch in self.root.batches.items()
            for index, eid in enumerate(batch.eids)
            if eid in eids
        }
        try:
            entries = self.side.scheduler.accounted({self.side.job_name(beid) for beid, _ in places})
        except Down:
            return {}
        found: dict[Eid, list[Entry]] = {}
        for entry in entries:
            eid = places.get((Eid(entry.name[-15:]), entry.index))
            if eid is not None:
                found.setdefault(eid, []).append(entry)
        return found

    # -- giving up and cancelling

    async def _revoke(self, eids: Sequence[Eid]) -> dict[Eid, RevokeOutcome]:
        """Win their claims, then take those from the queue, as far as they are there."""
        claims = await self._win(eids)
        await self._scancel([eid for eid, claim in claims.items() if claim.kind is ClaimKind.REVOKED])
        return {eid: _REVOKES[claim.kind] for eid, claim in claims.items()}

    async def _cancel(self, eids: Sequence[Eid]) -> dict[Eid, CancelOutcome]:
        """The same; what has started is told to end, by name and id."""
        claims = await self._win(eids)
        ended = {eid for eid in claims if self.root.record_of(eid) is not None}
        hit = await self._scancel([eid for eid in claims if eid not in ended])
        outcomes = {}
        for eid, claim in claims.items():
            if claim.kind is ClaimKind.REVOKED:
                outcomes[eid] = CancelOutcome.REVOKED
            elif eid in ended:
                outcomes[eid] = CancelOutcome.ENDED
            else:
                outcomes[eid] = CancelOutcome.SIGNALLED if eid in hit else CancelOutcome.UNKNOWN
        return outcomes

    async def _win(self, eids: Sequence[Eid]) -> dict[Eid, Claim]:
        """Compete for their claims: what lies there in the end. Those that cannot be made are left out."""
        claims = {}
        for eid in eids:
            await self._step()
            try:
                won = self.root.claim(eid, Claim(kind=ClaimKind.REVOKED, at=self.side.wall(), home=self.home))
            except OSError:
                continue
            self.side.world.happened["claims-revoked" if won else "revokes-too-late"] += 1
            claim = self.root.folders[eid].claim
            assert claim is not None
            claims[eid] = claim
        return claims

    async def _scancel(self, eids: Sequence[Eid]) -> set[Eid]:
        """Cancel what is listed of them; those that were hit."""
        hit: set[Eid] = set()
        if not eids:
            return hit
        _, rows = await self._listing()
        for eid in eids:
            row = rows.get(eid)
            if row is None:
                continue
            await self._step()  # meanwhile the id may have become another's
            try:
                if self.side.cancelled(self.side.scheduler.cancel(row.name, row.array, row.index)):
                    hit.add(eid)
            except Down:
                continue
        return hit

    # -- steps

    def _unfenced(self) -> None:
        if self.root.epoch > self.epoch:
            raise Fenced("Fenced", "a newer daemon rules this root")

    async def _step(self) -> None:
        """A moment, in which it may die."""
        await asyncio.sleep(0.02 * self.side.dice.random())
        if self.side.trouble.fragile and self.side.dice.random() < self.side.trouble.fragile:
            self.side.world.count_fault("agent-killed-at-point")
            self.kill()
            raise Killed


def _outcome(claim: Claim) -> StartOutcome:
    return StartOutcome.CLAIMED if claim.kind is ClaimKind.STARTED else StartOutcome.REVOKED
