"""Manifests that people write, good and bad. What is said of a bad one is kept beside it, word for word."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from reconciler import documents, schema
from reconciler.core.command import OUTPUT_TOKEN, check, render
from reconciler.core.identity import task_id
from reconciler.core.model import FailureClass
from reconciler.core.parameters import count, expand
from reconciler.core.spec import Checkpoint, Constant, MaxFailures, Placement, RetryAction, RetryRule, Strategy, Values
from reconciler.manifests import Broken, InvalidManifest, Loaded, from_document, load, load_all, tables

FOLDER = Path(__file__).parent / "manifests"
GOOD = sorted(path for path in (FOLDER / "good").iterdir() if path.is_file())
BAD = sorted((FOLDER / "bad").glob("*.yaml"))
HEAD = "apiVersion: reconciler/v1alpha1\nkind: Sweep\nmetadata: {name: s}\n"


def nothing_beside(path):
    raise FileNotFoundError(2, "No such file or directory", path)


def load_file(path):
    return load_all(path.read_bytes(), file=path.name, read=lambda relative: (path.parent / relative).read_bytes())


def load_text(spec, read=nothing_beside, **limits):
    return load(f"{HEAD}spec: {spec}\n".encode(), file="s.yaml", read=read, **limits)


def errors_of(text, read=nothing_beside):
    (result,) = load_all(text, file="s.yaml", read=read)
    assert isinstance(result, Broken)
    return [str(error) for error in result.errors]


def told(results):
    """What a person reads of a file."""
    for result in results:
        if isinstance(result, Loaded):
            yield f"{result.spec.name}: good"
            continue
        yield f"{result.name or '?'}:"
        for error in result.errors:
            yield f"  {error}"
            if error.hint:
                yield f"      {error.hint}"


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_manifest_is_told_with_place_reason_and_hint(path):
    assert path.with_suffix(".txt").read_text().splitlines() == list(told(load_file(path)))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_manifest_comes_back_from_its_document(path):
    for loaded in load_file(path):
        assert isinstance(loaded, Loaded), list(told([loaded]))
        stored = json.loads(json.dumps(loaded.document))

        assert loaded.spec == from_document(stored)
        assert [] == schema.problems("sweep", stored)


EXPECTED = {
    "ci-matrix": (7, ("nox", "-s", "tests-3.10", "--", "ubuntu-22.04")),
    "conditional-grid": (40, ("optimizer=adam", "learning_rate=0.0001", "weight_decay=0.0005")),
    "equal-points": (3, ("lulesh2.0", "-s", "10", "-i", "10")),
    "gromacs-fep": (18, ("-maxh", "0.95")),
    "hydra-multirun": (24, ("+experiment=a", "model.optimizer.lr=0.1", "trainer.gpus=1", "model.hidden=[64]")),
    "job-array": (1000, ("bash", "-c", 'exec ./simulate "$0"', "0")),
    "lammps-melt": (60, ("-var", "y", "no", "-log", f"{OUTPUT_TOKEN}/log.lammps")),
    "nested-choice": (7, ("--layer", "Empty", "--lr", "0.15")),
    "paired-schedules": (18, ("seed=1", "lr=0.001", "optimizer=adam", "momentum=0.9", "batch_size=32")),
    "paramspace-table": (9, ("--alpha", "1", "--beta", "0.1", "--label", "low dose", "--rep", "0")),
    "random-search": (100, ("--layers=4", "--dropout=0.220289406243", "--init_scale=0.876806080373")),
    "repeated-grid": (40, ("--act", "relu", "--seed", "0", "--threads", "2")),
    "same": (18, ("echo", "1")),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sweep_of_the_field_has_the_tasks_that_it_means(name):
    (path,) = (path for path in GOOD if path.stem == name)
    (loaded,) = load_file(path)
    number, end_of_argv = EXPECTED[name]

    points = list(expand(loaded.spec))

    assert number == len(points) == len({point.task for point in points})
    assert end_of_argv == render(loaded.spec, points[0]).argv[-len(end_of_argv) :]
    assert [point.task for point in points] == [
        task_id(loaded.spec.name, point.parameters, point.replicate) for point in points
    ]
    assert [] == check(loaded.spec)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("y", "y"), ("1:30", "1:30"), ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"), ("1_000", "1_000"), ("0b11", "0b11"), ("1e", "1e"), ("0x", "0x"), ("nan", "nan"),
        ("true", True), ("False", False), ("tRue", "tRue"), ("null", None), ("~", None), ("", None), ("nil", "nil"),
        ("010", 10), ("+1", 1), ("-0", 0), ("0o17", 15), ("0x1F", 31), ("1e3", 1000.0), ("1e-3", 0.001), (".5", 0.5),
        ("5.", 5.0), ("-1.5E+2", -150.0), ("1.0", 1.0), ("18446744073709551616", 18446744073709551616), ("-", "-"),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text, expected):
    (document,) = (
        documents.parse(f"a: {text}\n".encode(), file="f") if text != "-" else documents.parse(b"a: '-'", file="f")
    )

    assert repr({"a": expected}) == repr(document.value)


@pytest.mark.parametrize("text", ["'1'", '"true"', "'~'", "|-\n  1"])
def test_quoted_scalars_are_text(text):
    (document,) = documents.parse(f"a: {text}\n".encode(), file="f")

    assert isinstance(document.value["a"], str)


def test_a_value_that_may_not_be_meant_is_pointed_at():
    loaded = load_text('{command: [x], parameters: {subject: [007, 008], "on": [yes]}, exclude: [{subject: "7"}]}')

    assert [
        "s.yaml:4:45: 007 is the number 7; quote it to keep the zeros [Scalar]",
        "s.yaml:4:50: 008 is the number 8; quote it to keep the zeros [Scalar]",
        's.yaml:4:63: yes is the text "yes" (YAML 1.2); write true or false for a boolean [Scalar]',
        "s.yaml:4:90: WHAT [ExcludesNothing]; the axis has 7, which is another value".replace(
            "WHAT", 'no point has subject = "7": this entry excludes nothing'
        ),
    ] == list(loaded.warnings)


def test_fields_without_effect_are_no_silent_promise():
    loaded = load_text("{command: [x], results: {collect: [a]}, schedulerOptions: {pbs: {queue: gpu}}, samples: 3}")

    assert ["[NoEffect]"] * 3 == [warning.split()[-1][-10:] for warning in loaded.warnings]


def test_what_a_task_hears_before_its_time_ends_is_understood():
    spec = load_text("{command: [x], resources: {walltime: 1h}, checkpoint: {before: 5m}}").spec
    later = load_text('{command: [x], resources: {walltime: "$(w)"}, parameters: {w: 1h}, checkpoint: {before: 5m}}')

    assert Checkpoint(signal="USR1", before_s=300, grace_s=10.0) == spec.checkpoint
    assert Checkpoint(before_s=300) == later.spec.checkpoint
    assert Checkpoint(grace_s=90.0) == load_text("{command: [x], checkpoint: {grace: 90s}}").spec.checkpoint


def test_policies_are_understood():
    spec = load_text(
        "{command: [x, 1], maxFailures: 12.5%, placement: {sources: {matchLabels: {gpu: a100}}, strategy: RoundRobin},"
        " retry: {limit: 2, rules: [{class: OutOfMemory, action: Retry, scale: {memory: 2, walltime: 1.5},"
        " max: {memory: 64Gi, walltime: 1h, cpus: 4}}, {class: [Lost, Quota], action: Fail, count: false}]}}"
    ).spec

    assert ("x", "1") == spec.command
    assert MaxFailures(percent=12.5) == spec.max_failures
    assert Placement(match_labels={"gpu": "a100"}, strategy=Strategy.ROUND_ROBIN) == spec.placement
    assert (
        RetryRule(
            classes=(FailureClass.OUT_OF_MEMORY,),
            action=RetryAction.RETRY,
            scale={"memory_mib": 2.0, "walltime_s": 1.5},
            limit={"memory_mib": 65536, "walltime_s": 3600, "cpus": 4},
        ),
        RetryRule(classes=(FailureClass.LOST, FailureClass.QUOTA), action=RetryAction.FAIL, count=False),
    ) == spec.retry.rules


def test_a_list_is_an_axis_and_a_value_is_a_constant():
    spec = load_text(
        "{command: [x], parameters: {a: [1, [2]], b: text, c: {value: [1, 2]}, d: {values: [[1], {e: 2}]}}}"
    ).spec

    assert {
        "a": Values((1, [2])),
        "b": Constant("text"),
        "c": Constant([1, 2]),
        "d": Values(([1], {"e": 2})),
    } == spec.parameters


def test_moving_a_file_or_its_keys_changes_no_task():
    one = load_text("{command: [x], parameters: {a: [1, 2], b: 3}}").spec
    other = load(
        b'{"spec": {"parameters": {"b": 3, "a": [1, 2]}, "command": ["y"]}, "metadata": {"name": "s"},'
        b' "kind": "Sweep", "apiVersion": "reconciler/v1alpha1"}',
        file="elsewhere.json",
        read=nothing_beside,
    ).spec

    assert [point.task for point in expand(one)] == [point.task for point in expand(other)]


def test_a_table_beside_the_manifest_is_kept_in_the_document():
    asked = []

    def read(path):
        asked.append(path)
        return b"a,b\n1,x\n\n2.0,true\n"

    loaded = load_text("{command: [x], points: {file: ./tables/p.csv}}", read)

    assert ["tables/p.csv"] == asked
    assert ({"a": 1, "b": "x"}, {"a": 2.0, "b": True}) == loaded.spec.points == from_document(loaded.document).points


@pytest.mark.parametrize("path", ["/etc/passwd.csv", "../p.csv", "a/../../p.csv", "a\\p.csv", "p.txt", ""])
def test_a_table_elsewhere_is_never_read(path):
    with pytest.raises(InvalidManifest):
        load_text(f"{{command: [x], points: {{file: '{path}'}}}}", read=lambda _: pytest.fail("was read"))


def test_a_table_longer_than_allowed_is_not_read_to_its_end():
    with pytest.raises(InvalidManifest, match="more than 10 points"):
        load_text("{command: [x], points: {file: p.csv}}", lambda _: b"a\n" + b"1\n" * 1000, max_tasks=10)


def test_a_trouble_of_the_repository_is_no_error_of_the_manifest():
    def read(_):
        raise ConnectionResetError  # an OSError: the table could not be read

    assert ["s.yaml:4:37: the table p.csv cannot be read:"] == [
        error.split(" [")[0].strip()
        for error in errors_of(f"{HEAD}spec: {{command: [x], points: {{file: p.csv}}}}".encode(), read)
    ]


def test_an_empty_file_has_no_sweeps():
    assert (
        ()
        == load_all(b"", file="f", read=nothing_beside)
        == load_all(b"# nothing\n---\n", file="f", read=nothing_beside)
    )


def test_one_sweep_means_one():
    with pytest.raises(InvalidManifest, match="there are 0"):
        load(b"", file="f", read=nothing_beside)


def test_all_errors_are_told_at_once():
    text = f"{HEAD}spec: {{comand: [x], state: Off, seed: a}}".encode()

    assert 4 == len(errors_of(text))


def hostile():
    levels = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 25)]
    yield "billion laughs", "\n".join(["a0: &a0 [x, x]", *levels]).encode()
    yield "too large", b"a: " + b"x" * (1 << 20)
    yield "too many values", b"a: [" + b"1," * 150_000 + b"]"
    yield "too deep", b"[" * 100_000
    yield "too deep in mappings", b"{a: " * 100_000
    yield "endless key", b"?" * 100_000
    yield "many errors", b"a: [" + b"!t 1," * 50_000 + b"]"
    yield "long number", b"a: " + b"9" * 100_000
    yield "binary", bytes(range(256)) * 1000
    yield "null characters", b"a: \0\0"
    yield "half a surrogate", b'a: "\\ud800"'


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in hostile()])
def test_a_hostile_file_is_refused_quickly_and_shortly(text):
    before = time.process_time()

    errors = errors_of(text)

    assert 1 <= len(errors) <= 20
    assert max(map(len, errors)) < 500
    assert time.process_time() - before < 3


@pytest.mark.parametrize(
    "parameters",
    [
        "{a: {range: {start: 0, stop: 1000000000}}}",
        "{a: {range: {start: 0, stop: 1000}}, b: {range: {start: 0, stop: 1e3}}, c: {range: {start: 0, stop: 1e3}}}",
    ],
)
def test_a_billion_points_are_refused_by_multiplication(parameters):
    load_text("{command: [x]}")  # the schema is read once
    before = time.process_time()

    with pytest.raises(InvalidManifest, match="1000000000 tasks are more than a sweep may have"):
        load_text(f"{{command: [x], parameters: {parameters}}}")

    assert time.process_time() - before < 0.2


def test_the_limit_counts_before_exclude():
    spec = "{command: [x], parameters: {a: [1, 2, 3]}, exclude: [{a: [1, 2]}]}"

    assert 3 == count(load_text(spec, max_tasks=3).spec)
    with pytest.raises(InvalidManifest, match="3 tasks are more"):
        load_text(spec, max_tasks=2)


@pytest.mark.parametrize("name", ["a", "a-1", "9", "x" * 50])
def test_a_name_is_lower_case_letters_digits_and_dashes(name):
    assert (
        name
        == load(
            HEAD.replace("name: s", f'name: "{name}"').encode() + b"spec: {command: [x]}", file="f", read=nothing_beside
        ).spec.name
    )


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a_b", "a.b", "x" * 51, "ä", "a\\n"])
def test_any_other_name_is_none(name):
    (broken,) = load_all(
        HEAD.replace("name: s", f'name: "{name}"').encode() + b"spec: {command: [x]}", file="f", read=nothing_beside
    )

    assert isinstance(broken, Broken)
    assert broken.name is None


def test_a_broken_manifest_still_tells_its_name():
    (broken,) = load_all(HEAD.encode() + b"spec: {command: [x, ]]}", file="f", read=nothing_beside)

    assert isinstance(broken, Broken)
    assert "s" == broken.name


@pytest.mark.parametrize(("name", "most", "told"), [("MAX_VALUES", 3, "3 values"), ("MAX_ROW", 8, "8 characters")])
def test_a_table_of_very_much_is_refused_where_it_becomes_too_much(monkeypatch, name, most, told):
    monkeypatch.setattr(tables, name, most)

    (error,) = errors_of(
        f"{HEAD}spec: {{command: [x], points: {{file: t.csv}}}}".encode(), lambda _: b"a,b\n1,2\n333333,444444\n"
    )

    assert (True, True) == (error.startswith("t.csv:3:1: "), told in error)
