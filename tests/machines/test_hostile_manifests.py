"""Whatever is pushed: a manifest is good, or is refused with a place; and what was found good can be run."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path

from hostile import bounded, crooked, mutated
from hypothesis import example, given
from hypothesis import strategies as st
from machine_budget import budget

from reconciler.core import command, identity
from reconciler.core.parameters import expand
from reconciler.manifests import Broken, Loaded, from_document, load_all

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "tests/adapters/manifests"
FILES = sorted([*FOLDER.glob("good/*.*"), *FOLDER.glob("bad/*.yaml"), *ROOT.glob("sweeps.d/*.yaml")])
CORPUS = [path.read_bytes() for path in FILES]
HEAD = "apiVersion: reconciler/v1alpha1\nkind: Sweep\nmetadata: {name: s}\nspec:\n  command: [x, $(a)]\n"
TABLES = [path.read_bytes() for path in (*FOLDER.glob("good/tables/*"), *FOLDER.glob("bad/tables/*"))]
WITH_TABLE = f"{HEAD}  points: {{file: t.csv}}\n".encode()


def judge(text: bytes, table: bytes | None = None) -> None:
    """Every document is understood or refused; what is understood can be hashed, kept, expanded and rendered."""

    def read(path: str) -> bytes:
        if table is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        return table

    for result in load_all(text, file="s.yaml", read=read, max_tasks=2000):
        if isinstance(result, Broken):
            assert result.errors
            assert all(error.reason and error.message and error.position.file for error in result.errors)
            continue
        assert isinstance(result, Loaded)
        kept = identity.declared_json(result.document)
        kept.encode()
        spec = from_document(json.loads(kept))
        assert identity.spec_digest(spec) == identity.spec_digest(result.spec)
        identity.work_digest(spec, None)
        identity.pin_key(spec)
        for point in islice(expand(spec), 50):
            identity.canonical_json(dict(point.parameters)).encode()
            work = command.render(spec, point)
            assert all(isinstance(word, str) for word in work.argv)


@budget(2500, long=40_000)
@given(text=mutated(CORPUS))
@example(
    text=HEAD.encode() + b"  parameters: {a: {distribution: uniform, min: 0, max: 0x" + b"f" * 298 + b"}}\n  samples: 1"
)
def test_a_mistreated_manifest_is_understood_or_refused(text: bytes, figures: Counter[str]) -> None:
    with bounded(figures):
        judge(text)


@budget(500, long=8_000)
@given(table=mutated([*TABLES, b"a,b\n1,2\n3,4\n", b"a\tb\n1\t2\n"]))
def test_a_mistreated_table_is_understood_or_refused(table: bytes, figures: Counter[str]) -> None:
    with bounded(figures):
        judge(WITH_TABLE, table)


GOOD = [
    loaded.document
    for path in FILES
    for loaded in load_all(path.read_bytes(), file=path.name, read=lambda name: (FOLDER / "good" / name).read_bytes())
    if isinstance(loaded, Loaded)
]


@budget(1200, long=20_000)
@given(document=crooked(GOOD))
def test_a_crooked_document_is_understood_or_refused(document: object, figures: Counter[str]) -> None:
    with bounded(figures):
        judge(json.dumps(document).encode())


@budget(300, long=4_000)
@given(text=st.binary(max_size=300))
def test_any_bytes_are_understood_or_refused(text: bytes, figures: Counter[str]) -> None:
    with bounded(figures):
        judge(text)
