"""A push that is killed, cut or raced: each file is as it was or as it shall be, and the next push finishes.

The agent there is killed at each of its named points; another test of the points leaves these to this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from crash_points import PUSHERS_OWN, of_the_source
from project_lab import FILES, PROJECT, SOURCE, ProjectLab, git, write

from reconciler.agent import sync, tree
from reconciler.agent.shapes import Refusal

AFTER = {  # who must have died before, and whether two names can be exchanged in one step
    "push.tidied": ("push.exchanged", True),
    "push.replaced": ("", False),
}
POINTS = [point.name for point in of_the_source() if point.name.startswith(PUSHERS_OWN)]
WANTED = {**FILES, "train.py": "print(2)\n", "conf/model.yaml": "lr: 0.3\n", "pkg/new.py": "new\n"}
del WANTED["old.txt"]

# As an agent would be, on a system that cannot exchange two names.
PLAIN = """
import json, os, sys
from reconciler.agent import crash, sync
crash.arm(os.environ)
folder, push, head, changes = json.loads(sys.argv[1])
sync.apply(folder, push, head, [sync.change_of(each, n) for n, each in enumerate(changes)], lambda one, other: False)
"""


@pytest.fixture
def lab(tmp_path):
    lab = ProjectLab(tmp_path, git=True)
    for name in WANTED:
        write(lab.here, name, WANTED[name])
    git(lab.here, "add", "pkg/new.py")
    (lab.here / "old.txt").unlink()
    return lab


def armed(lab, point):
    """The environment in which whoever comes to this point dies."""
    token = lab.folder / f"token-{point}"
    token.touch()
    return {**os.environ, "RECONCILER_CRASH_AT": point, "RECONCILER_CRASH_TOKEN": str(token)}


def push(lab, environment=None):
    """Its exit code, and what it said."""
    words = ["--config", str(lab.config), "project", "push", PROJECT, "--source", SOURCE, "-o", "json"]
    argv = [sys.executable, "-m", "reconciler.cli", *words]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=50)
    return done.returncode, done.stdout + done.stderr


def plain_push(lab, environment):
    """The same push, where two names cannot be exchanged."""
    changes = []
    for name in {**FILES, **WANTED}:
        before, after = (word(tree.seen(str(folder), name)) for folder in (lab.there, lab.here))
        if before != after:
            changes.append({"name": name, "before": before, "after": after})
        if after and before != after:
            sync.stage(str(lab.there), "p", after[1:], 0, (lab.here / name).read_bytes())
    argument = json.dumps([str(lab.there), "p", lab.commit, changes])
    return subprocess.run([sys.executable, "-c", PLAIN, argument], env=environment, check=False).returncode


def word(seen):
    return f"{seen['kind']}{seen['sha']}"


def kept(lab) -> Iterator[str]:
    """Every text that lies anywhere in the folder there, backups and all."""
    for path in lab.there.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            yield path.read_text()


def wrong(lab):
    """Files there that are neither as they were nor as they shall be, and old texts that are nowhere any more."""
    files = lab.files(lab.there)
    odd = [name for name in files if files[name] not in (FILES.get(name), WANTED.get(name))]
    return odd + [text for text in FILES.values() if text not in set(kept(lab))]


@pytest.mark.parametrize("point", POINTS)
def test_a_push_that_is_killed_anywhere_loses_nothing_and_the_next_one_finishes(lab, point):
    before, can_exchange = AFTER.get(point, ("", True))
    if before:
        push(lab, armed(lab, before))
    if can_exchange:
        code, _ = push(lab, armed(lab, point))
        assert 1 == code or point == "push.done"
    else:
        assert 0 != plain_push(lab, armed(lab, point))
    assert not (lab.folder / f"token-{point}").exists(), "nobody came there"
    assert [] == wrong(lab)

    code, told = push(lab)

    assert (0, WANTED) == (code, lab.files(lab.there)), told
    assert {name: FILES[name] for name in ("train.py", "conf/model.yaml", "old.txt")} == lab.backups()
    assert not (lab.there / ".reconciler/journal.json").exists()


@pytest.mark.parametrize("name", ["train.py", "old.txt", "pkg/new.py"])
def test_an_edit_made_between_the_kill_and_the_next_push_is_left_alone(lab, name):
    """Of what was to be replaced, removed and added."""
    push(lab, armed(lab, "push.begun"))
    write(lab.there, name, "theirs\n")

    code, told = push(lab)

    assert (1, "theirs\n") == (code, lab.files(lab.there).get(name))
    assert "RemoteChanged" in told
    assert WANTED["conf/model.yaml"] == (lab.there / "conf/model.yaml").read_text()


# ------------------------------------------------------------------------------------------------ races


def one_change(lab, before=None):
    """A push of train.py alone, as the agent is asked for it."""
    sha = tree.seen(str(lab.here), "train.py")["sha"]
    sync.stage(str(lab.there), "p", sha, 0, (lab.here / "train.py").read_bytes())
    before = before or word(tree.seen(str(lab.there), "train.py"))
    return [sync.change_of({"name": "train.py", "before": before, "after": f"-{sha}"}, 0)]


def test_a_file_that_changed_since_it_was_looked_at_refuses_everything(lab):
    changes = one_change(lab)
    write(lab.there, "train.py", "print('theirs')\n")

    with pytest.raises(Refusal, match=r"changed there since it was looked at: train\.py"):
        sync.apply(str(lab.there), "p", lab.commit, changes)

    assert "print('theirs')\n" == (lab.there / "train.py").read_text()


def test_an_edit_in_the_very_last_moment_is_put_back(lab):
    """Somebody saves the file between the last look and the exchange."""
    changes = one_change(lab)

    def late(one, other):
        if (lab.there / "train.py").read_text() == FILES["train.py"]:
            write(lab.there, "saved", "print('theirs')\n")
            (lab.there / "saved").rename(lab.there / "train.py")
        return sync.exchange(one, other)

    told = sync.apply(str(lab.there), "p", lab.commit, changes, late)

    assert ["train.py"] == told["left"]
    assert "print('theirs')\n" == (lab.there / "train.py").read_text()


def test_two_pushes_at_once_take_turns(lab):
    changes = one_change(lab)
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    lock = str(lab.there / ".reconciler/lock")
    with subprocess.Popen(
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        other.stdout.readline()
        with pytest.raises(Refusal, match="another push is at work"):
            sync.apply(str(lab.there), "p", lab.commit, changes)
        other.communicate("\n")

    assert [] == sync.apply(str(lab.there), "p", lab.commit, changes)["left"]


def test_what_did_not_arrive_whole_is_not_written(lab):
    changes = one_change(lab)
    sync.stage(str(lab.there), "p", changes[0].sha, 3, b"?")

    with pytest.raises(Refusal, match="did not arrive whole"):
        sync.apply(str(lab.there), "p", lab.commit, changes)

    assert FILES == lab.files(lab.there)


@pytest.mark.parametrize("name", ["../out", "/etc/x", ".git/config", ".reconciler/lock", "a/../../out", "link/x", ""])
def test_no_name_leads_out_of_the_folder(lab, name):
    (lab.there / "link").symlink_to(lab.folder)
    sha = one_change(lab)[0].sha

    with pytest.raises(Refusal):
        sync.apply(str(lab.there), "p", "", [sync.change_of({"name": name, "before": "", "after": f"-{sha}"}, 0)])

    assert ["here", "reconciler.yaml", "state", "there"] == sorted(path.name for path in lab.folder.iterdir())


def test_what_was_staged_and_never_used_goes_after_a_day(lab):
    one_change(lab)
    staging = lab.there / ".reconciler/staging"
    os.utime(staging / "p", (time.time() - 2 * 86400,) * 2)
    sync.stage(str(lab.there), "q", "0" * 64, 0, b"x")

    assert ["q"] == [path.name for path in staging.iterdir()]


def test_of_many_backups_the_oldest_go(lab):
    backups = lab.there / ".reconciler/backups"
    for number in range(sync.KEPT + 5):
        (backups / f"b{number:02}").mkdir(parents=True)
        at = time.time() - sync.KEPT_S - number * 86400
        os.utime(backups / f"b{number:02}", (at, at))
    os.utime(backups / "b22")
    sync.apply(str(lab.there), "p", lab.commit, one_change(lab))

    expected = ["b22", "p", *(f"b{number:02}" for number in range(sync.KEPT - 2))]
    assert sorted(expected) == sorted(path.name for path in backups.iterdir())
