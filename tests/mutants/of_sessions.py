"""Guards of sessions: who ends when the other side has gone without a word, and what another host may conclude."""

from __future__ import annotations

from tests.mutants.model import Edit, Mutant, suite

AGENT = "reconciler/agent"
SCENES = "sim/test_process_sessions.py"

MUTANTS = (
    Mutant(
        name="agent-waits-on-a-dead-line",
        guard="an agent to which nobody speaks ends",
        edits=(
            Edit(
                f"{AGENT}/main.py", "        while not self._channel.over:", "        while not self._channel.closed:"
            ),
        ),
        caught_by=suite(f"{SCENES}::test_an_agent_to_which_nobody_speaks_any_more_ends"),
    ),
    Mutant(
        name="agent-outlives-its-successor",
        guard="an agent that rules no more ends",
        edits=(
            Edit(
                f"{AGENT}/main.py",
                "            self._channel.closed |= desk.root.superseded(time.monotonic())\n",
                "",
            ),
        ),
        caught_by=suite(f"{SCENES}::test_an_agent_whose_daemon_has_come_back_on_another_line_ends"),
    ),
    Mutant(
        name="agent-ends-as-soon-as-it-is-fenced",
        guard="who was fenced is told so before his agent ends",
        edits=(Edit(f"{AGENT}/place.py", "now - self._fenced_at >= SUPERSEDED_S", "True"),),
        caught_by=suite(
            "adapters/test_agent_sessions.py::test_an_agent_is_superseded_when_a_newer_one_has_ruled_for_a_while"
        ),
    ),
    Mutant(
        name="copied-files-are-shared",
        guard="files are shared where a file server is known to keep them, not where they look the same",
        edits=(
            Edit(
                "reconciler/agent/system.py",
                "return _filesystem(os.path.realpath(path)) in _SERVED",
                "return True",
            ),
        ),
        caught_by=suite(
            "sim/test_process_protocol.py"
            "::test_where_nobody_knows_that_files_are_shared_it_waits_until_it_is_cancelled_and_may_run_again"
        ),
    ),
    Mutant(
        name="every-host-is-a-neighbour",
        guard="a host shares our files if it has left its name in them",
        edits=(
            Edit(
                "reconciler/core/evidence.py",
                "shared=found.claim is None and home in neighbours",
                "shared=found.claim is None",
            ),
        ),
        caught_by=suite("core/test_resolve.py::test_a_look_from_another_host"),
    ),
)
