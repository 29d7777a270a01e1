"""What may be asked about the code of projects below our own root: to bring it, to lay it out, to let it go.

All but a piece of a bundle, which is small, is slow: a side process does it.
"""

import base64
import binascii
import functools
import os
import time
from typing import Callable, Dict, NamedTuple, Optional

from . import objects, shapes, tidy, worktree
from .place import Place
from .shapes import Object, Refusal

OPERATIONS = frozenset(("worktree", "have", "piece", "unbundle", "fetch", "tidy"))


class Work(NamedTuple):
    """Something slow. Who asks for the same meanwhile gets the same answer."""

    name: str
    do: Callable[[], Object]


class Codes:
    """The code below one root, as one session knows it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._verified: Dict[str, str] = {}  # worktree → its seal, made in this session

    def answer(self, body: Object) -> Optional[Object]:
        """The answer to what is done at once; None: it is work. Raises Refusal."""
        if body.get("op") != "piece":
            return None
        data = _bytes(shapes.text(body, "data"))
        size, offset = shapes.whole(body, "size"), shapes.whole(body, "offset")
        try:
            return objects.piece(self._place, _project(body), shapes.text(body, "sha256"), size, offset, data)
        except OSError as error:
            raise Refusal("Busy", "the bundle cannot be kept: %s" % error, "is there room on the disk?") from None

    def work(self, body: Object) -> Work:
        """What a side process has to do. Raises Refusal."""
        op, place = body.get("op"), self._place
        if op == "tidy":
            needed, unused_s = set(shapes.texts(body, "needed")), shapes.number(body, "unused_s")
            return Work("tidy", functools.partial(tidy.tidy, place, needed, unused_s, time.time()))
        project = _project(body)
        if op == "have":
            return Work("have %s" % project, functools.partial(objects.have, place, project))
        commit = shapes.commit_of(body, "commit")
        if op == "unbundle":
            sha = shapes.text(body, "sha256")
            return Work("unbundle %s" % project, functools.partial(objects.unbundle, place, project, sha, commit))
        if op == "fetch":
            url, protocol = shapes.text(body, "url"), shapes.text(body, "protocol")
            return Work("fetch %s" % project, functools.partial(objects.fetch, place, project, commit, url, protocol))
        return self._worktree(project, commit, body)

    def done(self, work: Work, answer: Object) -> None:
        """A side process has answered."""
        found = answer.get("ok")
        if isinstance(found, dict) and "seal" in found:
            self._verified[work.name] = str(found["seal"])

    def _worktree(self, project: str, commit: str, body: Object) -> Work:
        given = body.get("git_dir")
        git_dir = objects.git_dir(self._place, project) if given is None else shapes.absolute(body, "git_dir")
        links = shapes.texts(body, "links") if "links" in body else []
        for name in links:
            if os.path.isabs(name) or ".." in name.split("/") or not name or "\0" in name:
                raise Refusal("BadRequest", "not a path inside a worktree: %.80r" % name)
        path = "%s/projects/%s/%s" % (self._place.path, project, commit)
        plan = worktree.Plan(self._place, project, commit, git_dir, links, self._verified.get(path, ""))
        return Work(path, functools.partial(worktree.lay_out, plan))


def _project(body: Object) -> str:
    return shapes.name_of(body, "project")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        raise Refusal("BadRequest", "not base64") from None
