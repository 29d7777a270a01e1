"""Pinning the code of sweeps: one revision is one commit in a pass, and nobody is waited for without end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from reconciler.controller.pins import Pins
from reconciler.core.errors import RepositoryError
from reconciler.core.model import Code, Commit, ProjectName, SweepName
from reconciler.core.spec import SweepSpec
from reconciler.repository import Head

HEAD = Head(commit=Commit("c" * 40), tree="", committed_at=0.0)
FULL = "a" * 40


class Repository:
    """Of manifests; every revision is a commit of its own."""

    def __init__(self) -> None:
        self.kept: list[Collection[Commit]] = []

    async def resolve(self, revision: str) -> Commit:
        return Commit(f"of {revision}")

    async def keep(self, commits: Collection[Commit]) -> None:
        self.kept.append(set(commits))


class Codebase(Repository):
    """A project that answers when it is let."""

    def __init__(self, *, answers: bool = True) -> None:
        super().__init__()
        self.may = asyncio.Event()
        self.asked: list[str | None] = []
        if answers:
            self.may.set()

    async def resolve(self, revision: str | None) -> Commit:
        self.asked.append(revision)
        await self.may.wait()
        if revision == "gone":
            raise RepositoryError("RevisionNotFound", "no such revision")
        return Commit(f"{len(self.asked)} {revision}")

    def close(self) -> None:
        pass


def sweep(project: str, revision: str | None = None) -> SweepSpec:
    return SweepSpec(name=SweepName("s"), project=project, revision=revision, command=("true",))


async def test_our_own_code_is_the_head_unless_a_revision_is_named() -> None:
    pins = Pins(Repository(), {})
    specs = [sweep("self"), sweep("self", "v1")]
    await pins.begin(specs)

    assert [HEAD.commit, "of v1"] == [await pins.resolve(spec, HEAD) for spec in specs]


async def test_one_revision_is_one_commit_in_a_pass_and_is_asked_again_in_the_next() -> None:
    code = Codebase()
    pins = Pins(Repository(), {ProjectName("p"): code})
    found = []
    for _ in range(2):
        await pins.begin([sweep("p", "main"), sweep("p", "main")])
        found.append([await pins.resolve(sweep("p", "main"), HEAD) for _ in range(2)])

    assert [["1 main"] * 2, ["2 main"] * 2] == found


async def test_a_project_that_does_not_answer_keeps_nobody_else_waiting_and_its_answer_is_not_lost() -> None:
    slow, quick = Codebase(answers=False), Codebase()
    pins = Pins(Repository(), {ProjectName("slow"): slow, ProjectName("quick"): quick}, patience_s=0.05)
    specs = [sweep("slow"), sweep("quick")]
    await pins.begin(specs)

    with pytest.raises(RepositoryError) as caught:
        await pins.resolve(specs[0], HEAD)
    assert ("StillFetching", "1 None") == (caught.value.reason, await pins.resolve(specs[1], HEAD))

    slow.may.set()
    await pins.begin(specs)
    assert ("1 None", 1) == (await pins.resolve(specs[0], HEAD), len(slow.asked))
    await pins.aclose()


async def test_what_a_project_cannot_say_is_an_error_of_its_sweep() -> None:
    pins = Pins(Repository(), {ProjectName("p"): Codebase()})
    await pins.begin([sweep("p", "gone"), sweep("p", "main")])

    with pytest.raises(RepositoryError, match="no such revision"):
        await pins.resolve(sweep("p", "gone"), HEAD)
    assert (await pins.resolve(sweep("p", "main"), HEAD)).endswith("main")


async def test_a_project_without_a_url_is_pinned_by_a_full_commit_only() -> None:
    pins = Pins(Repository(), {})
    specs = [sweep("there", FULL), sweep("there", "main")]
    await pins.begin(specs)

    assert FULL == await pins.resolve(specs[0], HEAD)
    with pytest.raises(RepositoryError, match="the project there has no `url`"):
        await pins.resolve(specs[1], HEAD)


async def test_what_is_pinned_is_kept_where_it_comes_from_and_nowhere_else() -> None:
    ours, code = Repository(), Codebase()
    pins = Pins(ours, {ProjectName("p"): code})
    codes = {Code(ProjectName("p"), Commit("1")), Code(ProjectName("self"), Commit("2"))}

    for _ in range(2):
        await pins.keep(HEAD.commit, codes)
    await pins.keep(HEAD.commit, set())

    assert [{HEAD.commit, "2"}, {HEAD.commit, "2"}, {HEAD.commit}] == ours.kept
    assert [{"1"}, set()] == code.kept
