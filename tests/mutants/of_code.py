"""Guards around code in somebody's own folder: what is verified before it runs, and what is never written over."""

from __future__ import annotations

from tests.mutants.model import Edit, Mutant, suite

AGENT = "reconciler/agent"

VERIFIED = (
    Mutant(
        name="seal-without-change-times",
        guard="a file that was written to and given its old times back is another file",
        edits=(
            Edit(f"{AGENT}/seal.py", "found.st_mtime_ns, found.st_ctime_ns, found.st_ino", "found.st_mtime_ns, 0, 0"),
        ),
        caught_by=suite("adapters/test_agent_seal.py::test_each_change_of_a_file_is_named"),
    ),
    Mutant(
        name="dirty-checkout-is-sealed",
        guard="only a clean checkout, with nothing under way, is sealed",
        edits=(
            Edit(
                f"{AGENT}/checkout.py",
                'if content is not None and not changed and not state["operation"]:',
                "if content is not None:",
            ),
        ),
        caught_by=suite("adapters/test_project_verify.py::test_each_edit_holds_the_tasks_and_is_named"),
    ),
    Mutant(
        name="overlooked-files-are-clean",
        guard="what git was told to overlook is looked at",
        edits=(Edit(f"{AGENT}/checkout.py", "    changed += _hidden(git, {each.name for each in changed})\n", ""),),
        caught_by=suite("adapters/test_project_verify.py::test_each_edit_holds_the_tasks_and_is_named"),
    ),
    Mutant(
        name="any-commit-will-do",
        guard="a checkout is verified against the pinned commit",
        edits=(
            Edit(
                f"{AGENT}/checkout.py", "if seals and head and head == commit else None", "if seals and head else None"
            ),
        ),
        caught_by=suite("adapters/test_project_verify.py::test_another_commit_is_told_with_its_distance"),
    ),
    Mutant(
        name="verified-and-not-sealed",
        guard="what was verified is looked at once more just before the start",
        edits=(Edit("reconciler/project/verify.py", "path=path, seal=seal,", 'path=path, seal="",'),),
        caught_by=suite("adapters/test_project_verify.py::test_an_edit_after_the_look_is_seen_at_the_start"),
    ),
)

WRITTEN = (
    Mutant(
        name="push-without-comparing",
        guard="a file that changed since it was looked at refuses the push",
        edits=(
            Edit(
                f"{AGENT}/sync.py",
                "moved = [change.name for change in changes if _state(folder, change.name) != change.before]",
                "moved: List[str] = []",
            ),
        ),
        caught_by=suite("adapters/test_push.py::test_a_file_that_changed_since_it_was_looked_at_refuses_everything"),
    ),
    Mutant(
        name="push-takes-what-it-finds",
        guard="each file is compared once more when its turn comes",
        edits=(Edit(f"{AGENT}/sync.py", "    if now != change.before:\n        return False\n", ""),),
        caught_by=suite("adapters/test_push.py::test_an_edit_made_between_the_kill_and_the_next_push_is_left_alone"),
    ),
    Mutant(
        name="push-trusts-the-exchange",
        guard="what came out of the exchange is what was to be replaced, or is put back",
        edits=(
            Edit(
                f"{AGENT}/sync.py",
                "    if _state(*os.path.split(ready)) == change.before:\n        os.rename(ready, kept)\n"
                '        crashpoint("push.kept")',
                '    if True:\n        os.rename(ready, kept)\n        crashpoint("push.kept")',
            ),
        ),
        caught_by=suite("adapters/test_push.py::test_an_edit_in_the_very_last_moment_is_put_back"),
    ),
    Mutant(
        name="push-keeps-nothing",
        guard="nothing is replaced without a backup",
        edits=(
            Edit(
                f"{AGENT}/sync.py",
                '        os.rename(ready, kept)\n        crashpoint("push.kept")',
                '        os.unlink(ready)\n        crashpoint("push.kept")',
            ),
        ),
        caught_by=suite("machines/test_pushes.py"),
    ),
    Mutant(
        name="push-forgets-the-last",
        guard="a push that was cut off is finished by the next",
        edits=(Edit(f"{AGENT}/sync.py", "finished = _finish(folder, swap)", 'finished = ""'),),
        caught_by=suite(
            "adapters/test_push.py::test_a_push_that_is_killed_anywhere_loses_nothing_and_the_next_one_finishes[push.exchanged]"
        ),
    ),
    Mutant(
        name="push-over-untracked",
        guard="a new file does not replace one that lies there untracked",
        edits=(Edit("reconciler/core/syncing.py", " or (changed.what is What.ADDED and now != NOTHING)", ""),),
        caught_by=suite("core/test_trees.py::test_whatever_speaks_against_a_push_refuses_all_of_it"),
    ),
)

MUTANTS = (*VERIFIED, *WRITTEN)
