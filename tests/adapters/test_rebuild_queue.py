"""Where a scheduler keeps the queue, a lost state is made anew from the files there and from what is in that queue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rebuild_lab import RebuildLab, Session, Site

from reconciler.core.errors import NoReply, Refused
from reconciler.core.identity import batch_eid
from reconciler.core.model import Eid, Json, Phase
from reconciler.core.wire import Reply, Request
from reconciler.dialects.slurm import SlurmDialect
from reconciler.dialects.slurm_rows import LISTED_HEADER
from reconciler.links.base import NEWCOMER, Ruler

X = "parameters: {x: [1, 2, 3]}"


class Cluster(Site):
    """A site whose scheduler lists one batch. `rows`: what it says after its header; None: it does not answer."""

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.batch: list[Eid] = []
        self.rows: list[str] | None = []
        self.gone = False  # the agent itself does not answer when it is asked

    async def open(
        self, *, instance: str, root: str, slots: int, gpus: tuple[int, ...], ruler: Ruler = NEWCOMER
    ) -> Listing:
        self.asked.append(instance)
        return Listing(self)


class Listing(Session):
    """Tells of the queue, too, but not to visitors."""

    def __init__(self, site: Cluster) -> None:
        super().__init__(site)
        self._cluster = site

    async def ask(self, request: Request) -> Reply:
        if request.op != "listing":
            return await super().ask(request)
        site = self._cluster
        assert site.asked[-1] != ""
        if site.gone:
            raise NoReply("SessionEnded", "no answer")
        told = {} if site.rows is None else {"rc": 0, "out": "\n".join([LISTED_HEADER, *site.rows])}
        batch: Json = {"name": name_of(site.batch), "eids": list(site.batch)}
        eids = [str(eid) for eid in request.body["eids"]]
        body: Json = {
            "found": {eid: site.remains[eid]["found"] for eid in eids},
            "listing": {"rc": 1, "out": "", "err": "", "timed_out": False, "cut": False} | told,
            "histories": [],
            "batches": {"b": batch},
        }
        return Reply(body=body)


def name_of(eids: list[Eid]) -> str:
    return f"s.{batch_eid('aaaa', eids)}" if eids else "s"


@pytest.fixture
def cluster() -> Cluster:
    return Cluster("aaaa")


@pytest.fixture
def lab(tmp_path: Path, cluster: Cluster) -> RebuildLab:
    lab = RebuildLab(tmp_path)
    lab.sites["laptop"] = cluster
    lab.reach = replace(lab.reach, dialect=lambda source: SlurmDialect.of(options={}))
    lab.commit(s=X)
    return lab


def rows(cluster: Cluster, *states: str) -> list[str]:
    name = name_of(cluster.batch)
    return [f"7_{index}|7|{index}|{state}|None|{name}" for index, state in enumerate(states)]


async def test_a_submission_whose_answer_nobody_has_read_is_known_from_the_queue(
    lab: RebuildLab, cluster: Cluster
) -> None:
    cluster.batch = [lab.left({"x": x}, end="staged", digest=lab.digest(X)) for x in (1, 2)]
    cluster.rows = rows(cluster, "PENDING")

    done = await lab.rebuild()

    (taken,), (doubtful,) = lab.attempts({"x": 1}), lab.attempts({"x": 2})
    assert (Phase.QUEUED, True) == (taken.phase, taken.accepted_at is not None)
    assert (Phase.QUEUED, None) == (doubtful.phase, doubtful.accepted_at)
    assert [(2, 1)] == [(source.attempts, source.jobs) for source in done.sources]


async def test_neither_of_those_that_are_in_the_queue_nor_of_those_in_doubt_anything_is_submitted_again(
    lab: RebuildLab, cluster: Cluster
) -> None:
    cluster.batch = [lab.left({"x": x}, end="staged", digest=lab.digest(X)) for x in (1, 2)]
    cluster.rows = rows(cluster, "PENDING")

    await lab.rebuild()

    with lab.store() as store:
        assert [] == store.unaccepted("laptop", limit=10)
    assert ["queued", "queued", "waiting"] == lab.phases()


async def test_a_queue_that_does_not_answer_takes_nothing_away(lab: RebuildLab, cluster: Cluster) -> None:
    cluster.batch = [lab.left({"x": x}, end=end) for x, end in ((1, "staged"), (2, "running"), (3, "0"))]
    cluster.rows = None

    done = await lab.rebuild()

    assert ["queued", "running", "succeeded"] == lab.phases()
    assert [0] == [source.jobs for source in done.sources]


async def test_nothing_is_rebuilt_when_the_source_goes_away_while_it_is_asked_for_its_queue(
    lab: RebuildLab, cluster: Cluster
) -> None:
    lab.left({"x": 1}, end="staged")
    cluster.gone = True

    with pytest.raises(Refused) as caught:
        await lab.rebuild()

    assert "SourceUnread" == caught.value.reason
    assert not (lab.state / "state.db").exists()


@pytest.mark.parametrize("end", ["lost", "running"])
async def test_the_lock_and_the_boot_of_the_host_that_looks_prove_nothing_there(
    lab: RebuildLab, cluster: Cluster, end: str
) -> None:
    eid = lab.left({"x": 1}, end=end, digest=lab.digest(X))
    lab.sites["laptop"].remains[eid]["found"]["claim"]["boot"] = "another"
    cluster.rows = None

    await lab.rebuild()

    assert [Phase.RUNNING] == [each.phase for each in lab.attempts({"x": 1})]


async def test_who_only_rehearses_does_not_ask_for_the_queue(lab: RebuildLab, cluster: Cluster) -> None:
    lab.left({"x": 1}, end="staged")
    cluster.gone = True

    done = await lab.rehearse()

    assert [(1, 0)] == [(source.attempts, source.jobs) for source in done.sources]
