"""Guards of what a machine has: its slots and GPUs, and who has taken them."""

from __future__ import annotations

from tests.mutants.model import Edit, Mutant, suite

AGENT = "reconciler/agent"

MUTANTS = (
    Mutant(
        name="gpu-given-twice",
        guard="a GPU has one attempt",
        edits=(
            Edit(
                f"{AGENT}/pool.py",
                "taken = {index for gpus in self.seats.values() for index in gpus}",
                "taken = set()",
            ),
        ),
        caught_by=suite("conformance/test_room.py::test_no_gpu_is_given_to_two_at_once"),
    ),
    Mutant(
        name="gpu-of-an-adopted-task",
        guard="what an older agent started keeps its GPUs",
        edits=(Edit(f"{AGENT}/desk.py", "self.pool.sit(eid, sight.claim.gpus)", "self.pool.sit(eid, [])"),),
        caught_by=suite("conformance/test_room.py::test_an_adopted_task_keeps_its_gpu"),
    ),
    Mutant(
        name="orphan-gives-its-slot-away",
        guard="what runs has its slot, whoever started it",
        edits=(
            Edit(
                f"{AGENT}/desk.py",
                "        self.watch.add(eid)\n        if sight.runs and",
                "        self.watch.add(eid)\n        if False and",
            ),
        ),
        caught_by=suite("conformance/test_ends.py::test_a_task_without_a_shim_keeps_its_slot"),
    ),
    Mutant(
        name="starts-before-all-is-known",
        guard="nothing starts before all that ran before has its slot",
        edits=(Edit(f"{AGENT}/desk.py", "        while self._seated:\n", "        while True:\n"),),
        caught_by=suite("adapters/test_agent_takeover.py::test_nothing_starts_before_all_that_runs_has_its_seat"),
    ),
    Mutant(
        name="all-is-looked-at-at-once",
        guard="an agent answers while it looks at what lies there, however much that is",
        edits=(
            Edit(
                f"{AGENT}/takeover.py", "            if time.monotonic() >= until:\n                return False\n", ""
            ),
        ),
        caught_by=suite(
            "adapters/test_agent_takeover.py::test_all_without_a_record_are_taken_over_in_one_go_or_in_many[0.0-True]"
        ),
        bug="review: 100,000 ended attempts on a cold disk kept an agent from answering for 14 s; 60 s are waited",
    ),
    Mutant(
        name="never-looks-on",
        guard="what an agent has not looked at before its answer it looks at afterwards",
        edits=(Edit(f"{AGENT}/main.py", "        desk.go_on(SLICE_S)\n", ""),),
        caught_by=suite("adapters/test_agent_takeover.py::test_an_agent_looks_on_at_what_lies_there_after_its_answer"),
        hangs=True,
    ),
)
