"""Sweep manifests: YAML or JSON text → checked document → typed spec; every error has a place and a hint.

The checks follow each other, from what every file must obey to what only a whole space can show: syntax and limits
(`documents`), the schema, quantities, the space itself, its size, and at last every template. Each stage reports all
that it finds; the next one runs only when there is nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from reconciler import documents
from reconciler.core.errors import ManifestError, Problem, ReconcilerError
from reconciler.core.model import Json, SweepName
from reconciler.core.spec import SweepSpec
from reconciler.documents import Finding
from reconciler.manifests.checks import Checked, check, name_of
from reconciler.manifests.convert import spec_of

_ASKED = (("spec", "resources"), ("spec", "schedulerOptions"), ("spec", "placement"))  # of schedulers


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A good manifest. `document` is what was written, with a points table inlined; `from_document` gives `spec` back.

    warnings  sentences, `file:line:column: message [Reason]`: no errors, but worth a look
    outline   where it says what a scheduler is asked for
    """

    spec: SweepSpec
    document: Json
    warnings: tuple[str, ...] = ()
    outline: documents.Document = field(default=documents.Document(file="", value=None), compare=False, repr=False)

    def error(self, problem: Problem) -> ManifestError:
        """A problem of what it asks of schedulers, at its place in the file."""
        return _error(self.outline.locate(problem))


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A manifest with errors. `name` is None when not even its sweep can be named: then nothing may be deleted."""

    name: SweepName | None
    errors: tuple[ManifestError, ...]


class InvalidManifest(ReconcilerError):
    """All errors of one manifest; `str` has one line for each."""

    def __init__(self, broken: Broken) -> None:
        super().__init__("InvalidManifest", "\n".join(map(str, broken.errors)))
        self.name = broken.name
        self.errors = broken.errors

    def __str__(self) -> str:
        return self.message


def load(text: bytes, *, file: str, read: Callable[[str], bytes], max_tasks: int = 100_000) -> Loaded:
    """The one sweep of a file. Raises InvalidManifest with all errors; see `load_all`."""
    several = load_all(text, file=file, read=read, max_tasks=max_tasks)
    for each in several:
        if isinstance(each, Broken):
            raise InvalidManifest(each)
    if len(several) == 1 and isinstance(several[0], Loaded):
        return several[0]
    message = f"one sweep was expected in this file, there are {len(several)}"
    document = documents.Document(file=file, value=None)
    finding = document.locate(Problem(path=(), reason="WrongNumber", message=message))
    raise InvalidManifest(Broken(name=None, errors=(_error(finding),)))


def load_all(
    text: bytes, *, file: str, read: Callable[[str], bytes], max_tasks: int = 100_000
) -> tuple[Loaded | Broken, ...]:
    """Every sweep of a file, documents apart by `---`. Never raises for bad input; an empty file has no sweeps.

    `read` gives the bytes of a points table by its path relative to the manifest's directory ("points.csv",
    "tables/a.csv"; never leaving it), and raises OSError when there is none.
    """
    return tuple(
        _loaded(check(each, read=read, max_tasks=max_tasks), each) for each in documents.parse(text, file=file)
    )


def from_document(document: Json) -> SweepSpec:
    """The spec of a document that `load` accepted before (from the store)."""
    return spec_of(document)


def _loaded(checked: Checked, document: documents.Document) -> Loaded | Broken:
    if checked.spec is None:
        findings = sorted(checked.findings, key=lambda each: (each.position.line, each.position.column))
        return Broken(name=name_of(checked.document), errors=tuple(map(_error, findings)))
    return Loaded(
        spec=checked.spec,
        document=checked.document,
        warnings=tuple(map(_warning, checked.notes)),
        outline=document.outline(_ASKED),
    )


def _error(finding: Finding) -> ManifestError:
    return ManifestError(
        finding.reason, finding.message, position=finding.position, pointer=finding.pointer, hint=finding.hint
    )


def _warning(finding: Finding) -> str:
    return f"{finding}; {finding.hint}" if finding.hint else str(finding)
