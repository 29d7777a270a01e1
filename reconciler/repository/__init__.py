"""The git repository of manifests, as a bare mirror of ours that is only ever read.

    git.py      the one hardened way to start git
    address.py  what a repository's URL may be, and how it is told without its secrets
    mirror.py   the bare mirror as git sees it
    objects.py  the same, read in process by GitPython
    repository.py  Repository: the questions that the reconciler asks
    failures.py what git's complaints mean
    reading.py  which files under the manifest path are manifests, and which are refused by name
    working.py  the same two questions to a checkout, for `plan --working-tree`

There is no work tree: blobs are read at a commit, so that a symlink is just text, and no hook, filter or submodule of a
stranger ever runs.
"""

from reconciler.repository.address import parse_address
from reconciler.repository.objects import common_directory
from reconciler.repository.reading import Listing, ManifestFile
from reconciler.repository.repository import Head, Repository
from reconciler.repository.working import WorkingTree

__all__ = ["Head", "Listing", "ManifestFile", "Repository", "WorkingTree", "common_directory", "parse_address"]
