"""Guards against servers: of files, which repeat themselves and remember, and of git, which give little."""

from __future__ import annotations

from tests.mutants.model import Edit, Mutant, suite

AGENT = "reconciler/agent"
FILES, GIT = "adapters/test_agent_file_server.py", "adapters/test_project_fetch.py"

MUTANTS = (
    Mutant(
        name="remembered-links-decide",
        guard="whose the name is decides where the number of links may be an old one",
        edits=(Edit(f"{AGENT}/place.py", "st_nlink == 2 or _leads_to(path, fd)", "st_nlink == 2"),),
        caught_by=suite(f"{FILES}::test_who_has_won_is_seen_in_the_files_themselves"),
    ),
    Mutant(
        name="every-name-is-a-folder",
        guard="a file that nobody has made is in nobody's way",
        edits=(Edit(f"{AGENT}/place.py", "os.scandir(path) if entry.is_dir()]", "os.scandir(path)]"),),
        caught_by=suite(f"{FILES}::test_files_that_nobody_has_made_are_in_nobodys_way"),
        shows="Refused",
    ),
    Mutant(
        name="garbage-beside-others",
        guard="where nobody can be alone nothing is thrown away that has just come",
        edits=(Edit(f"{AGENT}/objects.py", '"--prune=now" if alone else "--prune=" + SURELY_DONE', '"--prune=now"'),),
        caught_by=suite(
            f"{FILES}::test_commits_come_where_locks_are_not_known_and_none_that_came_lately_is_thrown_away"
        ),
    ),
    Mutant(
        name="commit-goes-with-its-branch",
        guard="a commit that came with a branch stays when the branch goes",
        edits=(
            Edit(
                f"{AGENT}/worktree.py", "if plan.git_dir == objects.git_dir(plan.place, plan.project):", "if not plan:"
            ),
        ),
        caught_by=suite(f"{GIT}::test_a_commit_that_came_with_its_branch_stays_when_the_branch_goes"),
    ),
)
