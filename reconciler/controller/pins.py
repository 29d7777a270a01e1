"""What a sweep's code is pinned to: resolved when what defines it changes, and never by other edits.

Projects are asked all at once, and none is waited for longer than a moment: a large one that is fetched for the first
time, or a host that does not answer, must not keep other sweeps from being accepted. The question goes on meanwhile,
and the next pass finds its answer; until then the sweep keeps what it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import NamedTuple

from reconciler.core.errors import RepositoryError
from reconciler.core.model import Code, Commit, ProjectName
from reconciler.core.settings import SELF
from reconciler.core.spec import SweepSpec
from reconciler.repository import Codebase, Head, Repository
from reconciler.repository.revisions import FULL

PATIENCE_S = 20.0


class _Question(NamedTuple):
    project: ProjectName
    revision: str | None


class Pins:
    """Asks the repository and the projects. One pass at a time."""

    def __init__(
        self,
        repository: Repository,
        codebases: Mapping[ProjectName, Codebase],
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._repository = repository
        self._codebases = codebases
        self._patience_s = patience_s
        self._asked: dict[_Question, asyncio.Task[Commit]] = {}
        self._answers: dict[_Question, Commit | RepositoryError] = {}  # of this pass: one revision is one commit
        self._kept: dict[ProjectName, frozenset[Commit]] = {}

    async def begin(self, specs: Collection[SweepSpec]) -> None:
        """A pass begins, in which these are to be pinned."""
        self._answers = {}
        asked = {each for each in map(_question, specs) if each.project != SELF and self._answer(each) is None}
        if not asked:
            return
        for each in asked - self._asked.keys():
            self._asked[each] = asyncio.ensure_future(self._codebases[each.project].resolve(each.revision))
        await asyncio.wait([self._asked[each] for each in asked], timeout=self._patience_s)
        for each in asked:
            if self._asked[each].done():
                self._answers[each] = _outcome(self._asked.pop(each))

    async def resolve(self, spec: SweepSpec, head: Head) -> Commit:
        """The commit of one of those with which the pass began. Raises RepositoryError."""
        question = _question(spec)
        if question.project == SELF:
            return head.commit if spec.revision is None else await self._repository.resolve(spec.revision)
        found = self._answer(question)
        if isinstance(found, RepositoryError):
            raise found
        if found is None:
            message = f"the project {spec.project} has not answered so far: its code is still being fetched"
            raise RepositoryError("StillFetching", message, hint="the next look at the repository asks again")
        return found

    def _answer(self, question: _Question) -> Commit | RepositoryError | None:
        if question.project not in self._codebases and question.project != SELF:
            return _itself(question)
        return self._answers.get(question)

    async def keep(self, head: Commit, codes: Collection[Code]) -> None:
        """Exactly this is still needed. Raises RepositoryError."""
        await self._repository.keep({head, *(code.pin for code in codes if code.project == SELF)})
        for name, codebase in self._codebases.items():
            pins = frozenset(code.pin for code in codes if code.project == name)
            if pins != self._kept.get(name, frozenset() if not pins else None):
                await codebase.keep(pins)
                self._kept[name] = pins

    async def aclose(self) -> None:
        """Ask no more."""
        asked, self._asked = list(self._asked.values()), {}
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


def _question(spec: SweepSpec) -> _Question:
    return _Question(ProjectName(spec.project), spec.revision)


def _itself(question: _Question) -> Commit | RepositoryError:
    """Of a project without a url, whose revision nobody can be asked for."""
    if question.revision is not None and FULL.fullmatch(question.revision):
        return Commit(question.revision)
    message = f"the project {question.project} has no `url`, so that nobody can say what its revision is"
    hint = "write the full commit as `revision`, or give the project a `url` in the configuration"
    return RepositoryError("RevisionNotFound", message, hint=hint)


def _outcome(task: asyncio.Task[Commit]) -> Commit | RepositoryError:
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, RepositoryError):
        return error
    raise error
