"""The commits of projects on a source: one bare repository for each project, filled by bundles or by fetching.

    projects/<name>/objects.git        what has come so far; refs/kept/<commit> holds what is needed
    projects/<name>/incoming/<sha256>  a bundle that has not come whole; what is there of it need not come again

It is only a store: worktrees do not depend on it. One that is damaged is thrown away, and all comes once more. What
writes to it does so alone: collecting garbage beside it would take what has just come and is not yet referred to.
"""

import contextlib
import errno
import fcntl
import os
import re
import time
from typing import Iterator, List

from .crash import crashpoint
from .git import Git, shown
from .place import Place, make_folder, unlink, write_all
from .shapes import Object, Refusal

TIPS_MAX = 100
BUNDLE_BYTES = 4 << 30  # no project is larger
ALONE_WITHIN_S = 300.0
QUIET_S = 120.0  # who tells us nothing for so long while we fetch hangs
SURELY_DONE = "2.days.ago"  # nobody still fetches what came so long ago
ROOM = 3  # times the bundle: it is unpacked, and laid out
KEPT = "refs/kept/"
SENT = "refs/reconciler/sent/"
ALL = "refs/all/"  # the branches and tags of a server that gives only those
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_SHA = re.compile(r"[0-9a-f]{64}\Z")
_URL = re.compile(r"[A-Za-z0-9/~][^\x00-\x1f]*\Z")
_SSH = (
    "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=10"
    " -o ForwardAgent=no -o ClearAllForwardings=yes -o ServerAliveInterval=15"
)
_PASSED_ON = (
    "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "http_proxy", "https_proxy",
    "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH",
)  # fmt: skip

# In git's own words (LC_ALL=C) why nobody there gives anything, and what a person can do about it. What is not among
# them may be a server that does not give commits by their hash: each says that in other words.
_BUNDLE = "or use `transfer: Bundle`"
_NOBODY_THERE = (
    (
        "Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
        "log in to the source, and from there once to that host: its key must be known there; " + _BUNDLE,
    ),
    (
        "Permission denied|Authentication failed|could not read (Username|Password)|prompts disabled|error: 40[13]",
        "the account on the source needs an SSH key of its own, or for https an entry in ~/.netrc; " + _BUNDLE,
    ),
    (
        (
            "Could not resolve host|Connection (refused|reset|closed)|timed out|No route to host|Failed to connect"
            "|Network is unreachable|error: 5[0-9][0-9]|too slow|SSL|TLS|certificate"
        ),
        "can the source reach that host? It is tried again; " + _BUNDLE,
    ),
    (
        "not appear to be a git repository|not a git repository|[Nn]ot found|dubious ownership",
        "the source must find the repository under this address, too; " + _BUNDLE,
    ),
)


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
        words = ("fetch", "--quiet", "--no-tags", path)
        store.ask(*words, "%s%s:%s%s" % (SENT, commit, KEPT, commit))
    except Refusal as refusal:
        _discard(place, store.git_dir)  # what a bundle builds upon is missing, or damaged
        unlink(path)
        raise Refusal("Busy", "%s; all is sent again" % refusal.message) from None


def fetch(place: Place, project: str, commit: str, url: str, protocol: str, quiet_s: float = QUIET_S) -> Object:
    """Let git bring the commit from where the project lies. Raises Refusal, OSError."""
    if not _URL.match(url) or protocol not in ("file", "ssh", "https"):
        raise Refusal("BadRequest", "not an address: %.80r" % shown(url))
    with _alone(place, project):
        store = _store(place, project)
        if not store.has(commit):
            _fetch(store, commit, url, protocol, quiet_s)
        store.ask("update-ref", KEPT + commit, commit)
    crashpoint("code.fetched")
    return {}


def _fetch(store: Git, commit: str, url: str, protocol: str, quiet_s: float) -> None:
    """By its hash; not every server gives that, and then all that has a name there."""
    store.environment.update({name: os.environ[name] for name in _PASSED_ON if name in os.environ})
    store.environment["GIT_SSH_COMMAND"] = os.environ.get("GIT_SSH_COMMAND", _SSH)
    options = ["protocol.%s.allow=always" % protocol, "http.lowSpeedLimit=1000", "http.lowSpeedTime=20"]
    words = ["fetch", "--progress", "--no-tags", "--update-shallow"]
    if protocol == "file":  # git takes our options from its far end, and the repository may be another account's
        words.append("--upload-pack=git -c 'safe.directory=*' upload-pack")
    try:
        store.ask(*words, "--", url, "+%s:%s%s" % (commit, KEPT, commit), options=options, quiet_s=quiet_s)
    except Refusal as refusal:
        _raise_if_nobody_is_there(refusal)
    else:
        return
    everything = ("+refs/heads/*:%sheads/*" % ALL, "+refs/tags/*:%stags/*" % ALL)
    try:  # a branch `a/b` may have taken the place of a branch `a`: what is gone there goes first
        store.ask(*words, "--prune", "--", url, *everything, options=options, quiet_s=quiet_s)
    except Refusal as refusal:
        _raise_if_nobody_is_there(refusal)
        raise
    if not store.has(commit):
        what = "%s has no commit %s in its branches and tags" % (shown(url), commit)
        raise Refusal("WorktreeFailed", what, "was it pushed there, and is it still in a branch?") from None


def _raise_if_nobody_is_there(refusal: Refusal) -> None:
    """Raises the refusal with what a person can do, if it need not be tried in another way."""
    if refusal.reason == "Busy":
        raise refusal
    for words, hint in _NOBODY_THERE:
        if re.search(words, refusal.message):
            raise Refusal(refusal.reason, refusal.message, hint)


def drop(place: Place, project: str, commits: List[str]) -> None:
    """These commits are not needed any more; what only they lead to goes."""
    path = git_dir(place, project)
    if commits and os.path.isdir(path):
        with _alone(place, project) as alone:
            store = Git(path)
            for commit in commits:
                store.ask("update-ref", "-d", KEPT + commit)
            store.ask("gc", "--quiet", "--prune=now" if alone else "--prune=" + SURELY_DONE)


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
def _alone(place: Place, project: str) -> Iterator[bool]:
    """Nobody else writes to the store meanwhile. Raises Refusal when somebody does for long.

    False: that cannot be known. Some file servers know no locks; git's own files see to it then that refs stay whole.
    """
    folder = "%s/projects/%s" % (place.path, project)
    make_folder(folder)
    fd = os.open(folder + "/objects.lock", os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + ALONE_WITHIN_S
    alone = True
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno in _NO_LOCKS:
                    alone = False
                    break
                if time.monotonic() > until:
                    raise Refusal("Busy", "another process writes to the store of %s" % project) from None
                time.sleep(0.1)
        yield alone
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
