"""Small files that ask for very much: each is refused, or taken, with little work and little memory."""

from __future__ import annotations

import resource
from collections import Counter

import pytest
from hostile import bounded

from reconciler.manifests import Broken, load_all

HEAD = "apiVersion: reconciler/v1alpha1\nkind: Sweep\nmetadata: {name: s}\nspec:\n  command: [x]\n"
CPU_S = 10.0  # many times what each takes; without its bound each takes minutes, or all memory
MEMORY_MIB = 200
HUGE = "0x" + "f" * 298


def names(number: int) -> str:
    return "{" + ",".join(f"p{each}: 1" for each in range(number)) + "}"


def listed(number: int, entry: str) -> str:
    return "[" + ",".join(entry.replace("#", str(each)) for each in range(number)) + "]"


def laughs(depth: int) -> str:
    lines = [f"    d{each}: '{f'$(d{each - 1})' * 10}'" for each in range(1, depth)]
    return "  derived:\n    d0: xxxxxxxxxx\n" + "\n".join(lines) + "\n"


def axes(number: int, axis: str) -> str:
    return "  parameters:\n" + "".join(f"    a{each}: {axis}\n" for each in range(number))


def drawn(distribution: str) -> str:
    return f"  parameters: {{a: {{distribution: {distribution}}}}}\n  samples: 3\n"


REFUSED = {
    "each text ten times in the next": laughs(12),
    "a resource of a long text": "  parameters: {x: "
    + "y" * 100_000
    + "}\n  resources: {cpus: '"
    + "$(x)" * 20_000
    + "'}\n",
    "an argument of a long text": "  parameters: {x: "
    + "y" * 100_000
    + "}\n  derived: {d: '"
    + "$(x)" * 20_000
    + "'}\n",
    "a million million points": axes(2, "{range: {start: 0, stop: 1000000000}}"),
    "more points than digits": axes(9, "{range: {start: -1e300, stop: 1e300, step: 1e-300}}"),
    "numbers beyond floats": drawn(f"uniform, min: 0, max: {HUGE}"),
    "a range beyond floats": drawn("uniform, min: -1.7e308, max: 1.7e308"),
    "a deviation beyond floats": drawn("normal, mean: 1.7e308, stddev: 1.7e308"),
    "a step that is too fine": drawn("uniform, min: 0, max: 1, step: 5e-324"),
    "a step that is too fine for a mean": drawn("normal, mean: 1, stddev: 1e9, step: 5e-324"),
    "probabilities beyond floats": drawn(f"choice, values: [1, 2], probabilities: [{HUGE}, 1]"),
    "bounds beyond floats": axes(1, f"{{linspace: {{start: 0, stop: {HUGE}, num: 3}}}}"),
    "unknown names": f"  parameters: {names(4000)}\n  exclude: {listed(4000, '{q#: 1}')}\n",
    "unknown references": f"  parameters: {names(5000)}\n  derived: {names(5000).replace(': 1', ': $(q)')}\n",
    "many conditions": f"  parameters: {{a: [1]}}\n  when: {listed(3000, '{if: {a: #}, parameters: {b#: 1}}')}\n",
    "columns of two kinds": f"  points: {{columns: {listed(20_000, 'a#')[:-1]}, 1], rows: [[1]]}}\n",
    "draws of a thousand": "  samples: 90000\n" + axes(1000, "{distribution: normal, mean: 0, stddev: 1}"),
    "a thousand constants a task": f"  parameters: {{x: {{range: {{start: 0, stop: 90000}}}}, {names(5000)[1:-1]}}}\n",
}
WHOLE_FILES = {
    "brackets": b"[" * 1_000_000,
    "braces": b"{a: " * 250_000,
    "dashes": b"- " * 500_000,
    "questions": b"? " * 500_000,
    "directives": b"".join(b"%%TAG !a%d! x\n" % each for each in range(70_000)) + b"---\na: 1\n",
    "aliases": b"a: &a [x,x]\nb: &b [*a,*a]\nc: [" + b"*b," * 200_000 + b"]\n",
    "digits": b"a: " + b"9" * 1_000_000,
    "keys": b"".join(b"k%d: 1\n" % each for each in range(90_000)),
}
TAKEN = {
    "many exclusions": axes(1, "{range: {start: 0, stop: 60000}}") + f"  exclude: {listed(9000, '{a0: #}')}\n",
    "exclusions of nothing": axes(1, listed(10_000, "#")) + f"  exclude: {listed(5000, '{a0: x#}')}\n",
    "many inclusions": axes(2, "[1]") + f"  include: {listed(4000, '{a0: #, a1: 1}')}\n",
    "one condition on many values": axes(1, listed(9000, "#"))
    + f"  when: [{{if: {{a0: {listed(9000, '#')}}}, parameters: {{b: [1, 2]}}}}]\n",
}


def read_nothing(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)


def results(text: bytes, figures: Counter[str]) -> list[object]:
    """What comes of it, within the bounds."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with bounded(figures, seconds=CPU_S):
        found = list(load_all(text, file="s.yaml", read=read_nothing, max_tasks=100_000))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    assert grown < MEMORY_MIB, f"took {grown} MiB"
    return found


@pytest.mark.parametrize("spec", REFUSED.values(), ids=REFUSED)
def test_a_bomb_is_refused_and_says_why(spec: str, figures: Counter[str]) -> None:
    (found,) = results((HEAD + spec).encode(), figures)

    assert isinstance(found, Broken)
    assert 1 <= len(found.errors) <= 100


@pytest.mark.parametrize("text", WHOLE_FILES.values(), ids=WHOLE_FILES)
def test_a_file_that_is_a_bomb_is_refused(text: bytes, figures: Counter[str]) -> None:
    assert {Broken} == {type(found) for found in results(text, figures)}


@pytest.mark.parametrize("spec", TAKEN.values(), ids=TAKEN)
def test_what_is_only_large_is_taken(spec: str, figures: Counter[str]) -> None:
    (found,) = results((HEAD + spec).encode(), figures)

    assert not isinstance(found, Broken)
