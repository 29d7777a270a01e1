"""What is found of attempts on a Slurm cluster: their files, and what the listing before them and histories say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from reconciler.core.errors import Garbled
from reconciler.core.jobs import Account, Job, Listing
from reconciler.core.model import Eid, Json
from reconciler.core.wire import Claim, ClaimKind, Found, Reply
from reconciler.core.wire_commands import Ran, ran_from_json, rans_from_json
from reconciler.core.wire_json import page_from_json
from reconciler.dialects import slurm_rows as rows
from reconciler.dialects.slurm_accounts import Accounts


def findings(reply: Reply, accounts: Accounts | None = None) -> Mapping[Eid, Found]:
    """What is found of each. A listing that failed, was cut or has no header is no news; the files always are.

    accounts: of the cluster, when its accounting was asked, too.
    """
    page = page_from_json(reply.body.get("found"))
    ran = ran_from_json(reply.body.get("listing"))
    listed = rows.listed(ran.out) if _clean(ran) else None
    if listed is None:
        return {eid: replace(found, listing=Listing.FAILED) for eid, found in page.items()}
    batches = list(_batches(reply.body.get("batches")))
    names = {eid: name for name, eids in batches for eid in eids}
    jobs = _jobs(listed, batches)
    pasts, silent = _histories(rans_from_json(reply.body.get("histories")), accounts)
    ends = _unstarted(reply.body.get("unstarted"), batches)
    return {
        eid: replace(
            found,
            said="" if found.claim else ": ".join(filter(None, (ends.get(eid, ""), found.said))),
            listing=Listing.CLEAN,
            job=jobs.get(eid),
            account=_account(found.claim, names.get(eid, ""), pasts, silent),
        )
        for eid, found in page.items()
    }


def _jobs(listed: Sequence[rows.Row], batches: Sequence[tuple[str, Sequence[Eid]]]) -> dict[Eid, Job]:
    by_name: dict[str, list[rows.Row]] = {}
    for row in listed:
        by_name.setdefault(row.name, []).append(row)
    return {
        eids[index]: job
        for name, eids in batches
        for index, job in rows.places(by_name.get(name, ()), len(eids)).items()
    }


def _unstarted(value: Json, batches: Sequence[tuple[str, Sequence[Eid]]]) -> dict[Eid, str]:
    """What the scheduler says of those that it lists no more, and that have claimed nothing."""
    ran = None if value is None else ran_from_json(value)
    told = rows.unstarted(ran.out) if ran is not None and _clean(ran) else {}
    return {eid: told[name, index] for name, eids in batches for index, eid in enumerate(eids) if (name, index) in told}


def _batches(value: Json) -> Iterator[tuple[str, Sequence[Eid]]]:
    """The job name of each batch, and its attempts in the order of their indices."""
    if not isinstance(value, Mapping):
        raise Garbled("Garbled", f"not batches: {value!r:.256}")
    for batch in value.values():
        match batch:
            case {"name": str(name), "eids": [*eids]} if all(isinstance(eid, str) for eid in eids):
                yield name, [Eid(str(eid)) for eid in eids]
            case _:
                raise Garbled("Garbled", f"not a batch: {batch!r:.256}")


def _histories(answers: Sequence[Ran], accounts: Accounts | None) -> tuple[list[rows.Past], frozenset[str] | None]:
    """What sacct and squeue tell of ends, and which nodes are silent: in the order in which they were asked for."""
    accounting, others = (answers[:1], answers[1:]) if accounts is not None else ((), answers)
    if len(others) < 2:
        return [], None
    pasts: list[rows.Past] = []
    for ran in accounting:
        if accounts is not None:
            accounts.heard(ran)
        pasts += rows.accounted(ran.out) if _clean(ran) else []
    ended, dead = others[:2]
    pasts += rows.finished(ended.out) if _clean(ended) else []
    return pasts, rows.dead(dead.out) if _clean(dead) else None


def _account(
    claim: Claim | None, name: str, pasts: Sequence[rows.Past], silent: frozenset[str] | None
) -> Account | None:
    """The end of the very start that won the claim, if it is told."""
    if claim is None or claim.kind is not ClaimKind.STARTED:
        return None
    for past in pasts:
        account = past.account
        if past.name == name and (account.job, account.restarts) == (claim.job, claim.restarts):
            return rows.judged(past, silent)
    return None


def _clean(ran: Ran) -> bool:
    return ran.rc == 0 and not ran.timed_out and not ran.cut
