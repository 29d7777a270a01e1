"""Guards of code on sources: what runs is what was pinned, and nobody's code is exchanged under its feet."""

from __future__ import annotations

from tests.mutants.model import Edit, Mutant, suite

AGENT = "reconciler/agent"
TESTS = "adapters/test_project_code.py::"

MUTANTS = (
    Mutant(
        name="changed-code-runs",
        guard="just before a start the code is looked at",
        edits=(
            Edit(
                f"{AGENT}/shim.py",
                "        if code is None or not code.seal:\n            return []\n",
                "        if code is not None or code is None:\n            return []\n",
            ),
        ),
        caught_by=suite(TESTS + "test_nothing_starts_in_code_that_somebody_has_changed"),
    ),
    Mutant(
        name="code-is-exchanged-under-a-task",
        guard="changed code is made anew only when no task runs in it",
        edits=(
            Edit(
                f"{AGENT}/worktree.py",
                '            if not isinstance(spec, dict) or spec.get("cwd") != path:\n',
                '            if not isinstance(spec, dict) or spec.get("cwd") != path or path:\n',
            ),
        ),
        caught_by=suite(TESTS + "test_changed_code_stays_while_a_task_runs_in_it"),
    ),
    Mutant(
        name="who-ran-before-the-boot-keeps-code-for-ever",
        guard="changed code is made anew when no task runs in it: none from before a reboot does",
        edits=(
            Edit(
                f"{AGENT}/worktree.py",
                '    if claim.kind == "revoked" or (is_here(place, claim) and not is_this_boot(place, claim)):\n',
                '    if claim.kind == "revoked":\n',
            ),
        ),
        caught_by=suite(TESTS + "test_changed_code_is_made_anew_when_who_ran_in_it_did_so_before_the_machine_started"),
        bug="crash images of a whole world: a task of before the power loss kept damaged code in its place for ever",
    ),
    Mutant(
        name="a-garbled-bundle-is-taken-in",
        guard="what has come is what was sent, by its SHA-256",
        edits=(Edit(f"{AGENT}/objects.py", "    if found != sha:\n", "    if found != sha and not found:\n"),),
        caught_by=suite(TESTS + "test_a_bundle_that_was_garbled_on_the_way_is_sent_again"),
    ),
    Mutant(
        name="content-is-missed-in-silence",
        guard="a commit whose submodules would be missing is refused",
        edits=(Edit(f"{AGENT}/worktree.py", "    if submodules and ", "    if not submodules and "),),
        caught_by=suite(TESTS + "test_content_that_is_not_brought_is_not_missed_in_silence"),
    ),
    Mutant(
        name="later-commits-run",
        guard="the commit is pinned anew only when what defines it has changed",
        edits=(
            Edit(
                "reconciler/controller/acceptance.py",
                "    if known is None or known.row.deleted or identity.pin_key(spec) != identity.pin_key(known.spec):\n"
                "        return None\n"
                "    return known.pin\n",
                "    return None\n",
            ),
        ),
        caught_by=suite(
            "e2e/test_projects.py::test_tasks_that_wait_run_the_code_that_was_pinned_and_not_what_came_later"
        ),
    ),
)
