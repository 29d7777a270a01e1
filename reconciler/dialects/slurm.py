"""The dialect of Slurm, 20.11 to 25: what is asked of its commands, and how their answers are read.

One squeue tells of all jobs of the account, sacct only of those that should be there and are not. Nothing is asked by a
list of ids in the queue, where one unknown id spoils the answer, nor as JSON, which says "no jobs" for "no answer".
`scontrol show job` adds nothing to squeue: state, reason, exit status, restarts and nodes come from the same memory of
the controller, for as long (MinJobAge), and to the same people (PrivateData).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from reconciler.core.errors import Garbled, Refused
from reconciler.core.identity import batch_eid
from reconciler.core.jobs import Demand, Site
from reconciler.core.model import Eid, InstanceId, Json, Resources
from reconciler.core.wire import (
    AttemptSpec,
    CancelOutcome,
    Exchange,
    Found,
    Reply,
    Request,
    RevokeOutcome,
    StartOutcome,
)
from reconciler.core.wire_commands import command_to_json, ran_from_json
from reconciler.core.wire_json import outcomes_from_json, spec_to_json
from reconciler.dialects import slurm_rows as rows
from reconciler.dialects import slurm_site
from reconciler.dialects import slurm_submission as submission
from reconciler.dialects.base import Limits
from reconciler.dialects.slurm_accounts import Accounts
from reconciler.dialects.slurm_command import ASK_S, asks, submits
from reconciler.dialects.slurm_faults import fault
from reconciler.dialects.slurm_findings import findings

ARRAY_SIZE = 1000  # Slurm's own default allows indices up to 1000
INSPECT_MAX = 10_000  # as many as one answer bears: each look is a question to the scheduler
POLL_S = 30.0
SETTLE_S = 180.0  # covers late arrivals of submissions, slow accounting and the caches of network file systems
SUBMIT_S = 240.0  # sbatch itself tries for 120 s when the controller says later
_MORE_S = 60.0

_TAG = r"[^|]*\.(?P<batch>b[a-z2-7]{14})$"
_ARRAY = r"^[^|]*\|(?P<job>[0-9]+)\|[0-9][^|]*\|[^|]*\|[^|]*\|" + _TAG
_ELEMENT = r"^(?P<job>[0-9]+_(?P<index>[0-9]+))\|[0-9]+\|[0-9]+\|"
_ROW = _ELEMENT + r"[^|]*\|[^|]*\|" + _TAG
_LISTED_ROW = r"^[^|]*\|[0-9]+\|(?P<index>[0-9:,-]+)[^|]*\|[^|]*\|[^|]*\|" + _TAG  # or of all that have not begun
_WAITING_ROW = _ELEMENT + r"PENDING\|[^|]*\|" + _TAG


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmDialect:
    """Arrays on a Slurm cluster.

    options   of sbatch for everything that is submitted, checked; those of a manifest win
    poll_s    seconds between two questions for the queue
    python    of its nodes; None: the agent's own, or the node's
    accounts  whether the site keeps any, as far as it was heard
    """

    options: Mapping[str, str]
    limits: Limits
    python: str | None = None
    accounts: Accounts = field(default_factory=Accounts, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        *,
        options: Mapping[str, str],
        poll_s: float = POLL_S,
        array_size: int = ARRAY_SIZE,
        settle_s: float = SETTLE_S,
        submit_every_s: float = 0.0,
        python: str | None = None,
    ) -> SlurmDialect:
        return cls(
            options=options,
            python=python,
            limits=Limits(
                batch_max=array_size,
                inspect_max=INSPECT_MAX,
                settle_s=settle_s,
                poll_s=poll_s,
                adaptive=True,
                submit_every_s=submit_every_s,
            ),
        )

    def survey(self) -> Exchange[Site | None]:
        """What the cluster bears; None when nobody answers there."""
        return slurm_site.survey(self.options)

    def within(self, site: Site) -> SlurmDialect:
        """The same, and no more than the cluster bears."""
        bounds = [each for each in (self.limits.batch_max, site.batch_max, site.jobs_max) if each is not None]
        return replace(self, limits=replace(self.limits, batch_max=max(1, min(bounds))))

    def submit(self, batch: Sequence[AttemptSpec]) -> Exchange[Mapping[Eid, StartOutcome]]:
        """Submit these as one array: they are of one sweep, and have the same demand."""
        eids = [spec.eid for spec in batch]
        beid = batch_eid(InstanceId(eids[0][1:5]), eids)
        name, comment = f"{batch[0].sweep}.{beid}", submission.comment_of(batch[0].sweep, eids)
        words = submission.words(name, comment, _demand(batch[0]), len(batch), self.options, warn_s=batch[0].warn_s)
        body: dict[str, Json] = {
            "batch": beid,
            "name": name,
            "attempts": [spec_to_json(spec) for spec in batch],
            "command": command_to_json(submits(words, submission.script(self.python), SUBMIT_S)),
            "rejects": list(submission.REJECTS),
        }
        request = Request(op="submit", body=body, timeout_s=SUBMIT_S + _MORE_S, repeatable=False)
        demand = _demand(batch[0])
        return Exchange(request=request, parse=lambda reply: _submitted(reply, eids, demand, self.options))

    def inspect(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, Found]]:
        """What lies on the source about these attempts, and what the scheduler says of them."""
        asked = self.accounts.due()
        silent = ["sinfo", "--noheader", "--Node", "--dead", "--format=%N"]
        accounting = [
            "sacct",
            "--noheader",
            "--parsable2",
            "--duplicates",
            "--jobs={jobs}",
            f"--format={rows.ACCOUNTED}",
        ]
        ended = ["squeue", "--noheader", "--states=all", "--jobs={jobs}", f"--Format={rows.FINISHED}"]
        body: dict[str, Json] = {
            "eids": list(eids),
            "listing": _command(["squeue", "--me", f"--format={rows.LISTED}"]),
            "row": _LISTED_ROW,
            "unstarted": _command(
                ["squeue", "--me", "--noheader", "--states=all", "--name={names}", f"--Format={rows.UNSTARTED}"]
            ),
            "histories": [_command(each) for each in (*([accounting] if asked else []), ended, silent)],
        }
        request = Request(op="listing", body=body, timeout_s=5 * ASK_S + _MORE_S)
        return Exchange(request=request, parse=lambda reply: findings(reply, self.accounts if asked else None))

    def restrict(self, limits: Mapping[Eid, int]) -> Exchange[Collection[Eid]]:
        """At most so many elements of the arrays of these attempts run at once; 0: any number."""
        body: dict[str, Json] = {
            "limits": {str(eid): limit for eid, limit in limits.items()},
            "listing": _command(["squeue", "--me", "--name={names}", f"--format={rows.LISTED}"]),
            "row": _ARRAY,
            "command": _command(["scontrol", "update", "JobId={job}", "ArrayTaskThrottle={limit}"]),
        }
        timeout_s = (1 + len(limits)) * ASK_S + _MORE_S
        request = Request(op="restrict", body=body, timeout_s=timeout_s)
        return Exchange(request=request, parse=lambda reply: _told(reply.body.get("told")))

    def revoke(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, RevokeOutcome]]:
        """Give these attempts up, unless they have started: then nothing happens."""
        request = _withdrawal(eids, running=False)
        return Exchange(
            request=request, parse=lambda reply: outcomes_from_json(RevokeOutcome, reply.body.get("outcomes"))
        )

    def cancel(self, eids: Sequence[Eid]) -> Exchange[Mapping[Eid, CancelOutcome]]:
        """End these attempts: one that has not started never will, one that runs is told to end."""
        request = _withdrawal(eids, running=True)
        return Exchange(
            request=request, parse=lambda reply: outcomes_from_json(CancelOutcome, reply.body.get("outcomes"))
        )


def _told(value: Json) -> frozenset[Eid]:
    if not isinstance(value, list | tuple) or not all(isinstance(eid, str) for eid in value):
        raise Garbled("Garbled", f"not attempts: {value!r:.256}")
    return frozenset(Eid(str(eid)) for eid in value)


def _demand(spec: AttemptSpec) -> Demand:
    return spec.demand or Demand(resources=Resources(walltime_s=spec.walltime_s, gpus=spec.gpus))


def _command(argv: Sequence[str]) -> Mapping[str, Json]:
    return command_to_json(asks(argv))


def _withdrawal(eids: Sequence[Eid], *, running: bool) -> Request:
    """By name and id. A waiting element by its id alone, for with a name scancel would take all that wait with it."""
    listing = ["squeue", "--me", "--array", "--name={names}", f"--format={rows.LISTED}"]
    ends: list[Json] = [
        {"row": _WAITING_ROW, "end": _command(["scancel", "--quiet", "{jobs}"])},
        {"row": _ROW, "end": _command(["scancel", "--quiet", "--name={name}", "{jobs}"])},
    ]
    body: dict[str, Json] = {"eids": list(eids), "listing": _command(listing), "ends": ends, "running": running}
    return Request(op="withdraw", body=body, timeout_s=10 * ASK_S + _MORE_S)


def _submitted(
    reply: Reply, eids: Sequence[Eid], demand: Demand, defaults: Mapping[str, str]
) -> Mapping[Eid, StartOutcome]:
    """What is known of each; those are left out of which nothing is."""
    outcomes = outcomes_from_json(StartOutcome, reply.body.get("outcomes"))
    told = reply.body.get("ran") or reply.body.get("already")
    ran = None if told is None else ran_from_json(told)
    if reply.body.get("rejected") is True:
        if ran is None:
            raise Garbled("Garbled", "a submission was rejected, and the agent does not say how")
        error = submission.refusal(ran)
        if isinstance(error, Refused):
            error.at = fault(error.message, demand, defaults)
        raise error
    if ran is None or not submission.accepted(ran):
        return outcomes
    return {**dict.fromkeys(eids, StartOutcome.ACCEPTED), **outcomes}
