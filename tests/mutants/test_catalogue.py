"""The catalogue fits the code as it is, and only the right failure is a catch."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.mutants.catalogue import ALL
from tests.mutants.model import ROOT, Edit, Mutant, Simulator, Suite, suite
from tests.mutants.runner import Outcome, judged

AT_LEAST = 25


def test_each_mutant_still_fits_the_code(repository_root):
    texts = {edit.file: (repository_root / edit.file).read_text() for mutant in ALL for edit in mutant.edits}

    moved = [
        f"{mutant.name}: in {edit.file} not once but {texts[edit.file].count(edit.old)} times: {edit.old!r}"
        for mutant in ALL
        for edit in mutant.edits
        if texts[edit.file].count(edit.old) != 1
    ]
    assert not moved, "the code has moved on; let these follow it:\n" + "\n".join(moved)


def test_each_mutant_is_python():
    for mutant in ALL:
        for edit in mutant.edits:
            text = (ROOT / edit.file).read_text()
            compile(text.replace(edit.old, edit.new), edit.file, "exec")


def test_each_has_a_name_of_its_own_that_make_can_pass_on():
    names = Counter(mutant.name for mutant in ALL)

    assert [] == [name for name, n in names.items() if n > 1 or not re.fullmatch(r"[a-z0-9-]+", name)]
    assert AT_LEAST <= len(names)


def test_each_test_that_must_catch_one_is_there():
    nodes = {node for mutant in ALL if isinstance(mutant.caught_by, Suite) for node in mutant.caught_by.nodes}

    missing = []
    for node in nodes:
        file, _, name = node.partition("::")
        text = (ROOT / file).read_text() if (ROOT / file).is_file() else ""
        if not text or (name and f"def {name.partition('[')[0]}(" not in text):
            missing.append(node)
    assert not missing, "\n".join(missing)


MUTANT = Mutant(name="m", guard="g", edits=(Edit("f", "a", "b"),), caught_by=suite("t.py"))
HANGING = Mutant(name="m", guard="g", edits=(Edit("f", "a", "b"),), caught_by=suite("t.py"), hangs=True)
REFUSED = Mutant(name="m", guard="g", edits=(Edit("f", "a", "b"),), caught_by=suite("t.py"), shows="ForeignRoot")
SIMULATED = Mutant(name="m", guard="g", edits=(Edit("f", "a", "b"),), caught_by=Simulator("0:9"))


def outcome(*failures: str, code: int = 1, errors: tuple[str, ...] = ()) -> Outcome:
    return Outcome(code=code, failures=failures, errors=errors, last_words="last words")


@pytest.mark.parametrize(
    ("mutant", "result", "caught"),
    [
        (MUTANT, outcome(code=0), False),
        (MUTANT, outcome("assert 1 == 2 [test_a]"), True),
        (MUTANT, outcome("AssertionError: assert [] == [1] [test_a]"), True),
        (MUTANT, outcome("Failed: DID NOT RAISE Fenced [test_a]"), True),
        (MUTANT, outcome(errors=('failed on teardown with "AssertionError: assert 1 == 2" [test_a]',)), True),
        (MUTANT, outcome("ImportError: no such thing [test_a]"), False),
        (MUTANT, outcome("NameError: name 'x' is not defined [test_a]"), False),
        (MUTANT, outcome("Failed: Timeout (>45.0s) from pytest-timeout. [test_a]"), False),
        (MUTANT, outcome("TimeoutError [test_a]"), False),
        (MUTANT, outcome(errors=("collection failure [test_a]",)), False),
        (MUTANT, outcome(code=4), False),
        (HANGING, outcome("TimeoutError [test_a]"), True),
        (HANGING, outcome("NameError: name 'x' is not defined [test_a]"), False),
        (REFUSED, outcome("Refused: ForeignRoot [test_a]"), True),
        (REFUSED, outcome("KeyError: 'x' [test_a]"), False),
        (SIMULATED, outcome("I2: two attempts live"), True),
        (SIMULATED, outcome(), False),
    ],
)
def test_only_a_broken_rule_is_a_catch(mutant, result, caught):
    assert judged(mutant, result)[0] == caught
