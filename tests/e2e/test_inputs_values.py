"""Values are data: whatever is in them, the program receives exactly that, by every way in which it can be told."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DUMP = """
import json, os, sys
with open(os.environ["RECONCILER_PARAMETERS"]) as file:
    parameters = json.load(file)
told = {"argv": sys.argv[1:], "environment": os.environ.get("VALUE"), "parameters": parameters}
with open(os.environ["RECONCILER_OUTPUT"] + "/told.json", "w") as file:
    json.dump(told, file)
"""
COUNT = 500
NASTY = [
    "", " ", "  two  spaces  ", "\t", "\n", "a\nb\n", "\r\n", "\v\f", "\x01\x1b[31m\x7f", "\u0085\u2028\u2029\ufeff",
    "'", '"', "'\"'\"'", "`id`", "$(id)", "$(v)", "$$(v)", "$$$(v)", "$(", "$", "$$", "$(v", "${v}", "$v", "$1", "$@",
    "-", "--", "-v", "--v=1", "-rf /", "=", "a=b", "+a=b", "~a", "~/x", "a,b", "[1,2]", "{a: 1}", "null", "true",
    "1", "1.0", "1e3",
    "\\", "\\\\", "\\n", "a\\", "\\'", "*", "?", "[a-z]*", "**/*", "{a,b}", "!x", "!!str", "&a", "*a", "#", "a # b",
    "%", "%s", "%%", "@x", "|",
    ">", "<", ";", "&&", "||", "; rm -rf /", "| cat", "> /dev/null", "\u00e9", "e\u0301", "\u65e5\u672c\u8a9e",
    "\U0001f600",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u202eabc", "\uffff", "\U0010ffff", "/", "..", "../../etc/passwd",
    "x" * 10_000, "\U0001f600" * 5_000, "'" * 1000, "\\" * 1001, "<<", "---", "...", "output", "$(output)",
    "$(replicate)", "\\u0000", "nan", ".inf",
]  # fmt: skip
PIECES = [
    *"ab1 \t\n\r'\"`$(){}[]\\*?~!#%&;|<>=,:@^+-./\x01\x7f\u00e9\u65e5\U0001f600\u2028\u0085",
    "$(v)",
    "$$(",
    "--",
    "==",
]


def values() -> list[str]:
    """As many different ones: those that people fear, and the same characters at random."""
    dice = random.Random(5)
    found = dict.fromkeys(NASTY)
    while len(found) < COUNT:
        found["".join(dice.choices(PIECES, k=dice.randint(1, 20)))] = None
    return list(found)


VALUES = values()


def document(name: str, spec: dict[str, Any]) -> str:
    """A manifest as JSON, which YAML reads as well when exactly what is not printable is escaped."""
    manifest = {"apiVersion": "reconciler/v1alpha1", "kind": "Sweep", "metadata": {"name": name}, "spec": spec}
    text = json.dumps(manifest, ensure_ascii=False)
    return re.sub("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text)


@pytest.fixture(scope="module")
def told(shared: Any) -> Any:
    """What the programs were told, by sweep."""
    program = shared.root / "dump.py"
    program.write_text(DUMP)
    command = [sys.executable, "-I", "-S", str(program)]
    many = {f"p{index}": value for index, value in enumerate(VALUES)}
    shared.commit(
        each=document(
            "each",
            {
                "command": [*command, "$(v)", "v=$(v)", "$(v)$(v)", "$$(v)"],
                "environment": {"VALUE": "$(v)"},
                "parameters": {"v": VALUES},
            },
        ),
        **{
            style: document(style, {"command": command, "arguments": style, "parameters": many})
            for style in ("none", "hydra", "flags", "equals")
        },
    )
    shared.succeeded("each", COUNT, timeout_s=90)

    def read(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """The parameters of each task, and what it was told."""
        shared.succeeded(name, len(shared.tasks(name)))
        directories = shared.directories(name)
        for task, parameters in shared.tasks(name).items():
            yield parameters, json.loads((Path(directories[task]) / "output/told.json").read_text())

    return read


@pytest.mark.timeout(120)
def test_each_value_arrives_as_an_argument_alone_and_inside_of_others(told: Any) -> None:
    seen = [(found["v"], each["argv"]) for found, each in told("each")]

    assert COUNT == len(seen)
    assert VALUES == [value for value, _ in seen]
    for value, argv in seen:
        assert [value, f"v={value}", value + value, "$(v)"] == argv


def test_each_value_arrives_in_the_environment_and_in_the_parameters_file(told: Any) -> None:
    for parameters, each in told("each"):
        assert (parameters["v"], parameters) == (each["environment"], each["parameters"])


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("none", []),
        ("hydra", [f"p{index}={value}" for index, value in enumerate(VALUES)]),
        ("flags", [word for index, value in enumerate(VALUES) for word in (f"--p{index}", value)]),
        ("equals", [f"--p{index}={value}" for index, value in enumerate(VALUES)]),
    ],
)
def test_each_style_of_arguments_passes_all_values_in_declared_order(
    told: Any, style: str, expected: list[str]
) -> None:
    ((parameters, each),) = told(style)

    assert VALUES == list(parameters.values())
    assert expected == each["argv"]
