"""The operator's file, typed, with every default filled in.

Looked for as `--config`, $RECONCILER_CONFIG, ./reconciler.yaml, ~/.config/reconciler/reconciler.yaml and
/etc/reconciler/reconciler.yaml; the first that is there counts, alone. Without any, a git repository with `sweeps.d/`
around the working directory is served on this machine. State, results and source roots have one folder per repository,
named by a hash of its url, so that two repositories never meet.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from reconciler import codebases, documents, places, schema
from reconciler.codebases import PASSWORD, REMOTE
from reconciler.core.errors import ConfigError, Problem, ReconcilerError
from reconciler.core.quantities import parse_duration_s, parse_memory_mib
from reconciler.core.settings import Config, RepositoryConfig, Verification
from reconciler.documents import Document, Finding
from reconciler.fields import Fields

FILE_NAME = "reconciler.yaml"
MANIFESTS = "sweeps.d"
_SYSTEM_FILE = Path("/etc/reconciler") / FILE_NAME
_HASH_LENGTH = 10


class InvalidConfig(ReconcilerError):
    """All errors of the configuration; `str` has one line for each."""

    def __init__(self, errors: tuple[ConfigError, ...]) -> None:
        super().__init__("InvalidConfig", "\n".join(map(str, errors)))
        self.errors = errors

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """What of this machine the defaults depend on."""

    folder: Path  # where relative paths count from
    home: Path
    cpus: int

    def path(self, written: str) -> str:
        """An absolute path, without symbolic links being followed."""
        if written == "~" or written.startswith("~/"):
            written = f"{self.home}{written[1:]}"
        return os.path.normpath(self.folder / written)


def load(path: Path | None, *, cwd: Path, env: Mapping[str, str], home: Path, cpus: int) -> Config:
    """The configuration, from the first file of the search order, or the embedded default.

    cwd    absolute; where ./reconciler.yaml and the repository of the embedded default are looked for
    cpus   of this machine: the slots of a source that does not say how many it has
    Raises InvalidConfig with all errors.
    """
    file = find(path, cwd=cwd, env=env, home=home)
    if file is None:
        machine = _Machine(folder=cwd, home=home, cpus=cpus)
        return _config(Fields({}), None, _repository_around(cwd, str(cwd / FILE_NAME), machine), machine)
    document = _read(file)
    machine = _Machine(folder=file.parent, home=home, cpus=cpus)
    fields = Fields.of(document.value)
    if "repository" in fields:
        repository = _repository(fields.part("repository"), machine)
    else:
        repository = _repository_around(cwd, str(file), machine)
    return _config(fields, str(file), repository, machine)


# ---------------------------------------------------------------------------------------------- finding and checking


def find(path: Path | None, *, cwd: Path, env: Mapping[str, str], home: Path) -> Path | None:
    """The first file of the search order; one that is named counts even if it is not there."""
    named = str(path) if path is not None else env.get("RECONCILER_CONFIG", "")
    if named:
        return Path(_Machine(folder=cwd, home=home, cpus=1).path(named))
    candidates = (cwd / FILE_NAME, home / ".config/reconciler" / FILE_NAME, _SYSTEM_FILE)
    return next((each for each in candidates if each.is_file()), None)


def located(file: Path, problem: Problem) -> ConfigError:
    """A problem of the configuration that only others can find, at its place in the file."""
    try:
        text = file.read_bytes()[: documents.MAX_BYTES]
    except OSError:
        text = b""
    found = next(documents.parse(text, file=str(file)), Document(file=str(file), value=None))
    return _error(found.locate(problem))


def _read(file: Path) -> Document:
    try:
        with file.open("rb") as stream:
            text = stream.read(documents.MAX_BYTES + 1)
    except OSError as error:
        message = f"the configuration cannot be read: {error.strerror}"
        raise _invalid(str(file), Problem(path=(), reason="FileUnreadable", message=message)) from error
    found = list(documents.parse(text, file=str(file)))
    document = found[0] if found else Document(file=str(file), value={})
    findings = [finding for each in found for finding in each.findings]
    if len(found) > 1 and not findings:
        message = "a configuration is one document, without `---` in between"
        raise _invalid(str(file), Problem(path=(), reason="WrongNumber", message=message))
    if not findings:
        later = list(places.later(document.value.get("sources") if isinstance(document.value, Mapping) else None))
        told = {problem.path for problem in later}
        wrong = [each for each in schema.problems("config", document.value) if each.path not in told]
        findings = [document.locate(each) for each in later + wrong or _unread(Fields.of(document.value))]
    if findings:
        raise InvalidConfig(
            tuple(map(_error, sorted(findings, key=lambda each: (each.position.line, each.position.column))))
        )
    return document


def _invalid(file: str, problem: Problem) -> InvalidConfig:
    return InvalidConfig((_error(Document(file=file, value=None).locate(problem)),))


def _error(finding: Finding) -> ConfigError:
    return ConfigError(
        finding.reason, finding.message, position=finding.position, pointer=finding.pointer, hint=finding.hint
    )


def _unread(fields: Fields) -> Iterator[Problem]:
    """What has the right form and still cannot be."""
    repository = fields.part("repository")
    verify = repository.part("verify")
    if PASSWORD.match(repository.text("url", "")):
        hint = "use an SSH key, or for https an entry in ~/.netrc"
        message = "a password does not belong into a file that people read"
        yield Problem(path=("repository", "url"), reason="PasswordInUrl", message=message, hint=hint)
    if verify.text("mode", "Off") == "Head" and "allowedSigners" not in verify:
        message = "mode Head needs `allowedSigners`: without it no commit could be believed"
        yield Problem(path=("repository", "verify"), reason="MissingField", message=message)
    try:
        parse_duration_s(repository.text("interval", "30s"))
    except ValueError as error:
        yield Problem(path=("repository", "interval"), reason="InvalidValue", message=str(error))
    yield from codebases.problems(fields.part("projects"), fields.mapping("sources") or ("local",))
    yield from places.problems(fields.part("sources"))
    try:
        parse_memory_mib(fields.part("results").text("maxFile", "64Mi"))
    except ValueError as error:
        yield Problem(path=("results", "maxFile"), reason="InvalidValue", message=str(error))
    port = int(fields.part("http").text("listen", "127.0.0.1:9470").rpartition(":")[2])
    if port > 65535:
        yield Problem(path=("http", "listen"), reason="InvalidValue", message=f"{port} is no port: 65535 is the last")


# ---------------------------------------------------------------------------------------------- filling in


def _config(fields: Fields, file: str | None, repository: RepositoryConfig, machine: _Machine) -> Config:
    name = _short(repository.url)
    basename = re.sub(r"[^A-Za-z0-9_.-]", "-", re.split(r"[/:]", repository.url.rstrip("/"))[-1].removesuffix(".git"))
    state_dir = machine.path(fields.part("state").text("dir", _state_dir(repository.url)))
    defaults = places.Defaults(
        path=machine.path, root=f"{state_dir}/sources", there=f"~/.reconciler/{name}", cpus=machine.cpus
    )
    host, _, port = fields.part("http").text("listen", "127.0.0.1:9470").rpartition(":")
    return Config(
        file=file,
        repository=repository,
        sources=places.read(fields.part("sources"), defaults),
        state_dir=state_dir,
        results_dir=machine.path(fields.part("results").text("dir", f"~/reconciler-results/{basename}-{name[:6]}")),
        max_tasks_per_sweep=fields.part("limits").integer("maxTasksPerSweep", 100_000),
        prune_max_tasks=fields.part("prune").integer("maxTasks", 100),
        listen_host=host.strip("[]"),
        listen_port=int(port),
        results_of_all=fields.part("results").text("sources", "Hosts") == "All",
        results_max_file_mib=parse_memory_mib(fields.part("results").text("maxFile", "64Mi")),
        projects=codebases.read(fields.part("projects"), repository_url=repository.url, path=machine.path),
    )


def _repository(fields: Fields, machine: _Machine) -> RepositoryConfig:
    url = fields.text("url", "")
    verify = fields.part("verify")
    signers = verify.text_or_none("allowedSigners")
    return RepositoryConfig(
        url=url if REMOTE.match(url) else machine.path(url),
        branch=fields.text("branch", "main"),
        path=fields.text("path", MANIFESTS).rstrip("/"),
        interval_s=float(parse_duration_s(fields.text("interval", "30s"))),
        verify=Verification(
            mode=verify.text("mode", "Off"), allowed_signers=machine.path(signers) if signers is not None else None
        ),
    )


def _short(url: str) -> str:
    return sha256(url.encode()).hexdigest()[:_HASH_LENGTH]


def _state_dir(url: str) -> str:
    return f"~/.local/state/reconciler/{_short(url)}"


def _repository_around(cwd: Path, file: str, machine: _Machine) -> RepositoryConfig:
    """The embedded default: the work tree around the working directory, on the branch that is checked out.

    It has manifests, or had some: one that was served before stays so when its last manifest leaves it.
    """
    for folder in (cwd, *cwd.parents):
        if (folder / ".git").exists():
            if (folder / MANIFESTS).is_dir() or Path(machine.path(_state_dir(str(folder)))).is_dir():
                return RepositoryConfig(url=str(folder), branch=_branch(folder / ".git"))
            break
    message = f"there is no configuration, and no git repository with `{MANIFESTS}/` around {cwd}"
    hint = f"`reconciler init` makes one; or write {FILE_NAME}, or name it with --config"
    raise _invalid(file, Problem(path=(), reason="NoConfiguration", message=message, hint=hint))


def _branch(git: Path) -> str:
    """The branch that is checked out; "main" when none is, or it cannot be told."""
    try:
        if git.is_file():  # a linked work tree: the file says where its git folder is
            git = git.parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return "main"
    return head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else "main"
