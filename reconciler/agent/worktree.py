"""Worktrees: the files of one commit, read-only, made once, and looked at again before they are believed.

A worktree is made beside its place and renamed into it: it is there whole, or not at all, and only the first of
several makers puts it there. Its files are read-only; its folders are not, because programs write beside their code.

One that somebody has changed is no longer the commit, and nothing starts in it. It is taken out of its place and made
anew as soon as no task runs in it: a task whose code is exchanged under its feet would be the worse accident.
"""

import os
import stat
import time
from typing import Iterator, List, NamedTuple, Tuple

from . import objects, seal
from .crash import crashpoint
from .git import Git
from .look import Sight, is_here, is_this_boot, is_torn_since, look, read_json
from .place import Place, folders, make_folder
from .shapes import Object, Refusal, is_eid
from .system import uptime_s

MAKING = ".making."
NAMED = 5
_POINTER = b"version https://git-lfs.github.com/spec/"
_POINTER_BYTES = 1024  # no LFS pointer is longer


class Plan(NamedTuple):
    """What is wanted."""

    place: Place
    project: str
    commit: str
    git_dir: str
    links: List[str]  # paths inside the worktree that lead to the project's shared folder
    verified: str  # the seal that was made in this session, "" if none was

    @property
    def folder(self) -> str:
        return "%s/projects/%s" % (self.place.path, self.project)

    @property
    def path(self) -> str:
        return "%s/%s" % (self.folder, self.commit)


def lay_out(plan: Plan) -> Object:
    """Where the files of the commit lie, and their seal. Raises Refusal, OSError."""
    make_folder(plan.folder)
    _check_shared(plan)
    seal_path = _believed(plan)
    if not seal_path:
        seal_path = _make(plan)
    _link(plan)
    return {"path": plan.path, "seal": seal_path}


def _believed(plan: Plan) -> str:
    """The seal of the worktree that is there; "" when none is any more. Raises Refusal when it is wrong, and in use."""
    if not os.path.isdir(plan.path):
        return ""
    if plan.verified and not seal.differing(plan.verified):
        return plan.verified
    if not os.path.isdir(plan.git_dir):
        raise Refusal("CommitMissing", "there is no repository at %s" % plan.git_dir)
    home = _workshop(plan)
    try:
        content, wrong = _verified(plan, Git(plan.git_dir, plan.path, home + "/index"))
    finally:
        _remove(home)
    if not wrong:
        return seal.put(plan.folder + "/seals", content, plan.commit)
    _withdraw(plan, wrong)
    return ""


def _verified(plan: Plan, git: Git) -> Tuple[bytes, List[str]]:
    """The seal of the files, and those whose content is not the commit's. It is older than the look at the content."""
    if not git.has(plan.commit):
        raise Refusal("CommitMissing", "%s is not in %s" % (plan.commit, plan.git_dir))
    git.ask("read-tree", plan.commit)
    git.ask("update-index", "-q", "--refresh")  # a new index knows no file, and would call each of them changed
    try:
        content = seal.take(plan.path, git.names("ls-files", "-z", "--cached"))
    except OSError as error:
        return b"", git.names("diff-files", "-z", "--name-only") or [str(error.filename)]
    return content, git.names("diff-files", "-z", "--name-only")


def _withdraw(plan: Plan, wrong: List[str]) -> None:
    """Take a worktree that is not the commit any more out of its place. Raises Refusal while tasks run in it.

    Who starts in this very moment finds no worktree, or is found: one looks after the move, too.
    """
    more = " and %d more" % (len(wrong) - NAMED) if len(wrong) > NAMED else ""
    what = "%s on this source was changed: %s%s" % (plan.path, ", ".join(wrong[:NAMED]), more)
    hint = "it is made anew when no task runs in it any more"
    aside = "%s/%s.%s" % (plan.place.path + "/trash", plan.commit, os.urandom(4).hex())
    if next(users(plan.place, plan.path), None) is not None:
        raise Refusal("WorktreeDiffers", what, hint)
    os.rename(plan.path, aside)
    crashpoint("worktree.withdrawn")
    if next(users(plan.place, plan.path), None) is not None:
        if not os.path.isdir(plan.path):
            os.rename(aside, plan.path)
        raise Refusal("WorktreeDiffers", what, hint)


def users(place: Place, path: str) -> Iterator[str]:
    """The attempts that may run in this folder: those that started there and have not ended, as far as can be told."""
    for shard in folders(place.path + "/attempts"):
        for entry in folders(shard.path):
            if not is_eid(entry.name) or os.path.exists(entry.path + "/exit.json"):
                continue
            if not os.path.lexists(entry.path + "/claim"):
                continue
            spec = read_json(entry.path + "/spec.json")
            if not isinstance(spec, dict) or spec.get("cwd") != path:
                continue
            if _may_live(place, look(place, entry.name)):
                yield entry.name


def _may_live(place: Place, sight: Sight) -> bool:
    """Whether something of this attempt may still run. What had started before this machine did runs no more, and its
    lock may have gone with the power, so that it tells nothing."""
    claim = sight.claim
    if claim is None:
        return not is_torn_since(sight, time.time() - uptime_s())
    if claim.kind == "revoked" or (is_here(place, claim) and not is_this_boot(place, claim)):
        return False
    return sight.lock != "free"


def _make(plan: Plan) -> str:
    """Put the files of the commit in their place; returns their seal."""
    if not os.path.isdir(plan.git_dir):
        raise Refusal("CommitMissing", "there is no repository at %s" % plan.git_dir)
    home = _workshop(plan)
    try:
        tree = home + "/tree"
        git = Git(plan.git_dir, tree, home + "/index")
        if not git.has(plan.commit):
            raise Refusal("CommitMissing", "%s is not in %s" % (plan.commit, plan.git_dir))
        if plan.git_dir == objects.git_dir(plan.place, plan.project):  # it may have come with a branch that goes again
            git.ask("update-ref", objects.KEPT + plan.commit, plan.commit)
        git.ask("read-tree", plan.commit)
        names = _names(plan, git)
        git.ask("checkout-index", "--all", "--force", "--quiet")
        _refuse_pointers(plan, tree, names)
        _protect(tree)
        os.sync()  # a power loss must not leave empty files under the final name
        crashpoint("worktree.made")
        try:
            os.rename(tree, plan.path)
        except OSError:
            if not os.path.isdir(plan.path):  # another maker was first: its tree is the same
                raise
        crashpoint("worktree.renamed")
        return seal.put(plan.folder + "/seals", seal.take(plan.path, names, settle=False), plan.commit)
    finally:
        _remove(home)


def _names(plan: Plan, git: Git) -> List[str]:
    """The files of the commit. Raises Refusal when it has submodules: their content is nowhere.

    Another repository that was added by mistake, and that no .gitmodules names, is an empty folder in every clone.
    """
    names: List[str] = []
    submodules: List[str] = []
    for line in git.names("ls-files", "-z", "--stage"):
        mode, _, name = line.partition("\t")
        (submodules if mode.startswith("160000") else names).append(name)
    if submodules and ".gitmodules" in names:
        what = "%s has submodules (%s), whose content is not brought" % (plan.commit[:12], _some(submodules))
        hint = "commit the files themselves, or use `sync: Verify` with a checkout that has them"
        raise Refusal("UnfitCommit", what, hint)
    return names


def _refuse_pointers(plan: Plan, tree: str, names: List[str]) -> None:
    """Raises Refusal when files are only pointers of git-lfs: a task would read them instead of the content."""
    attributes = [name for name in names if os.path.basename(name) == ".gitattributes"]
    if not any(b"lfs" in _beginning("%s/%s" % (tree, name), 1 << 20) for name in attributes):
        return
    pointers = [name for name in names if _is_pointer("%s/%s" % (tree, name))]
    if pointers:
        what = "%s has files in git-lfs (%s), whose content is not brought" % (plan.commit[:12], _some(pointers))
        hint = "put them into the shared folder and name them in `link`, or use `sync: Verify`"
        raise Refusal("UnfitCommit", what, hint)


def _is_pointer(path: str) -> bool:
    found = os.lstat(path)
    small = stat.S_ISREG(found.st_mode) and found.st_size <= _POINTER_BYTES
    return small and _beginning(path, len(_POINTER)) == _POINTER


def _beginning(path: str, size: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:  # a link that leads nowhere
        return b""


def _check_shared(plan: Plan) -> None:
    """Raises Refusal when something that is to be linked is not there: tasks that need it would only fail."""
    if not plan.links:
        return
    shared = plan.folder + "/shared"
    make_folder(shared)
    missing = [name for name in plan.links if not os.path.lexists("%s/%s" % (shared, name))]
    if missing:
        what = "the shared folder %s of the project lacks %s" % (shared, _some(missing))
        raise Refusal("LinkMissing", what, "put it there, on the source; every worktree then links to it")


def _link(plan: Plan) -> None:
    for name in plan.links:
        place, target = "%s/%s" % (plan.path, name), "%s/shared/%s" % (plan.folder, name)
        if os.path.islink(place) and os.readlink(place) == target:
            continue
        if os.path.lexists(place):
            what = "%s is in %s itself, so that it cannot be linked" % (name, plan.commit[:12])
            raise Refusal("UnfitCommit", what, "take it out of `link`, or out of git")
        inside = os.path.normpath("%s/%s" % (os.path.realpath(plan.path), os.path.dirname(name)))
        if os.path.realpath(os.path.dirname(place)) != inside:
            raise Refusal("UnfitCommit", "%s leads out of %s" % (name, plan.commit[:12]), "take it out of `link`")
        os.makedirs(inside, exist_ok=True)
        try:
            os.symlink(target, place)
        except FileExistsError:  # another one was first
            pass
        crashpoint("worktree.linked")


def _some(names: List[str]) -> str:
    more = " and %d more" % (len(names) - NAMED) if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _workshop(plan: Plan) -> str:
    """A folder of our own beside the worktree."""
    home = "%s%s%d.%s" % (plan.path, MAKING, os.getpid(), os.urandom(4).hex())
    os.makedirs(home + "/tree")
    return home


def _remove(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _protect(tree: str) -> None:
    """Take the right to write from every file, but not from folders; links are left as they are."""
    for folder, _, names in os.walk(tree):
        for name in names:
            path = folder + "/" + name
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                os.chmod(path, stat.S_IMODE(mode) & ~0o222)
