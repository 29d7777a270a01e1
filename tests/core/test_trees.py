"""What differs between two places, and what may be pushed over what."""

from __future__ import annotations

import pytest

from reconciler.core.errors import Refused
from reconciler.core.model import Commit
from reconciler.core.syncing import FILES_MAX, push_of_checkout, push_of_tree, to_pull
from reconciler.core.trees import (
    NOTHING,
    Changed,
    Checkout,
    Difference,
    Relation,
    State,
    Tree,
    What,
    compared,
    differences,
    differs_from,
    edited,
    named,
    ordered,
    pin_of,
    relation,
    tree_differs_from,
    tree_hash,
)
from reconciler.core.wire_trees import Change

ONE, OTHER = Commit("1" * 40), Commit("2" * 40)
A, B, C = (State("-", letter * 64, 1) for letter in "abc")
A_RUNS = State("x", "a" * 64, 1)
LINK = State("l", "a" * 64, 1)


def changed(name, what=What.MODIFIED, state=B):
    return Changed(name, what, False, state)


def at(head, *changes, **fields):
    return Checkout(path="/c", head=head, changed=changes, **fields)


# ------------------------------------------------------------------------------------------------ one place


@pytest.mark.parametrize(
    ("checkout", "told"),
    [
        (at(ONE), ""),
        (at(ONE, untracked=("x",)), ""),
        (at(None), "it is at no commit, not at 111111111111"),
        (at(OTHER), "it is at 222222222222, not at 111111111111"),
        (at(OTHER, ahead=2, behind=0), "it is at 222222222222 (2 ahead), not at 111111111111"),
        (at(OTHER, ahead=2, behind=3), "it is at 222222222222 (2 ahead, 3 behind), not at 111111111111"),
        (at(ONE, operation="rebase"), "a rebase is under way"),
        (at(ONE, unfinished=True), "a push was cut off there"),
        (at(ONE, changed("b.py"), changed("z.yaml")), "2 modified: z.yaml, b.py"),
        (at(ONE, changed("b.py"), changed("a", What.DELETED)), "1 deleted, 1 modified: a, b.py"),
        (at(ONE, *(changed(f"f{n}") for n in range(7))), "7 modified: f0, f1, f2, f3, f4 and 2 more"),
        (at(ONE, changed("a"), changed_more=9), "1 modified: a and 9 more"),
    ],
)
def test_a_checkout_is_told_by_all_that_differs_from_its_pin(checkout, told):
    assert told == differs_from(checkout, ONE)


def test_a_tree_is_told_by_its_hash_and_where_it_is_known_by_its_files():
    files = {"a.py": A, "b.yaml": B}
    tree = Tree(path="/t", hash=tree_hash(files), files=files)
    pin = pin_of("0" * 64)

    assert "" == tree_differs_from(tree, None, pin_of(tree.hash))
    told = f"its files have the hash {tree.hash[:12]}, not 000000000000; `reconciler project diff` names them"
    assert told == tree_differs_from(tree, None, pin)
    assert "2 files differ: b.yaml, a.py" == tree_differs_from(tree, {"a.py": C}, pin)


def test_the_hash_of_a_tree_is_that_of_its_lines_in_the_order_of_the_names_bytes():
    one = {"b": A, "a/c": B, "é": C, "a.py": LINK}
    other = dict(reversed(one.items()))

    assert tree_hash(one) == tree_hash(other)
    assert "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" == tree_hash({})


@pytest.mark.parametrize("changed_tree", [{"a": B}, {"b": A}, {"a": A_RUNS}, {"a": LINK}, {"a": A, "b": A}, {}])
def test_whatever_differs_changes_the_hash(changed_tree):
    assert tree_hash({"a": A}) != tree_hash(changed_tree)


def test_configuration_files_come_first():
    names = ["z.py", "b.yaml", "a.py", "c.JSON", "d.cfg", "e.yml", "f.toml", "g.ini"]

    assert ["b.yaml", "c.JSON", "d.cfg", "e.yml", "f.toml", "g.ini", "a.py", "z.py"] == ordered(names)


def test_no_more_than_five_are_named():
    assert ("a, b, c, d, e and 2 more", "a") == (named(list("abcdefg")), named(["a"]))


# ------------------------------------------------------------------------------------------------ two places


@pytest.mark.parametrize(
    ("here", "there", "ahead", "behind", "expected"),
    [
        (ONE, ONE, 0, 0, Relation.SAME),
        (ONE, OTHER, 1, 0, Relation.AHEAD),
        (ONE, OTHER, 0, 1, Relation.BEHIND),
        (ONE, OTHER, 1, 1, Relation.DIVERGED),
        (ONE, OTHER, None, None, Relation.UNKNOWN),
        (None, OTHER, None, None, Relation.UNKNOWN),
    ],
)
def test_how_two_commits_stand_to_each_other(here, there, ahead, behind, expected):
    assert expected == relation(here, there, ahead=ahead, behind=behind)


def test_what_was_edited_on_one_side_or_on_both_differs_but_not_the_same_edit():
    here = at(ONE, changed("same"), changed("ours"), changed("both", state=A))
    there = at(ONE, changed("same"), changed("theirs", What.DELETED, NOTHING), changed("both", state=C))

    expected = [
        Difference("both", What.MODIFIED, What.MODIFIED),
        Difference("ours", What.MODIFIED, None),
        Difference("theirs", None, What.DELETED),
    ]
    assert expected == differences(here, there)


@pytest.mark.parametrize(
    ("here", "there", "what"),
    [
        (NOTHING, A, What.ADDED),
        (A, NOTHING, What.DELETED),
        (A, B, What.MODIFIED),
        (A, A_RUNS, What.MODE),
        (A_RUNS, A, What.MODE),
        (A, LINK, What.TYPE),
        (LINK, B, What.TYPE),
    ],
)
def test_how_a_file_of_a_tree_differs(here, there, what):
    assert [Difference("f", None, what)] == compared({"f": here}, {"f": there})


def test_who_has_edited_is_told_by_what_both_had():
    base = dict.fromkeys(("ours", "theirs", "both", "gone"), A.word)
    here = {"ours": B, "theirs": A, "both": B, "new": C, "gone": A}
    there = {"ours": A, "theirs": B, "both": C, "strange": C}

    found, unclear = edited(base, here, there)

    expected = [
        Difference("both", What.MODIFIED, What.MODIFIED),
        Difference("gone", None, What.DELETED),
        Difference("new", What.ADDED, None),
        Difference("ours", What.MODIFIED, None),
        Difference("strange", None, What.ADDED),
        Difference("theirs", None, What.MODIFIED),
    ]
    assert (expected, []) == (found, unclear)


def test_of_what_both_never_had_nobody_can_tell():
    assert ["f"] == edited({}, {"f": A}, {"f": B})[1]


# ------------------------------------------------------------------------------------------------ what may be pushed


def seen(**states):
    return {"seen": states}


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        ([], {}, []),
        ([changed("f")], seen(f=A), [Change(name="f", before=A.word, after=B.word)]),
        ([changed("f", What.ADDED)], seen(), [Change(name="f", before="", after=B.word)]),
        ([changed("f", What.DELETED, NOTHING)], seen(f=A), [Change(name="f", before=A.word, after="")]),
        ([changed("f", What.MODE, A_RUNS)], seen(f=A), [Change(name="f", before=A.word, after=A_RUNS.word)]),
        ([changed("f")], seen(f=B), []),
    ],
)
def test_edits_made_here_alone_are_pushed_over_what_was_seen(here, there, expected):
    assert expected == push_of_checkout(at(ONE, *here), at(ONE, **there), Relation.SAME)


@pytest.mark.parametrize(
    ("here", "there", "relation", "reason"),
    [
        (at(ONE, changed("f")), at(ONE, changed("f", state=C), **seen(f=C)), Relation.SAME, "RemoteChanged"),
        (at(ONE, changed("f", What.ADDED)), at(ONE, **seen(f=C)), Relation.SAME, "RemoteChanged"),
        (at(ONE, changed("f")), at(OTHER), Relation.AHEAD, "CommitsDiffer"),
        (at(ONE, changed("f")), at(OTHER), Relation.BEHIND, "CommitsDiffer"),
        (at(ONE, changed("f")), at(OTHER), Relation.DIVERGED, "CommitsDiffer"),
        (at(ONE, changed("f")), at(OTHER), Relation.UNKNOWN, "CommitsDiffer"),
        (at(ONE, changed("f")), at(None), Relation.UNKNOWN, "CommitsDiffer"),
        (at(ONE, changed("f"), operation="merge"), at(ONE), Relation.SAME, "CommitsDiffer"),
        (at(ONE, changed("f")), at(ONE, operation="merge"), Relation.SAME, "CommitsDiffer"),
        (at(ONE, changed("f"), changed_more=1), at(ONE), Relation.SAME, "TooManyDifferences"),
        (at(ONE, changed("f", What.CONFLICTED)), at(ONE), Relation.SAME, "UnfitFile"),
        (at(ONE, changed("f", What.HIDDEN)), at(ONE), Relation.SAME, "UnfitFile"),
        (at(ONE, *(changed(str(n)) for n in range(FILES_MAX + 1))), at(ONE), Relation.SAME, "TooManyDifferences"),
        (at(ONE, changed("f", state=State("-", "b" * 64, 1 << 40))), at(ONE), Relation.SAME, "TooManyDifferences"),
    ],
)
def test_whatever_speaks_against_a_push_refuses_all_of_it(here, there, relation, reason):
    with pytest.raises(Refused) as refused:
        push_of_checkout(here, there, relation)

    assert reason == refused.value.reason


def test_of_two_trees_what_was_edited_here_alone_is_pushed():
    here = Tree(path="/h", hash="", files={"f": B, "same": A})
    there = Tree(path="/t", hash="", files={"f": A, "same": A, "theirs": C})

    assert [Change(name="f", before=A.word, after=B.word)] == push_of_tree(here, there, {"f": A.word, "same": A.word})


@pytest.mark.parametrize("base", [{}, {"f": C.word}])
def test_a_tree_that_was_edited_there_or_may_have_been_is_not_written_to(base):
    here, there = Tree(path="/h", hash="", files={"f": B}), Tree(path="/t", hash="", files={"f": A})
    with pytest.raises(Refused):
        push_of_tree(here, there, base)


def test_what_is_pulled_are_edits_there_and_untracked_configuration():
    there = at(ONE, changed("train.py"), changed("old", What.DELETED, NOTHING), changed("h", What.HIDDEN))
    there = Checkout(**{**_fields(there), "untracked": ("a.yaml", "b.txt"), "seen": {"a.yaml": C}})

    assert [("a.yaml", C), ("old", NOTHING), ("train.py", B)] == to_pull(there)


def _fields(checkout):
    return {name: getattr(checkout, name) for name in checkout.__slots__}
