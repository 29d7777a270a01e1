"""The commits of projects on a source: one bare repository for each project, filled by bundles or by fetching.

    projects/<name>/objects.git        what has come so far; refs/kept/<commit> holds what is needed
    projects/<name>/incoming/<sha256>  a bundle that has not come whole; what is there of it need not come again

It is only a store: worktrees do not depend on it. One that is damaged is thrown away, and all comes once more. What
writes to it does so alone: collecting garbage beside it would take what has just come and is not yet referred to.
"""

import contextlib
import fcntl
import os
import re
import time
from typing import Iterator, List

from .crash import crashpoint
from .git import Git
from .place import Place, make_folder, unlink, write_all
from .shapes import Object, Refusal

TIPS_MAX = 100
BUNDLE_BYTES = 4 << 30  # no project is larger
ALONE_WITHIN_S = 300.0
ROOM = 3  # times the bundle: it is unpacked, and laid out
KEPT = "refs/kept/"
SENT = "refs/reconciler/sent/"
_SHA = re.compile(r"[0-9a-f]{64}\Z")
_URL = re.compile(r"[A-Za-z0-9/~][^\x00-\x1f]*\Z")
_SSH = (
    "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=10"
    " -o ForwardAgent=no -o ClearAllForwardings=yes -o ServerAliveInterval=15"
)
_PASSED_ON = (
    "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "http_proxy", "https_proxy",
    "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY",
)  # fmt: skip


def git_dir(place: Place, project: str) -> str:
    return "%s/projects/%s/objects.git" % (place.path, project)


def have(place: Place, project: str) -> Object:
    """The newest commits that are here."""
    path = git_dir(place, project)
    tips: List[str] = []
    if os.path.isdir(path):
        words = ("for-each-ref", "--sort=-committerdate", "--count=%d" % TIPS_MAX, "--format=%(objectname)", KEPT)
        try:
            tips = Git(path).ask(*words).decode("ascii", "replace").split()
        except Refusal:  # it is damaged: then nothing is here
            _discard(place, path)
    return {"tips": list(tips)}


def piece(place: Place, project: str, sha: str, size: int, offset: int, data: bytes) -> Object:
    """Add to a bundle what follows; answers how much of it is here. Raises Refusal, OSError."""
    if not _SHA.match(sha):
        raise Refusal("BadRequest", "not a hash: %.80r" % sha)
    if size > BUNDLE_BYTES:
        what = "the history of the project takes %d MiB, and %d MiB are the limit" % (size >> 20, BUNDLE_BYTES >> 20)
        raise Refusal("BundleTooLarge", what, "use `transfer: Fetch`, or a repository without the large files")
    folder = "%s/projects/%s/incoming" % (place.path, project)
    make_folder(folder)
    path = "%s/%s" % (folder, sha)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        there = os.fstat(fd).st_size
        if there == 0:
            _make_room(folder, sha, size)
        if offset == there and data:
            os.lseek(fd, offset, os.SEEK_SET)
            write_all(fd, data)
            crashpoint("bundle.piece")
            there += len(data)
    finally:
        os.close(fd)
    return {"size": there}


def _make_room(folder: str, sha: str, size: int) -> None:
    """Only one bundle comes at a time. Raises Refusal when it would fill the disk."""
    for name in os.listdir(folder):
        if name != sha:
            unlink("%s/%s" % (folder, name))
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free < ROOM * size:
        what = "%d MiB are free, and the project needs about %d MiB" % (free >> 20, (ROOM * size >> 20) + 1)
        raise Refusal("NoRoom", what, "make room on the source's disk")


def unbundle(place: Place, project: str, sha: str, commit: str) -> Object:
    """Take a bundle that has come whole into the store. Raises Refusal, OSError."""
    path = "%s/projects/%s/incoming/%s" % (place.path, project, sha)
    try:
        found = _hash(path)
    except FileNotFoundError:
        raise Refusal("Busy", "the bundle is not here any more") from None
    if found != sha:
        unlink(path)
        raise Refusal("Busy", "the bundle has not arrived as it was sent: it is sent again")
    with _alone(place, project):
        _take_in(place, project, path, commit)
    crashpoint("bundle.unbundled")
    unlink(path)
    crashpoint("bundle.removed")
    return {}


def _take_in(place: Place, project: str, path: str, commit: str) -> None:
    store = _store(place, project)
    try:
        words = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", path)
        store.ask(*words, "%s%s:%s%s" % (SENT, commit, KEPT, commit))
    except Refusal as refusal:
        _discard(place, store.git_dir)  # what a bundle builds upon is missing, or damaged
        unlink(path)
        raise Refusal("Busy", "%s; all is sent again" % refusal.message) from None


def fetch(place: Place, project: str, commit: str, url: str, protocol: str) -> Object:
    """Let git bring the commit from where the project lies. Raises Refusal, OSError."""
    if not _URL.match(url) or protocol not in ("file", "ssh", "https"):
        raise Refusal("BadRequest", "not an address: %.80r" % url)
    with _alone(place, project):
        _fetch(_store(place, project), commit, url, protocol)
    crashpoint("code.fetched")
    return {}


def _fetch(store: Git, commit: str, url: str, protocol: str) -> None:
    if store.has(commit):
        return
    store.environment.update({name: os.environ[name] for name in _PASSED_ON if name in os.environ})
    store.environment["GIT_SSH_COMMAND"] = os.environ.get("GIT_SSH_COMMAND", _SSH)
    options = ["protocol.%s.allow=always" % protocol, "http.lowSpeedLimit=1000", "http.lowSpeedTime=20"]
    words = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", url)
    try:
        store.ask(*words, "+%s:%s%s" % (commit, KEPT, commit), options=options)
    except Refusal:  # not every server gives a commit by its hash
        store.ask(*words, "+refs/heads/*:refs/all/heads/*", "+refs/tags/*:refs/all/tags/*", options=options)
        if not store.has(commit):
            what = "%s has no commit %s" % (url, commit)
            raise Refusal("WorktreeFailed", what, "was it pushed there?") from None
        store.ask("update-ref", KEPT + commit, commit)


def drop(place: Place, project: str, commits: List[str]) -> None:
    """These commits are not needed any more; what only they lead to goes."""
    path = git_dir(place, project)
    if commits and os.path.isdir(path):
        with _alone(place, project):
            store = Git(path)
            for commit in commits:
                store.ask("update-ref", "-d", KEPT + commit)
            store.ask("gc", "--quiet", "--prune=now")


def forget_pieces(place: Place, project: str, older_than: float) -> None:
    """Bundles of which nothing has come for long."""
    folder = "%s/projects/%s/incoming" % (place.path, project)
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        path = "%s/%s" % (folder, name)
        try:
            if os.lstat(path).st_mtime < older_than:
                unlink(path)
        except OSError:  # it is being taken in
            pass


@contextlib.contextmanager
def _alone(place: Place, project: str) -> Iterator[None]:
    """Nobody else writes to the store meanwhile. Raises Refusal when somebody does for long."""
    folder = "%s/projects/%s" % (place.path, project)
    make_folder(folder)
    fd = os.open(folder + "/objects.lock", os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + ALONE_WITHIN_S
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    raise Refusal("Busy", "another process writes to the store of %s" % project) from None
                time.sleep(0.1)
        yield
    finally:
        os.close(fd)


def _store(place: Place, project: str) -> Git:
    path = git_dir(place, project)
    make_folder(os.path.dirname(path))
    store = Git(path)
    if not os.path.exists(path + "/HEAD"):
        store.ask("init", "--quiet", "--bare", "--template=", path)
        crashpoint("objects.made")
    return store


def _discard(place: Place, path: str) -> None:
    try:
        os.rename(path, "%s/trash/objects.%s" % (place.path, os.urandom(4).hex()))
    except OSError:  # somebody else has
        pass
    crashpoint("objects.discarded")


def _hash(path: str) -> str:
    import hashlib

    found = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            data = file.read(1 << 20)
            if not data:
                return found.hexdigest()
            found.update(data)
