"""A look at a source: how far away it is, how wrong its clock is, and what its machine has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from virtual_clock import HastyClock

from reconciler.core.errors import Refused
from reconciler.core.model import HostIdentity, InstanceId, SourceName
from reconciler.core.settings import SourceConfig
from reconciler.core.wire import Hello, Reply, Request
from reconciler.dialects.process import ProcessDialect
from reconciler.source import Source

HOME = HostIdentity(host="h", machine="m", boot="b")


class Far:
    """A link, and a session that answers each question with the next of the given answers."""

    hello = Hello(identity=HOME, epoch=1, python="3.6.0", root="/r", clock=5.0, owner=InstanceId("aaaa"))

    def __init__(self, takes: Callable[[], Awaitable[None]], *answers: Reply | Exception) -> None:
        self.takes = takes
        self.answers = list(answers)
        self.asked: list[str] = []

    async def open(self, **_: object) -> Far:
        return self

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request.op)
        await self.takes()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None:
        pass


def seen(clock: float) -> Reply:
    return Reply(
        body={"cpus": 4, "load1": 0.5, "memory_mib": 2, "memory_free_mib": 1, "disk_free_mib": 7, "clock": clock}
    )


async def source(clock: HastyClock, link: Far, host: str | None = None) -> Source:
    found = Source(
        config=SourceConfig(name=SourceName("far"), root="/r", host=host),
        instance=InstanceId("aaaa"),
        daemon="d1",
        dialect=ProcessDialect(),
        link=link,
        clock=clock,
    )
    await found.connect()
    return found


async def test_a_look_tells_how_far_away_the_source_is_and_how_wrong_its_clock() -> None:
    clock = HastyClock()
    far = await source(clock, Far(lambda: clock.sleep(2.0), seen(107.0)))

    await far.look()

    assert (2.0, 6.0, 7) == (far.state.latency_s, far.state.clock_skew_s, far.state.probe.disk_free_mib)


async def test_what_a_far_machine_has_is_asked_once_and_a_refusal_harms_nothing() -> None:
    clock = HastyClock()
    has = Reply(body={"gpus": ["A100"], "programs": ["git"]})
    link = Far(lambda: clock.sleep(0.0), seen(1.0), Refused("BadRequest", "no such"), seen(1.0), has, seen(1.0))
    far = await source(clock, link, "ssh://far")

    for _ in range(3):
        await far.look()

    assert ["probe", "survey", "probe", "survey", "probe"] == link.asked
    assert (("A100",), True) == (far.state.survey.gpus, far.state.up)


async def test_this_machine_is_not_surveyed() -> None:
    clock = HastyClock()
    link = Far(lambda: clock.sleep(0.0), seen(1.0))

    await (await source(clock, link)).look()

    assert ["probe"] == link.asked
