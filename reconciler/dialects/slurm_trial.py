"""Whether Slurm would take a submission, asked before it is made: `sbatch --test-only`, which submits nothing.

The words are those of the submission itself, down to the environment; only what the jobs would run is left out. Slurm
often says no more than "Requested node configuration is not available": what is at fault is then found by asking again
for less, one thing at a time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.core.jobs import Demand
from reconciler.core.model import Eid, Resources, SweepName
from reconciler.core.wire_commands import Command, Ran
from reconciler.dialects import slurm_submission as submission
from reconciler.dialects.base import Opinion, Tried
from reconciler.dialects.slurm_command import asks, submits
from reconciler.dialects.slurm_faults import fault, place_of

TRIAL_S = 30.0
_NOTHING = "#!/bin/sh\nexec true\n"  # should a site submit it all the same

_LOOK = ("sinfo", "--exact", "--noheader", "--format=%R|%t|%c|%m|%l|%D")
_TRIED = re.compile(r"^(?:sbatch: error: )?allocation failure: ", re.MULTILINE)
_FAILED = "sbatch: error: Batch job submission failed: "
_SUBMITTED = re.compile(r"^(?:Submitted batch job )?(\d{1,18})(?:;\S+)?$", re.MULTILINE)
_NO_NODE = "Requested node configuration is not available"
_AWAY = re.compile(r"(?:drain|drng|down|fail|maint|resv|boot|unk|inval).*|.*\*")  # states of nodes that may come back
_WHERE = re.compile(r" in partition (\S+)")
_LIMIT = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")
_BUSY = (  # not for always: nodes are drained or down, and come back
    "Requested nodes are busy",
    "Required node not available",
    "Requested partition configuration not available now",
    "Required partition not available",
)

_LONG = "see `sinfo -o '%P %l'` for the longest walltime of each partition"
_WHERE_TO_LOOK: Mapping[str, str] = {
    "memory": "see `sinfo -o '%P %m'` for the memory of nodes, in MiB",
    "cpus": "see `sinfo -o '%P %c'` for the processors of nodes",
    "tasksPerNode": "see `sinfo -o '%P %c'` for the processors of nodes",
    "nodes": "see `sinfo -o '%P %D'` for the number of nodes",
    "gpus": "see `sinfo -o '%P %G'` for the GPUs of nodes",
    "constraint": "see `sinfo -o '%P %f'` for the features of nodes",
}
_LESS: Mapping[str, Callable[[Resources], Resources]] = {  # the least that can be asked for, by the manifest's word
    "memory": lambda resources: replace(resources, memory_mib=None),
    "gpus": lambda resources: replace(resources, gpus=0, gpu_type=None),
    "cpus": lambda resources: replace(resources, cpus=1),
    "nodes": lambda resources: replace(resources, nodes=1),
    "tasksPerNode": lambda resources: replace(resources, tasks_per_node=1),
    "walltime": lambda resources: replace(resources, walltime_s=None),
}
_LESS_OPTIONS = ("constraint", "gres", "nodelist", "mincpus", "tmp", "partition", "qos", "account", "reservation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Alike nodes of one partition. limit_min: the longest walltime there, in minutes; None is none."""

    partition: str
    state: str
    cpus: int
    memory_mib: int
    limit_min: int | None
    count: int


def look() -> Command:
    """What nodes there are."""
    return asks(_LOOK, TRIAL_S)


def nodes_of(ran: Ran) -> list[Nodes]:
    """As `look` was answered; what cannot be read is left out."""
    rows = [line.split("|") for line in ran.out.splitlines() if ran.rc == 0]
    return [
        Nodes(
            partition=row[0], state=row[1], cpus=int(row[2]), memory_mib=int(row[3]), limit_min=_minutes(row[4]),
            count=int(row[5]),
        )
        for row in rows
        if len(row) == 6 and row[2].isdigit() and row[3].isdigit() and row[5].isdigit()
    ]  # fmt: skip


def _minutes(limit: str) -> int | None:
    """Of a limit as sinfo has it: `10:00`, `1-00:00:00`, `infinite`."""
    match = _LIMIT.fullmatch(limit)
    if match is None:
        return None
    days, hours, minutes, _ = (int(each or 0) for each in match.groups())
    return (days * 24 + hours) * 60 + minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmTrials:
    """Asks a cluster. options: of sbatch for everything that is submitted there; those of a manifest win."""

    options: Mapping[str, str]

    def command(self, sweep: SweepName, demand: Demand, count: int, root: str, *, warn_s: int | None = None) -> Command:
        """Would so many attempts of this sweep be taken? Raises Refused as a submission does.

        root: of the source; warn_s: so long before the end of their time they are told.
        """
        name = f"{sweep}.b{'a' * 14}"
        comment = submission.comment_of(sweep, [Eid("")] * count)
        words = submission.words(name, comment, demand, count, self.options, test=True, warn_s=warn_s)
        argv = [word.replace("{root}", root) for word in words]
        return submits(argv, _NOTHING, TRIAL_S)

    def read(self, ran: Ran, demand: Demand, nodes: Sequence[Nodes] = ()) -> Tried:
        """What the cluster thinks of it. nodes: that it has, as far as it tells."""
        told = submission.said(ran)
        if ran.timed_out:
            return Tried(opinion=Opinion.UNKNOWN, message=f"sbatch took longer than {TRIAL_S:.0f} s; {told}")
        if ran.rc is None:
            return Tried(opinion=Opinion.UNKNOWN, message=f"sbatch cannot be started: {told}")
        submitted = _SUBMITTED.search(ran.out)
        if submitted is not None:
            message = f"its sbatch heeds no --test-only, and has submitted the job {submitted[1]}, which does nothing"
            return Tried(opinion=Opinion.UNKNOWN, message=message, hint=f"run `scancel {submitted[1]}` there")
        if ran.rc == 0:
            return self._never_starts(told, demand, nodes) or Tried(opinion=Opinion.TAKEN, message=told)
        return self._refused(replace(ran, err=_TRIED.sub(_FAILED, ran.err)), demand, nodes)

    def _never_starts(self, told: str, demand: Demand, nodes: Sequence[Nodes]) -> Tried | None:
        """Most clusters take what is too long for its partition, and never start it; but a QOS may allow it."""
        named = _WHERE.search(told)
        names = self._partitions(demand) or ({named[1]} if named is not None else set())
        limits = [each.limit_min for each in nodes if each.partition in names]
        wanted = math.ceil((demand.resources.walltime_s or 0) / 60)
        known = [limit for limit in limits if limit is not None]
        if len(known) < len(limits) or not known or wanted <= max(known) or "qos" in self._options(demand):
            return None
        where = f"partition {', '.join(sorted(names))}, which gives {max(known)}"
        message = f"it would be taken, and never start: {wanted} minutes are too long for {where} (PartitionTimeLimit)"
        return Tried(opinion=Opinion.REFUSED, message=message, hint=_LONG, at=("spec", "resources", "walltime"))

    def _partitions(self, demand: Demand) -> set[str]:
        """Those that are asked for, by name."""
        return set(filter(None, self._options(demand).get("partition", "").split(",")))

    def _options(self, demand: Demand) -> Mapping[str, str]:
        return {**self.options, **dict(demand.options)}

    def _away(self, demand: Demand, nodes: Sequence[Nodes]) -> bool:
        """Whether nodes that could take it, were they there, are drained, down or reserved now."""
        wanted, names = demand.resources, self._partitions(demand)
        large = [
            each
            for each in nodes
            if (not names or each.partition in names)
            and each.cpus >= wanted.cpus * wanted.tasks_per_node
            and each.memory_mib >= (wanted.memory_mib or 0)
        ]
        return any(_AWAY.fullmatch(each.state) for each in large) and sum(each.count for each in large) >= wanted.nodes

    def _refused(self, ran: Ran, demand: Demand, nodes: Sequence[Nodes]) -> Tried:
        error, told = submission.refusal(ran), submission.said(ran)
        if _NO_NODE in told and self._away(demand, nodes):
            message = f"{told}; nodes that may be large enough are drained, down or reserved"
            return Tried(opinion=Opinion.LATER, message=message, hint="see `sinfo -R` for nodes that are away")
        if any(words in told for words in _BUSY):
            return Tried(opinion=Opinion.LATER, message=told, hint="see `sinfo -R` for nodes that are away")
        if error.reason != "SubmissionRefused":
            known = submission.rejected(ran)
            return Tried(opinion=Opinion.LATER if known else Opinion.UNKNOWN, message=told, hint=error.hint)
        return Tried(opinion=Opinion.REFUSED, message=told, hint=error.hint, at=fault(told, demand, self.options))

    def blamed(self, tried: Tried, at: tuple[str, ...]) -> Tried:
        """The same refusal, now that it is known what is at fault."""
        return replace(tried, at=at, hint=_WHERE_TO_LOOK.get(at[-1], tried.hint))

    def relaxed(self, demand: Demand) -> Iterator[tuple[tuple[str, ...], Demand]]:
        """What is asked for, less one thing each, which is then at fault if so much is taken."""
        for name, less in _LESS.items():
            resources = less(demand.resources)
            if resources != demand.resources:
                yield place_of(name, demand, self.options), replace(demand, resources=resources)
        written = dict(demand.options)
        for name in _LESS_OPTIONS:
            if name in written:
                rest = tuple(option for option in demand.options if option[0] != name)
                yield place_of(name, demand, self.options), replace(demand, options=rest)
