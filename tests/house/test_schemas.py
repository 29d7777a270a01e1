"""The schemas are a contract: valid, explained field by field, and kept by every example."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parent.parent.parent
SCHEMAS = sorted((ROOT / "schemas").glob("*.json"))
EXAMPLES = sorted((ROOT / "sweeps.d").glob("**/*.yaml"))


def undescribed(part, whole, pointer="#"):
    """The properties without a description of their own or of the definition that they point to.

    A condition (`if`) describes nothing, and an empty schema allows what is described in another place.
    """
    if isinstance(part, list):
        part = dict(enumerate(part))
    if not isinstance(part, dict):
        return
    if isinstance(part.get("properties"), dict) and not pointer.endswith("/properties"):
        fields = {name: field for name, field in part["properties"].items() if field not in (True, {})}
        for name, field in fields.items():
            definition = whole.get("$defs", {}).get(field.get("$ref", "").removeprefix("#/$defs/"), {})
            if not (field.get("description") or definition.get("description")):
                yield f"{pointer}/properties/{name}"
    for name, child in part.items():
        if name != "if":
            yield from undescribed(child, whole, f"{pointer}/{name}")


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_a_schema_is_valid(path):
    schema = json.loads(path.read_text())

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_each_property_is_described(path):
    schema = json.loads(path.read_text())

    missing = list(undescribed(schema, schema))
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_keeps_the_schema_that_it_names(path):
    first = path.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../schemas/sweep.schema.json"

    schema = path.parent / first.split("=")[1]
    if schema.exists():
        validator = Draft202012Validator(json.loads(schema.read_text()))
        errors = [
            f"{error.json_path}: {error.message}" for error in validator.iter_errors(yaml.safe_load(path.read_text()))
        ]
        assert not errors, "\n".join(errors)


def test_there_is_an_example():
    assert EXAMPLES
