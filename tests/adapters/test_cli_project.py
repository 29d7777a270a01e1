"""`reconciler project`: what differs between the code here and on a source, and edits brought across, safely."""

from __future__ import annotations

import asyncio
import json
import subprocess

import pytest
from project_lab import FILES, PROJECT, SOURCE, ProjectLab, git, write

from reconciler.cli.__main__ import execute
from reconciler.core.model import InstanceId
from reconciler.links.local import LocalLink
from reconciler.source import forget


@pytest.fixture
def lab(tmp_path):
    return ProjectLab(tmp_path, git=True)


@pytest.fixture
def trees(tmp_path):
    return ProjectLab(tmp_path, git=False)


@pytest.fixture
def ask(capsys):
    """Run a command of `project`; gives its exit code, and what it printed."""

    def run(lab, verb, *words):
        code = execute(["--config", str(lab.config), "project", verb, PROJECT, "--source", SOURCE, *words])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


@pytest.fixture
def told(ask):
    """The same, as JSON."""

    def run(lab, verb, *words):
        code, out = ask(lab, verb, *words, "-o", "json")
        return code, json.loads(out)

    return run


def differences(answer):
    return [(each["name"], each["here"], each["there"]) for each in answer["differences"]]


# ------------------------------------------------------------------------------------------------ status and diff


def test_two_clean_checkouts_of_one_commit_are_in_sync(lab, told):
    code, answer = told(lab, "status")

    assert (0, True, "same", []) == (code, answer["inSync"], answer["relation"], answer["differences"])


def test_each_difference_is_named_with_its_side_and_configuration_comes_first(lab, told):
    write(lab.here, "train.py", "print(2)\n")
    (lab.there / "old.txt").unlink()
    write(lab.there, "conf/model.yaml", "lr: 0.2\n")
    write(lab.there, "notes.txt", "")

    code, answer = told(lab, "status")

    expected = [("conf/model.yaml", None, "modified"), ("old.txt", None, "deleted"), ("train.py", "modified", None)]
    assert (2, expected) == (code, differences(answer))
    assert [True, False, False] == [each["configuration"] for each in answer["differences"]]
    assert ["notes.txt"] == answer["there"]["untracked"]


def test_the_same_edit_on_both_sides_is_no_difference(lab, told):
    for folder in (lab.here, lab.there):
        write(folder, "train.py", "print(2)\n")

    assert (0, []) == (lambda code, answer: (code, answer["differences"]))(*told(lab, "status"))


def commit(folder, name):
    write(folder, name, "new\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "more")


@pytest.mark.parametrize(
    ("here", "there", "fetch", "expected"),
    [
        (1, 0, False, ("behind", 0, 1)),
        (0, 1, False, ("ahead", 1, 0)),
        (0, 2, True, ("ahead", 2, 0)),
        (1, 1, True, ("diverged", 1, 1)),
        (1, 1, False, ("unknown", None, None)),
    ],
)
def test_commits_are_compared_by_whichever_end_knows_both(lab, told, here, there, fetch, expected):
    for number in range(here):
        commit(lab.here, f"here{number}")
    for number in range(there):
        commit(lab.there, f"there{number}")
    if fetch:
        git(lab.here, "fetch", "-q", str(lab.there))

    code, answer = told(lab, "status")

    assert (2, *expected) == (code, answer["relation"], answer["ahead"], answer["behind"])


def test_people_are_told_the_same(lab, ask):
    write(lab.there, "conf/model.yaml", "lr: 0.2\n")

    code, out = ask(lab, "status")

    assert 2 == code
    assert "conf/model.yaml        modified" in out
    assert f"{PROJECT} on {SOURCE} is not in sync" in out


def test_the_lines_that_differ_are_shown(lab, ask):
    write(lab.there, "conf/model.yaml", "lr: 0.2\nepochs: 3\n")

    code, out = ask(lab, "diff")

    lines = ["--- here/conf/model.yaml", f"+++ {SOURCE}/conf/model.yaml", "@@ -1,2 +1,2 @@"]
    assert (2, [*lines, "-lr: 0.1", "+lr: 0.2", " epochs: 3"]) == (code, out.splitlines())


async def test_a_daemon_that_rules_the_source_is_not_disturbed(lab):
    """Every command is a visit: it wins no epoch, and the daemon's next order is obeyed."""
    link, root = LocalLink(), str(lab.folder / "root")
    daemon = await link.open(instance=InstanceId("aaaa"), root=root, slots=1, gpus=())
    write(lab.here, "train.py", "print(2)\n")
    for verb in ("status", "push", "pull"):
        command = ["--config", str(lab.config), "project", verb, PROJECT, "--source", SOURCE]
        await asyncio.to_thread(execute, command)
    try:
        await daemon.ask(forget([]).request)
        assert [str(daemon.hello.epoch)] == sorted(path.name for path in (lab.folder / "root/epoch").iterdir())
    finally:
        await daemon.aclose()


def test_a_source_that_was_never_used_is_left_as_it_is(lab, told):
    told(lab, "status")

    assert not (lab.folder / "root").exists()


@pytest.fixture
def remote(lab):
    """The same project, whose url is no folder of this machine."""
    told = json.loads(lab.config.read_text())
    told["projects"][PROJECT]["url"] = "ssh://nowhere/mnist.git"
    lab.config.write_text(json.dumps(told))
    return lab


def test_without_a_folder_here_what_is_uncommitted_there_is_told(remote, told):
    write(remote.there, "conf/model.yaml", "lr: 0.2\n")

    code, answer = told(remote, "status")

    assert (2, None, [("conf/model.yaml", None, "modified")]) == (code, answer["here"], differences(answer))


def test_without_a_folder_here_one_has_to_be_named(remote, ask, told):
    write(remote.here, "train.py", "print(2)\n")

    refused = ask(remote, "push")
    done = told(remote, "push", "--from", str(remote.here))

    assert (64, True) == (refused[0], "--from DIR" in refused[1])
    assert (0, "print(2)\n") == (done[0], (remote.there / "train.py").read_text())


# ------------------------------------------------------------------------------------------------ push


def test_edits_made_here_are_written_there_and_what_was_there_is_kept(lab, told):
    write(lab.here, "train.py", "print(2)\n")
    write(lab.here, "pkg/new.py", "new\n")
    git(lab.here, "add", "pkg/new.py")
    (lab.here / "old.txt").unlink()
    (lab.here / "run.sh").chmod(0o755)

    code, answer = told(lab, "push")

    assert (0, lab.files(lab.here)) == (code, lab.files(lab.there))
    assert (lab.there / "run.sh").stat().st_mode & 0o111 == 0o111
    assert {"train.py": "print(1)\n", "old.txt": "old\n", "run.sh": "#!/bin/sh\n"} == lab.backups()
    assert answer["backup"].startswith(str(lab.there / ".reconciler/backups"))


def test_after_a_push_there_is_nothing_to_push_and_git_does_not_see_our_folder(lab, told):
    write(lab.here, "train.py", "print(2)\n")
    told(lab, "push")

    code, answer = told(lab, "push")

    assert (0, [], None) == (code, answer["files"], answer["backup"])
    assert "M train.py" == git(lab.there, "status", "--porcelain")


def test_a_rehearsal_writes_nothing(lab, told):
    write(lab.here, "train.py", "print(2)\n")

    code, answer = told(lab, "push", "--dry-run")

    assert (2, [{"name": "train.py", "action": "write"}]) == (code, answer["files"])
    assert FILES == lab.files(lab.there)


def test_what_was_edited_there_too_is_never_overwritten_nor_anything_else(lab, ask):
    write(lab.here, "train.py", "print(2)\n")
    write(lab.here, "conf/model.yaml", "lr: 0.3\n")
    write(lab.there, "conf/model.yaml", "lr: 0.2\n")

    code, out = ask(lab, "push")

    assert 1 == code
    assert "edited there, too: conf/model.yaml [RemoteChanged]" in out
    assert {**FILES, "conf/model.yaml": "lr: 0.2\n"} == lab.files(lab.there)


def test_edits_there_of_other_files_stay(lab, told):
    write(lab.here, "train.py", "print(2)\n")
    write(lab.there, "conf/model.yaml", "lr: 0.2\n")

    code, _ = told(lab, "push")

    assert (0, {**FILES, "train.py": "print(2)\n", "conf/model.yaml": "lr: 0.2\n"}) == (code, lab.files(lab.there))


def test_an_untracked_file_there_is_not_overwritten_by_a_new_one(lab, ask):
    write(lab.here, "new.py", "here\n")
    git(lab.here, "add", "new.py")
    write(lab.there, "new.py", "there\n")

    code, out = ask(lab, "push")

    assert (1, "there\n") == (code, (lab.there / "new.py").read_text())
    assert "edited there, too: new.py" in out


@pytest.mark.parametrize("side", ["here", "there"])
def test_nothing_is_pushed_over_another_commit(lab, ask, side):
    commit(lab.folder / side, "more.py")
    write(lab.here, "train.py", "print(2)\n")

    code, out = ask(lab, "push")

    assert (1, "print(1)\n") == (code, (lab.there / "train.py").read_text())
    assert "[CommitsDiffer]" in out


def test_another_folder_here_may_be_named(lab, told):
    subprocess.run(["git", "clone", "-q", str(lab.here), str(lab.folder / "mine")], check=True)
    write(lab.folder / "mine", "train.py", "print(3)\n")

    code, _ = told(lab, "push", "--from", str(lab.folder / "mine"))

    assert (0, "print(3)\n") == (code, (lab.there / "train.py").read_text())


# ------------------------------------------------------------------------------------------------ pull


def test_edits_made_there_become_a_branch_and_no_file_here_changes(lab, told):
    write(lab.there, "conf/model.yaml", "lr: 0.2\n")
    write(lab.there, "conf/local.yaml", "gpu: 1\n")
    write(lab.there, "extra.json", "{}\n")
    (lab.there / "old.txt").unlink()
    before = lab.files(lab.here)

    code, answer = told(lab, "pull")

    changed = git(lab.here, "diff", "--name-status", "HEAD", answer["branch"]).splitlines()
    expected = ["A\tconf/local.yaml", "M\tconf/model.yaml", "A\textra.json", "D\told.txt"]
    assert (0, expected) == (code, changed)
    assert answer["branch"].startswith(f"reconciler/pull-{SOURCE}-")
    assert "lr: 0.2" == git(lab.here, "show", f"{answer['branch']}:conf/model.yaml")
    assert (before, "") == (lab.files(lab.here), git(lab.here, "status", "--porcelain"))


def test_edits_made_there_become_a_patch_that_applies(lab, told, tmp_path):
    write(lab.there, "conf/model.yaml", "lr: 0.2\n")
    (lab.there / "run.sh").chmod(0o755)

    code, answer = told(lab, "pull", "--patch", str(tmp_path / "edits.patch"))
    git(lab.here, "apply", str(tmp_path / "edits.patch"))

    assert (0, str(tmp_path / "edits.patch")) == (code, answer["patch"])
    assert "M conf/model.yaml\n M run.sh" == git(lab.here, "status", "--porcelain")
    assert lab.files(lab.there) == lab.files(lab.here)


def test_nothing_is_pulled_where_nothing_was_edited(lab, told):
    code, answer = told(lab, "pull")

    assert (0, [], None) == (code, answer["files"], answer["branch"])
    assert "" == git(lab.here, "branch", "--list", "reconciler/*")


def test_edits_of_a_commit_that_is_not_here_are_refused(lab, ask):
    commit(lab.there, "more.py")
    write(lab.there, "train.py", "print(2)\n")

    code, out = ask(lab, "pull")

    assert 1 == code
    assert "[CommitNotHere]" in out


# ------------------------------------------------------------------------------------------------ without git


def test_equal_folders_are_in_sync(trees, told):
    assert (0, True) == (lambda code, answer: (code, answer["inSync"]))(*told(trees, "status"))


def test_edits_of_a_folder_are_pushed_once_both_were_seen_equal(trees, told):
    told(trees, "status")
    write(trees.here, "train.py", "print(2)\n")
    (trees.here / "old.txt").unlink()
    write(trees.there, "conf/model.yaml", "lr: 0.2\n")

    code, _ = told(trees, "push")
    again, answer = told(trees, "status")

    expected = {**FILES, "train.py": "print(2)\n", "conf/model.yaml": "lr: 0.2\n"}
    del expected["old.txt"]
    assert (0, expected) == (code, trees.files(trees.there))
    assert (2, [("conf/model.yaml", None, "modified")]) == (again, differences(answer))


def test_of_folders_that_were_never_seen_equal_nobody_can_tell_who_edited(trees, ask):
    write(trees.there, "conf/model.yaml", "lr: 0.2\n")

    code, out = ask(trees, "push")

    assert 1 == code
    assert "nobody can tell on which side these were edited: conf/model.yaml [RemoteChanged]" in out


def test_where_nothing_can_be_remembered_folders_are_compared_all_the_same(trees, told, ask):
    (trees.folder / "state/sync").touch()
    assert 0 == told(trees, "status")[0]
    write(trees.here, "train.py", "print(2)\n")

    assert 2 == told(trees, "status")[0]
    assert 1 == ask(trees, "push")[0]


def test_edits_of_a_folder_become_a_patch(trees, told, tmp_path):
    told(trees, "status")
    write(trees.there, "conf/model.yaml", "lr: 0.2\n")
    write(trees.here, "train.py", "print(2)\n")
    trees_before = trees.files(trees.here)

    code, answer = told(trees, "pull", "--patch", str(tmp_path / "edits.patch"))

    assert (0, trees_before) == (code, trees.files(trees.here))
    assert [{"name": "conf/model.yaml", "action": "write"}] == answer["files"]
    subprocess.run(["git", "apply", str(tmp_path / "edits.patch")], cwd=trees.here, check=True)
    assert "lr: 0.2\n" == (trees.here / "conf/model.yaml").read_text()


# ------------------------------------------------------------------------------------------------ wrong questions


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("status", "nothing", "--source", SOURCE), "UnknownProject"),
        (("status", PROJECT, "--source", "nowhere"), "UnknownSource"),
        (("status", "self", "--source", SOURCE), "NothingToSync"),
    ],
)
def test_a_wrong_question_is_told_so(lab, capsys, words, reason):
    assert 64 == execute(["--config", str(lab.config), "project", *words])
    assert f"[{reason}]" in capsys.readouterr().err
