"""Bad manifests: each is told with its place, a reason and a hint, and harms no other sweep."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.manifests import Broken, load_all

HEAD = "apiVersion: reconciler/v1alpha1\nkind: Sweep\nmetadata: {name: NAME}\nspec:\n"
AXIS = "{range: {start: 0, stop: 1000, step: 1}}"
BOMB = HEAD + "  command: [\"true\"]\n  parameters:\n    a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"    {name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)  # fmt: skip
BAD = {
    "bomb": (BOMB, 7, 8, "Anchor", "anchors are not allowed", "write the value out where it is used"),
    "duplicate": (
        HEAD + "  command: [a]\n  command: [b]\n",
        6, 3, "DuplicateKey", "the key `command` stands at 5:3 already", "Remove one of them.",
    ),
    "huge": (
        HEAD + f"  command: [a]\n  parameters: {{a: {AXIS}, b: {AXIS}, c: {AXIS}}}\n",
        6, 15, "TooManyTasks", "1000000000 tasks are more than a sweep may have (100000)",
        "counted before `exclude`; the operator can raise limits.maxTasksPerSweep",
    ),
    "unknown": (HEAD + "  comand: [a]\n", 5, 3, "UnknownField", "unknown field `comand`", "did you mean `command`?"),
    "unequal": (
        HEAD + "  command: [a]\n  parameters: {a: [1, 2], b: [1, 2, 3]}\n  zip: [[a, b]]\n",
        7, 9, "UnequalLengths", "a has 2, b has 3", "Give them as many values as each other.",
    ),
    "symlink": (None, None, None, "SymlinkRefused", "symlink", ""),
    "module": (None, None, None, "SubmoduleRefused", "submodule", ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def errors(shared: Any) -> dict[str, dict[str, Any]]:
    """What `plan` tells of each bad file, after the daemon has seen them all beside good ones."""
    folder = shared.repository / "sweeps.d"
    folder.mkdir()
    for name, (text, *_) in BAD.items():
        if text is not None:
            (folder / f"{name}.yaml").write_text(text.replace("NAME", name))
    (shared.repository / "elsewhere.yaml").write_text(HEAD.replace("NAME", "elsewhere") + "  command: [a]\n")
    os.symlink("../elsewhere.yaml", folder / "symlink.yaml")
    shared.git("init", "--quiet", str(folder / "module.yaml"))
    shared.git("-C", str(folder / "module.yaml"), "commit", "--quiet", "--allow-empty", "--message", "inside")
    shared.commit(good=shared.manifest("good", "{x: [1, 2]}"))
    shared.wait(lambda: "good" in {sweep["name"] for sweep in shared.status()["sweeps"]})
    done = shared.run("plan", "-o", "json")
    assert 1 == done.returncode, done
    assert "Traceback" not in done.stderr
    told = json.loads(done.stdout)["errors"]
    return {Path(error["file"]).stem: error for error in reversed(told)}  # the first of each file


def test_the_good_sweep_beside_them_runs(shared: Any, errors: dict[str, dict[str, Any]]) -> None:
    shared.succeeded("good", 2)

    assert set(BAD) == set(errors)
    assert ["good"] == [sweep["name"] for sweep in shared.status()["sweeps"]]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_manifest_is_told_with_place_reason_and_hint(errors: dict[str, dict[str, Any]], name: str) -> None:
    _, line, column, reason, message, hint = BAD[name]
    error = errors[name]

    assert (line, column, reason) == (error["line"], error["column"], error["reason"])
    assert message in error["message"]
    assert hint in error["hint"]
    assert error["hint"]


def test_people_see_them_in_the_status(shared: Any, errors: dict[str, dict[str, Any]]) -> None:
    told = shared.run("status").stdout

    assert set(BAD) == {name for name in BAD if f"{name}.yaml" in told}
    assert "sweeps.d/unknown.yaml:5:3: unknown field `comand` [UnknownField]" in told


def test_validate_tells_them_on_stderr_as_compilers_do(shared: Any, errors: dict[str, dict[str, Any]]) -> None:
    done = shared.run("validate", str(shared.repository / "sweeps.d/unknown.yaml"))

    expected = ["sweeps.d/unknown.yaml:5:3: unknown field `comand` [UnknownField]", "hint: did you mean `command`?"]
    assert (1, expected) == (done.returncode, done.stderr.replace(f"{shared.repository}/", "").splitlines()[:2])


@pytest.mark.parametrize("name", ["bomb", "huge"])
def test_what_is_too_large_is_refused_before_it_is_expanded(name: str) -> None:
    text = str(BAD[name][0]).replace("NAME", name).encode()
    took = []
    for _ in range(5):
        began = time.perf_counter()
        (loaded,) = load_all(text, file="x.yaml", read=lambda path: b"")
        took.append(time.perf_counter() - began)
        assert isinstance(loaded, Broken)

    assert min(took) < 0.05
