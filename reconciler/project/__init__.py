"""Is the code on this source the pinned code? Bring it there; tell what differs.

    base.py      Way: one way in which a source comes to hold the pinned code, and what it answers
    ways.py      which project has which way; the only place that looks at `sync` and `kind`
    projects.py  Projects: what is known of the code on one source, and what failed
    transfer.py  bringing commits to a source that cannot read our mirror
    worktree.py  the way Worktree: an immutable copy for each commit
    tree.py      the same for a folder without git
    verify.py    the way Verify: somebody's own checkout, or folder, while it is exactly the pinned code

Code that cannot be had holds the sweeps that need it, and nothing else; it is tried again after a while.
"""

from reconciler.project.base import Brought, Coming, Way, Ways
from reconciler.project.projects import AGAIN_S, Projects, Tally
from reconciler.project.ways import ways_of
from reconciler.project.worktree import Worktree

__all__ = ["AGAIN_S", "Brought", "Coming", "Projects", "Tally", "Way", "Ways", "Worktree", "ways_of"]
