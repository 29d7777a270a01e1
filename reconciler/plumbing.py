"""Edits from elsewhere into a local git repository, as a branch or a patch: no work tree and no index is ever touched.

git gets an index of its own, in a temporary folder; for a patch also a place for new objects, so that the repository
does not change at all. No hook and no filter of the repository runs.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from reconciler.core.errors import Refused, RepositoryError
from reconciler.core.model import Commit
from reconciler.core.trees import State

TIMEOUT_S = 120.0
PATCH_BYTES = 64 << 20

_FIRST_OF_ALL = {"GIT_AUTHOR_DATE": "@0 +0000", "GIT_COMMITTER_DATE": "@0 +0000"}
_MODES = {"-": "100644", "x": "100755", "l": "120000"}
_OPTIONS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.quotePath=false",
    "commit.gpgSign=false",
    "diff.external=",
    "diff.noprefix=false",
    "diff.mnemonicPrefix=false",
    "gc.auto=0",
    "safe.directory=*",
)
_IDENTITY = {
    f"GIT_{who}_{what}": text
    for who in ("AUTHOR", "COMMITTER")
    for what, text in (("NAME", "reconciler"), ("EMAIL", "reconciler@localhost"))
}


class Content(NamedTuple):
    """One file; kind "" takes it away."""

    name: str
    kind: str
    data: bytes


async def branch(folder: Path, base: Commit, contents: Sequence[Content], *, name: str, message: str) -> Commit:
    """Commit the files on top of `base`, as a new branch. Raises Refused, RepositoryError."""
    with tempfile.TemporaryDirectory(prefix="reconciler-") as temporary:
        git = _Git(folder, {"GIT_INDEX_FILE": f"{temporary}/index"})
        tree = await _tree(git, base, contents)
        made = await git.text("commit-tree", tree, "-p", base, "-F", "-", stdin=message.encode())
        await git.text("update-ref", f"refs/heads/{name}", made, "0" * len(made))
        return Commit(made)


async def patch(folder: Path, base: Commit, contents: Sequence[Content]) -> bytes:
    """What `git apply` needs to make the same edits on `base`. Raises Refused, RepositoryError."""
    with tempfile.TemporaryDirectory(prefix="reconciler-") as temporary:
        objects = await _Git(folder, {}).text("rev-parse", "--path-format=absolute", "--git-path", "objects")
        (Path(temporary) / "objects").mkdir()
        places = {"GIT_OBJECT_DIRECTORY": f"{temporary}/objects", "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects}
        git = _Git(folder, {"GIT_INDEX_FILE": f"{temporary}/index", **places})
        tree = await _tree(git, base, contents)
        return await git.run("diff-tree", "-p", "--binary", "--no-ext-diff", "--no-textconv", base, tree)


async def patch_between(before: Sequence[Content], after: Sequence[Content]) -> bytes:
    """The same for files without git."""
    with tempfile.TemporaryDirectory(prefix="reconciler-") as temporary:
        folder = Path(temporary)
        for side, contents in (("a", before), ("b", after)):
            (folder / side).mkdir()
            for each in contents:
                _write(folder / side, each)
        git = _Git(folder, {"GIT_CEILING_DIRECTORIES": temporary})
        words = ("--binary", "--no-ext-diff", "--no-textconv", "--src-prefix=", "--dst-prefix=")
        return await git.run("diff", "--no-index", *words, "a", "b", codes=(0, 1))


async def snapshot(git_dir: Path, folder: Path, files: Mapping[str, State]) -> Commit:
    """The files as a commit of a bare repository of ours, made if need be; equal files are always the same commit.

    Raises RepositoryError; OSError when a file has gone meanwhile.
    """
    if _is_new(git_dir):
        await _Git(git_dir, {}).text("init", "--quiet", "--bare", "--initial-branch=main", ".")
    plain = [name for name, state in files.items() if state.kind != "l" and "\n" not in name]
    with tempfile.TemporaryDirectory(prefix="reconciler-") as temporary:
        environment = {"GIT_DIR": str(git_dir), "GIT_INDEX_FILE": f"{temporary}/index", **_FIRST_OF_ALL}
        git = _Git(git_dir, environment)
        paths = "".join(f"{folder}/{name}\n" for name in plain).encode("utf-8", "surrogateescape")
        words = ("hash-object", "-w", "--no-filters", "--stdin-paths")
        blobs = dict(zip(plain, (await git.text(*words, stdin=paths)).split(), strict=True))
        for name in files.keys() - blobs.keys():
            data = _read(folder / name)
            blobs[name] = await git.text("hash-object", "-w", "--no-filters", "--stdin", stdin=data)
        lines = "".join(f"{_MODES[state.kind]} {blobs[name]}\t{name}\0" for name, state in files.items())
        await git.text("update-index", "-z", "--index-info", stdin=lines.encode("utf-8", "surrogateescape"))
        return Commit(await git.text("commit-tree", await git.text("write-tree"), "-m", "A folder without git"))


def _read(path: Path) -> bytes:
    """A file, or where a link leads."""
    return os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()


def _is_new(git_dir: Path) -> bool:
    """Whether there is no repository so far; its folder is there then."""
    git_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return not (git_dir / "HEAD").exists()


async def name_commit(git_dir: Path, name: str, commit: Commit | None) -> None:
    """Give a commit of a bare repository a branch; None takes the branch away."""
    words = ("-d", f"refs/heads/{name}") if commit is None else (f"refs/heads/{name}", commit)
    await _Git(git_dir, {"GIT_DIR": str(git_dir)}).text("update-ref", *words)


async def collect(git_dir: Path) -> None:
    """Throw away what no branch of a bare repository leads to."""
    await _Git(git_dir, {"GIT_DIR": str(git_dir)}).text("gc", "--quiet", "--prune=now")


async def branches(git_dir: Path) -> Mapping[str, Commit]:
    """The branches of a bare repository; none while there is no repository."""
    if not (git_dir / "HEAD").exists():
        return {}
    words = ("for-each-ref", "--format=%(refname:strip=2) %(objectname)", "refs/heads")
    lines = (await _Git(git_dir, {"GIT_DIR": str(git_dir)}).text(*words)).splitlines()
    return {line.split(" ")[0]: Commit(line.split(" ")[1]) for line in lines}


async def _tree(git: _Git, base: Commit, contents: Sequence[Content]) -> str:
    """The tree of `base` with these files. Raises Refused when the commit is not here."""
    if not await git.succeeds("cat-file", "-e", f"{base}^{{commit}}"):
        message = f"the commit {base[:12]} of the checkout there is not in {git.folder}"
        raise Refused("CommitNotHere", message, hint="fetch it first: `git fetch` from where that checkout has it")
    await git.text("read-tree", base)
    lines = []
    for each in contents:
        if each.kind:
            blob = await git.text("hash-object", "-w", "--no-filters", "--stdin", stdin=each.data)
            lines.append(f"{_MODES[each.kind]} {blob}\t{each.name}\0")
        else:
            lines.append(f"0 {'0' * len(base)}\t{each.name}\0")
    await git.text("update-index", "-z", "--index-info", stdin="".join(lines).encode("utf-8", "surrogateescape"))
    return await git.text("write-tree")


def _write(folder: Path, content: Content) -> None:
    if not content.kind:
        return
    path = folder / content.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if content.kind == "l":
        path.symlink_to(os.fsdecode(content.data))
        return
    path.write_bytes(content.data)
    path.chmod(0o755 if content.kind == "x" else 0o644)


class _Git:
    """git in one folder, hardened."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = environment

    async def text(self, *arguments: str, stdin: bytes = b"") -> str:
        return (await self.run(*arguments, stdin=stdin)).decode("utf-8", "surrogateescape").strip()

    async def succeeds(self, *arguments: str) -> bool:
        return (await self._ended(arguments, b""))[0] == 0

    async def run(self, *arguments: str, stdin: bytes = b"", codes: Sequence[int] = (0,)) -> bytes:
        """Its output. Raises RepositoryError."""
        code, output, complaint = await self._ended(arguments, stdin)
        if code not in codes:
            raise RepositoryError("GitFailed", f"git {arguments[0]} in {self.folder}: {complaint.strip()[-500:]}")
        if len(output) > PATCH_BYTES:
            raise RepositoryError("OutputTooLarge", f"git {arguments[0]} wrote more than {PATCH_BYTES} bytes")
        return output

    async def _ended(self, arguments: Sequence[str], stdin: bytes) -> tuple[int, bytes, str]:
        options = [word for option in _OPTIONS for word in ("-c", option)]
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "LC_ALL": "C",
            **_IDENTITY,
            **self._environment,
        }
        try:
            process = await asyncio.create_subprocess_exec(
                "git", "--no-replace-objects", "--literal-pathspecs", *options, *arguments,
                cwd=self.folder, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE,
            )  # fmt: skip
        except FileNotFoundError:
            raise RepositoryError("GitMissing", "there is no git on this machine", hint="apt install git") from None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                output, complaint = await process.communicate(stdin)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise RepositoryError("TimedOut", f"git {arguments[0]} did not end within {TIMEOUT_S:g} s") from None
        return process.returncode or 0, output, complaint.decode("utf-8", "replace")
