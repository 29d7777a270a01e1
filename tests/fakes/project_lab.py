"""A project in two places for tests of `reconciler project`: a folder here, one on a source, and a configuration."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from git_repository import GitRepository

FILES = {
    "train.py": "print(1)\n",
    "conf/model.yaml": "lr: 0.1\nepochs: 3\n",
    "run.sh": "#!/bin/sh\n",
    "old.txt": "old\n",
}
SOURCE = "box"
PROJECT = "mnist"


class ProjectLab:
    """Two checkouts of one commit; or, without git, two equal folders."""

    def __init__(self, folder: Path, *, git: bool, **source: object) -> None:
        self.folder = folder
        self.git = git
        self.here = folder / "here"
        self.there = folder / "there"
        self.config = folder / "reconciler.yaml"
        self.source = {"scheduler": "process", "root": str(folder / "root"), **source}
        repository = GitRepository(folder / "here" if git else folder / "manifests")
        if git:
            self.commit = repository.commit(FILES)
            subprocess.run(["git", "clone", "-q", str(self.here), str(self.there)], check=True)
        else:
            for name, text in FILES.items():
                write(self.here, name, text)
            shutil.copytree(self.here, self.there)
        self._configure(repository.directory)

    def _configure(self, repository: Path) -> None:
        project = {
            "url": str(self.here),
            "sync": "Verify",
            "path": str(self.there),
            "kind": "Git" if self.git else "Tree",
        }
        told = {
            "repository": {"url": str(repository)},
            "sources": {SOURCE: self.source},
            "projects": {PROJECT: project},
            "state": {"dir": str(self.folder / "state")},
            "results": {"dir": str(self.folder / "results")},
        }
        (self.folder / "state").mkdir()
        self.config.write_text(json.dumps(told))

    def files(self, folder: Path) -> dict[str, str]:
        """What lies in one of the two, but for git's and our own."""
        paths = [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
        names = [(str(path.relative_to(folder)), path) for path in paths]
        return {name: path.read_text() for name, path in names if name.split("/")[0] not in (".git", ".reconciler")}

    def backups(self) -> dict[str, str]:
        """What was kept of the folder on the source, by name, whichever push kept it."""
        kept = self.there / ".reconciler" / "backups"
        paths = [path for path in kept.rglob("*") if path.is_file() and path.name != "journal.json"]
        return {str(path.relative_to(kept)).partition("/")[2]: path.read_text() for path in paths}


def write(folder: Path, name: str, text: str) -> None:
    """A file, and the folders to it."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def git(folder: Path, *words: str) -> str:
    """The output of git in a checkout."""
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()
