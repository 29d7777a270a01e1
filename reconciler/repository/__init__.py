"""The git repository of manifests, as a bare mirror of ours that is only ever read.

    git.py      the one hardened way to start git
    address.py  what a repository's URL may be, and how it is told without its secrets
    mirror.py   the bare mirror as git sees it
    objects.py  the same, read in process by GitPython
    revisions.py   which commit a branch, a tag or a hash names
    bundles.py     commits as one file, for sources that cannot read the mirror
    repository.py  Repository: the questions that the reconciler asks
    codebase.py    the mirrors of projects, which are not the repository of manifests
    failures.py what git's complaints mean
    reading.py  which files under the manifest path are manifests, and which are refused by name
    working.py  the same two questions to a checkout, for `plan --working-tree`

There is no work tree: blobs are read at a commit, so that a symlink is just text, and no hook, filter or submodule of a
stranger ever runs.
"""

from reconciler.repository.address import parse_address
from reconciler.repository.codebase import MIRRORS, PLANNED, Codebase, GitCodebase, Stock, git_codebases
from reconciler.repository.objects import common_directory
from reconciler.repository.reading import Listing, ManifestFile
from reconciler.repository.repository import Head, Repository
from reconciler.repository.working import WorkingTree

__all__ = [
    "MIRRORS",
    "PLANNED",
    "Codebase",
    "GitCodebase",
    "Head",
    "Listing",
    "ManifestFile",
    "Repository",
    "Stock",
    "WorkingTree",
    "common_directory",
    "git_codebases",
    "parse_address",
]
