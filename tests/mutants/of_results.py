"""Guards around results that come here: what is believed, what is shown, and when it is struck out."""

from __future__ import annotations

from tests.mutants.model import Edit, Mutant, suite

COLLECT, RESULTS = "reconciler/collect.py", "reconciler/results.py"
TESTS = "adapters/test_collect.py"

MUTANTS = (
    Mutant(
        name="spoilt-pieces-are-kept",
        guard="a long file is put in place only with the right hash",
        edits=(Edit(RESULTS, "        if self._hash.hexdigest() != self._digest:", "        if False:"),),
        caught_by=suite(f"{TESTS}::test_bytes_that_went_wrong_on_the_way_are_not_believed"),
    ),
    Mutant(
        name="spoilt-short-file-is-kept",
        guard="a short file is put in place only with the right hash",
        edits=(Edit(COLLECT, " and sha256(data).hexdigest() == file.sha256", ""),),
        caught_by=suite(f"{TESTS}::test_bytes_that_went_wrong_on_the_way_are_not_believed"),
    ),
    Mutant(
        name="failure-covers-success",
        guard="no failure is shown over a success",
        edits=(
            Edit(
                RESULTS,
                "    return (RANKS.get(phase, 1), number) >= (RANKS.get(shown, 1), shown_number)",
                "    return number >= shown_number",
            ),
        ),
        caught_by=suite(f"{TESTS}::test_a_failure_never_covers_a_success"),
    ),
    Mutant(
        name="unread-file-counts-as-collected",
        guard="an attempt is struck out only when every file of it lies here",
        edits=(Edit(COLLECT, "        if wrong:\n            raise _Failure(wrong)\n", ""),),
        caught_by=suite(f"{TESTS}::test_a_file_that_cannot_be_read_leaves_the_others_here_and_is_tried_again"),
    ),
    Mutant(
        name="struck-out-before-it-is-written",
        guard="what is collected is recorded after it lies here",
        edits=(
            Edit(
                COLLECT,
                "            except ResultsError as error:\n                return error\n",
                "            except ResultsError as error:\n                sizes[each.id] = 0\n"
                "                return error\n",
            ),
        ),
        caught_by=suite(f"{TESTS}::test_a_full_disk_here_waits_and_says_so"),
    ),
    Mutant(
        name="two-writers-of-one-file",
        guard="disk work that a lost session has left behind is waited for",
        edits=(Edit(COLLECT, "        if self._writing is not None:\n", "        if False:\n"),),
        caught_by=suite(f"{TESTS}::test_disk_work_of_a_lost_session_is_waited_for_by_the_next"),
    ),
    Mutant(
        name="links-are-followed",
        guard="the agent reads regular files alone, and follows no link",
        edits=(
            Edit(
                "reconciler/agent/files.py",
                "os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK",
                "os.O_RDONLY | os.O_NONBLOCK",
            ),
        ),
        caught_by=suite("conformance/test_files.py::test_only_regular_files_are_read"),
    ),
)
