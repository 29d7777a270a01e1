"""Writing manifests: a first one, checking them, and seeing what they would run. None of it needs a configuration."""

from __future__ import annotations

import json
import subprocess

import pytest
from cli_lab import LR
from git_repository import GitRepository

from reconciler.cli.__main__ import execute

TWO = LR + "---\n" + LR.replace("name: lr", "name: other")


@pytest.fixture
def ask(capsys, tmp_path, monkeypatch):
    """Run a command line in an empty folder; gives its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = execute(list(map(str, words)))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def manifest(tmp_path):
    """Write a manifest and give its path."""

    def write(text=LR, name="lr.yaml"):
        (tmp_path / name).write_text(text)
        return name

    return write


# ------------------------------------------------------------------------------------------------ init


def test_the_first_manifest_is_valid_and_runs_at_once(ask, tmp_path):
    GitRepository(tmp_path / "mine")
    code, out, _ = ask("init", "mine")
    assert (0, "wrote mine/sweeps.d/hello.yaml") == (code, out.splitlines()[0])
    assert ask("validate", "mine/sweeps.d") == (0, "mine/sweeps.d/hello.yaml: hello: 6 tasks\n", "")
    points = json.loads(ask("expand", "mine/sweeps.d/hello.yaml", "-o", "json")[1])["points"]
    done = subprocess.run(points[0]["argv"], env={"RECONCILER_OUTPUT": str(tmp_path)}, capture_output=True, check=True)
    assert done.stdout == b"hello, world!\n"
    assert (tmp_path / "greeting.txt").read_text() == "hello, world!\n"


def test_the_schema_that_the_first_manifest_names_lies_there(ask, tmp_path):
    GitRepository(tmp_path / "mine")
    ask("init", "mine")
    first = (tmp_path / "mine/sweeps.d/hello.yaml").read_text().splitlines()[0]
    assert (tmp_path / "mine/sweeps.d" / first.split("=")[1]).resolve().exists()


def test_init_overwrites_nothing(ask, tmp_path):
    GitRepository(tmp_path / "mine")
    ask("init", "mine")
    path = tmp_path / "mine/sweeps.d/hello.yaml"
    path.write_text("mine")
    code, _, err = ask("init", "mine")
    expected = "reconciler: mine/sweeps.d/hello.yaml is there already [FileExists]\nhint: it is left as it is\n"
    assert (64, expected, "mine") == (code, err, path.read_text())


def test_init_makes_a_repository_only_when_asked(ask, tmp_path):
    (tmp_path / "bare").mkdir()
    code, _, err = ask("init", "bare")
    assert (64, True) == (code, "hint: run `git init bare`, or give --git to have it done" in err)
    assert list((tmp_path / "bare").iterdir()) == []
    assert ask("init", "bare", "--git")[0] == 0
    assert (tmp_path / "bare/.git").is_dir()


def test_init_in_a_folder_that_is_not_there_says_how_to_make_it(ask, tmp_path):
    code, _, err = ask("init", "new")
    assert (64, True) == (code, "hint: --git makes it" in err)
    assert ask("init", "new", "--git")[0] == 0


# ------------------------------------------------------------------------------------------------ validate


def test_a_good_manifest_tells_how_many_tasks_it_has(ask, manifest):
    assert ask("validate", manifest()) == (0, "lr.yaml: lr: 3 tasks\n", "")


def test_each_error_has_a_place_a_reason_and_a_hint(ask, manifest):
    name = manifest(LR.replace("retry:", "retyr:"))
    code, out, err = ask("validate", name)
    assert (code, out) == (1, "")
    place, hint = err.splitlines()
    assert place.startswith("lr.yaml:8:3: ")
    assert place.endswith("]")
    assert (hint.startswith("hint: "), "retry" in hint) == (True, True)


def test_a_folder_is_searched_for_manifests(ask, manifest, tmp_path):
    (tmp_path / "d/e").mkdir(parents=True)
    manifest(name="d/a.yaml")
    manifest(LR.replace("name: lr", "name: b"), name="d/e/b.yml")
    (tmp_path / "d/README.md").write_text("no manifest")
    assert ask("validate", "d") == (0, "d/a.yaml: lr: 3 tasks\nd/e/b.yml: b: 3 tasks\n", "")


def test_one_bad_file_does_not_hide_the_good_ones(ask, manifest):
    manifest("kind: Swep\n", name="bad.yaml")
    code, out, err = ask("validate", "bad.yaml", manifest())
    assert (code, out) == (1, "lr.yaml: lr: 3 tasks\n")
    assert err.startswith("bad.yaml:")


def test_validate_as_json(ask, manifest):
    manifest(LR.replace("retry:", "retyr:"), name="bad.yaml")
    code, out, _ = ask("validate", manifest(), "bad.yaml", "-o", "json")
    told = json.loads(out)
    assert (code, list(told), told["valid"]) == (1, ["valid", "files"], False)
    good, bad = told["files"]
    assert good == {"file": "lr.yaml", "sweeps": [{"name": "lr", "tasks": 3, "warnings": []}], "errors": []}
    assert list(bad["errors"][0]) == ["file", "line", "column", "reason", "message", "hint"]
    assert (bad["errors"][0]["file"], bad["errors"][0]["line"]) == ("bad.yaml", 8)


def test_a_table_of_points_is_read_beside_its_manifest(ask, manifest, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/points.csv").write_text("lr,seed\n0.1,1\n0.2,2\n")
    text = LR.replace("  parameters:\n    lr: [0.1, 0.01, 0.001]\n", "  points: {file: points.csv}\n")
    assert ask("validate", manifest(text, name="d/lr.yaml")) == (0, "d/lr.yaml: lr: 2 tasks\n", "")


@pytest.mark.parametrize(("words", "reason"), [(("nowhere",), "FileNotFound"), ((".",), "NoManifests")])
def test_nothing_to_validate_is_wrong_usage(ask, words, reason):
    code, _, err = ask("validate", *words)
    assert (64, True) == (code, f"[{reason}]" in err)


def test_bytes_that_are_no_text_are_an_error_with_a_place(ask, tmp_path):
    (tmp_path / "odd.yaml").write_bytes(b"\xff\xfe\x00\x80")
    code, _, err = ask("validate", "odd.yaml")
    assert code == 1
    assert err.startswith("odd.yaml")


# ------------------------------------------------------------------------------------------------ expand


def test_expand_as_json_has_exactly_the_promised_keys(ask, manifest):
    code, out, _ = ask("expand", manifest(), "-o", "json")
    told = json.loads(out)
    assert (code, set(told), told["sweep"], told["count"]) == (0, {"sweep", "count", "points"}, "lr", 3)
    assert told["points"][0] == {
        "task": told["points"][0]["task"], "replicate": 0, "parameters": {"lr": 0.1},
        "argv": ["python", "train.py", "lr=0.1"],
    }  # fmt: skip


def test_a_limit_shortens_the_points_and_not_the_count(ask, manifest):
    told = json.loads(ask("expand", manifest(), "-o", "json", "--limit", "1")[1])
    assert (len(told["points"]), told["count"]) == (1, 3)


def test_expand_as_a_table(ask, manifest):
    name = manifest()
    first = json.loads(ask("expand", name, "-o", "json")[1])["points"][0]["task"]
    expected = f"""\
TASK        PARAMETERS  COMMAND
{first}  lr=0.1      python train.py lr=0.1
… and 2 more; `--limit` shows more, `-o json` all
"""
    assert ask("expand", name, "--limit", "1") == (0, expected, "")


def test_expand_counts(ask, manifest):
    assert ask("expand", manifest(), "--count") == (0, "3\n", "")
    assert json.loads(ask("expand", manifest(), "--count", "-o", "json")[1]) == {"sweep": "lr", "count": 3}


def test_folders_that_only_the_source_knows_are_shown_as_written(ask, manifest):
    name = manifest(LR.replace('"lr=$(lr)"', "$(output), $(checkpoint)"))
    assert json.loads(ask("expand", name, "-o", "json")[1])["points"][0]["argv"][2:] == ["$(output)", "$(checkpoint)"]


def test_of_several_sweeps_one_must_be_chosen(ask, manifest):
    name = manifest(TWO)
    code, _, err = ask("expand", name)
    assert (64, True) == (code, err.endswith("hint: choose one with --sweep NAME\n"))
    assert ask("expand", name, "--sweep", "other", "--count") == (0, "3\n", "")
    assert ask("expand", name, "--sweep", "third")[0] == 64


def test_expand_of_a_broken_manifest_tells_its_errors(ask, manifest):
    code, out, err = ask("expand", manifest("kind: Sweep\n"))
    assert (code, out) == (1, "")
    assert err.startswith("lr.yaml:")


@pytest.mark.parametrize("name", ["nowhere.yaml", "."])
def test_expand_of_no_file_is_wrong_usage(ask, name):
    code, _, err = ask("expand", name)
    assert (64, True) == (code, "[FileNotFound]" in err)
