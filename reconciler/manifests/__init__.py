"""Sweep manifests: YAML or JSON text → checked document → typed spec; every error has a place and a hint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.core.errors import ManifestError, ReconcilerError
from reconciler.core.model import Json, SweepName, SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A good manifest. `document` is what was written, with the points table inlined: `from_document` gives `spec` back."""

    spec: SweepSpec
    document: Json
    warnings: tuple[str, ...] = ()  # sentences: `file:line:column: message`


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A manifest with errors. `name` is None when not even its sweep's name can be read: then nothing may be deleted."""

    name: SweepName | None
    errors: tuple[ManifestError, ...]


class InvalidManifest(ReconcilerError):
    """All errors of one manifest; `str` has one line for each."""

    def __init__(self, broken: Broken) -> None:
        super().__init__("Invalid", "\n".join(map(str, broken.errors)))
        self.name = broken.name
        self.errors = broken.errors

    def __str__(self) -> str:
        return self.message


def load(text: bytes, *, file: str, read: Callable[[str], bytes], max_tasks: int = 100_000) -> Loaded:
    """The one sweep of a file. Raises InvalidManifest with all errors; see `load_all`."""
    raise NotImplementedError


def load_all(
    text: bytes, *, file: str, read: Callable[[str], bytes], max_tasks: int = 100_000
) -> tuple[Loaded | Broken, ...]:
    """Every sweep of a file, documents apart by `---`. Never raises for bad input; an empty file has no sweeps.

    `read` gives the bytes of a points table by its path relative to the manifest's directory ("points.csv",
    "tables/a.csv"; never leaving it), and raises OSError when there is none.
    """
    raise NotImplementedError


def from_document(document: Json) -> SweepSpec:
    """The spec of a document that `load` accepted before (from the store)."""
    raise NotImplementedError
