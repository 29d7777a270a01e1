"""The operator's file: where it is looked for, what it means, and what is said when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.config import InvalidConfig, load
from reconciler.core.model import ProjectName, SourceName
from reconciler.core.settings import (
    SELF,
    ProjectConfig,
    RepositoryConfig,
    SourceConfig,
    Sync,
    Transfer,
    Verification,
)

FULL = """\
repository: {url: ../sweeps.git, branch: trunk, path: all/sweeps/, interval: 2m,
             verify: {mode: Head, allowedSigners: signers}}
sources:
  laptop: {slots: 4, gpus: [0, 1], gpuType: a100, memory: 64Gi, labels: {gpu: a100}}
  spare:  {scheduler: process, root: ~/spare, enabled: false}
state: {dir: ~/state}
results: {dir: results}
limits: {maxTasksPerSweep: 5}
prune: {maxTasks: 0}
http: {listen: "[::1]:9999"}
"""


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def work(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def checkout(work):
    (work / ".git").mkdir()
    (work / ".git/HEAD").write_text("ref: refs/heads/topic/x\n")
    (work / "sweeps.d").mkdir()
    return work


def load_text(text, work, home):
    (work / "reconciler.yaml").write_text(text)
    return load(None, cwd=work, env={}, home=home, cpus=8)


def errors_of(text, work, home):
    with pytest.raises(InvalidConfig) as caught:
        load_text(text, work, home)
    return [str(error).removeprefix(f"{work}/") for error in caught.value.errors]


def test_everything_may_be_said(work, home):
    config = load_text(FULL, work, home)

    assert (
        RepositoryConfig(
            url=f"{work.parent}/sweeps.git",
            branch="trunk",
            path="all/sweeps",
            interval_s=120.0,
            verify=Verification(mode="Head", allowed_signers=f"{work}/signers"),
        )
        == config.repository
    )
    assert (
        SourceConfig(
            name=SourceName("laptop"),
            slots=4,
            gpus=(0, 1),
            gpu_type="a100",
            memory_mib=65536,
            labels={"gpu": "a100"},
            root=f"{home}/state/sources/laptop",
        ),
        SourceConfig(name=SourceName("spare"), slots=8, root=f"{home}/spare", enabled=False),
    ) == config.sources
    assert (f"{home}/state", f"{work}/results") == (config.state_dir, config.results_dir)
    assert (5, 0) == (config.max_tasks_per_sweep, config.prune_max_tasks)
    assert ("::1", 9999) == (config.listen_host, config.listen_port)
    assert str(work / "reconciler.yaml") == config.file


def test_projects_are_read_with_every_default(work, home):
    text = """
repository: {url: r.git}
projects:
  mnist: {url: "git@host:mnist.git", link: [.venv, data]}
  local: {url: ../code, transfer: Fetch}
  there: {url: ../code, sync: Verify, path: {local: ~/code}}
  self: {sync: Verify, path: /srv/sweeps}
"""
    config = load_text(text, work, home)

    assert (
        ProjectConfig(name=ProjectName("mnist"), url="git@host:mnist.git", link=(".venv", "data")),
        ProjectConfig(name=ProjectName("local"), url=f"{work.parent}/code", transfer=Transfer.FETCH),
        ProjectConfig(
            name=ProjectName("there"),
            url=f"{work.parent}/code",
            sync=Sync.VERIFY,
            paths={SourceName("local"): "~/code"},
        ),
        ProjectConfig(name=SELF, url=f"{work}/r.git", sync=Sync.VERIFY, path="/srv/sweeps"),
    ) == config.projects


def test_only_the_repository_must_be_said(work, home):
    config = load_text("repository: {url: git@host:team/sweeps.git}", work, home)

    assert RepositoryConfig(url="git@host:team/sweeps.git") == config.repository
    assert ["local"] == [source.name for source in config.sources]
    assert ("127.0.0.1", 9470) == (config.listen_host, config.listen_port)


def test_results_are_collected_from_hosts_or_from_all(work, home):
    two = "sources: {near: {}, far: {host: 'ssh://far'}}"

    hosts = load_text(f"repository: {{url: /x}}\n{two}", work, home)
    every = load_text(f"repository: {{url: /x}}\n{two}\nresults: {{sources: All, maxFile: 1Gi}}", work, home)

    assert ({"far"}, 64) == (hosts.collecting, hosts.results_max_file_mib)
    assert ({"near", "far"}, 1024) == (every.collecting, every.results_max_file_mib)


def test_each_repository_has_folders_of_its_own(work, home):
    one, other = (load_text(f"repository: {{url: git@host:{name}.git}}", work, home) for name in ("a", "b"))

    assert one.state_dir != other.state_dir
    assert one.results_dir.startswith(f"{home}/reconciler-results/a-")
    assert [f"{one.state_dir}/sources/local"] == [source.root for source in one.sources]


def test_without_a_file_the_repository_around_is_served(checkout, home):
    config = load(None, cwd=checkout / "sweeps.d", env={}, home=home, cpus=3)

    assert config.file is None
    assert RepositoryConfig(url=str(checkout), branch="topic/x") == config.repository
    assert [("local", 3)] == [(source.name, source.slots) for source in config.sources]


def test_a_file_without_a_repository_serves_the_one_around(checkout, home):
    assert str(checkout) == load_text("sources: {a: {slots: 1}}", checkout, home).repository.url


def test_a_linked_work_tree_has_its_own_branch(checkout, home):
    linked = checkout.parent / "linked"
    (linked / "sweeps.d").mkdir(parents=True)
    (checkout / ".git/worktrees/linked").mkdir(parents=True)
    (checkout / ".git/worktrees/linked/HEAD").write_text("ref: refs/heads/other\n")
    (linked / ".git").write_text("gitdir: ../work/.git/worktrees/linked\n")

    assert "other" == load(None, cwd=linked, env={}, home=home, cpus=1).repository.branch


@pytest.mark.parametrize("head", ["0123456789abcdef0123456789abcdef01234567\n", "", None])
def test_a_branch_that_cannot_be_told_is_main(checkout, home, head):
    (checkout / ".git/HEAD").unlink()
    if head is not None:
        (checkout / ".git/HEAD").write_text(head)

    assert "main" == load(None, cwd=checkout, env={}, home=home, cpus=1).repository.branch


def test_without_file_and_repository_there_is_advice(work, home):
    with pytest.raises(InvalidConfig, match=r"no configuration, and no git repository with `sweeps.d/`") as caught:
        load(None, cwd=work, env={}, home=home, cpus=1)

    assert "reconciler init" in caught.value.errors[0].hint


def test_the_first_place_with_a_file_counts(work, home, tmp_path):
    def put(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("repository: {url: /srv/x.git}")
        return path

    def found(path=None, env=None):
        return load(path, cwd=work, env=env or {}, home=home, cpus=1).file

    user = put(home / ".config/reconciler/reconciler.yaml")
    assert str(user) == found()
    here = put(work / "reconciler.yaml")
    assert str(here) == found()
    named = put(home / "named.yaml")
    assert str(named) == found(env={"RECONCILER_CONFIG": "~/named.yaml"})
    argument = put(work / "sub/argument.yaml")
    assert str(argument) == found(Path("sub/argument.yaml"), env={"RECONCILER_CONFIG": str(named)})


def test_a_named_file_that_is_missing_is_an_error(work, home):
    with pytest.raises(InvalidConfig, match="cannot be read: No such file"):
        load(Path("nowhere.yaml"), cwd=work, env={}, home=home, cpus=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "repositry: {url: x}",
            ":1:1: unknown field `repositry` [UnknownField]",
        ),
        (
            "repository: {}",
            ":1:13: the field `url` is missing [MissingField]",
        ),
        (
            "repository: {url: x, interval: 30}",
            ":1:32: must be text, not the number 30 [InvalidType]",
        ),
        (
            "repository: {url: x, interval: 3x}",
            ":1:32: `3x` is not a duration: write 30s, 10m, 1h30m, 2d or HH:MM:SS [InvalidValue]",
        ),
        (
            "repository: {url: x, path: /etc}",
            ':1:28: the text "/etc" is not of the form that is wanted here [InvalidValue]',
        ),
        (
            "repository: {url: 'https://me:secret@h/x'}",
            ":1:19: a password does not belong into a file that people read [PasswordInUrl]",
        ),
        (
            "repository: {url: x, verify: {mode: Head}}",
            ":1:30: mode Head needs `allowedSigners`: without it no commit could be believed [MissingField]",
        ),
        (
            "sources: {a: {slots: 0}}",
            ":1:22: 0 is less than 1 [InvalidValue]",
        ),
        (
            "sources: {a b: {}}",
            ':1:11: the text "a b" is not of the form that is wanted here [InvalidValue]',
        ),
        (
            "sources: {a: {memory: lots}}",
            ":1:23: `lots` is not an amount of memory: write 512Mi or 4Gi [InvalidValue]",
        ),
        (
            "sources: {a: {scheduler: pbs}}",
            ":1:26: this version does not run pbs yet, only `process` and `slurm` [NotSupported]",
        ),
        (
            "results: {maxFile: much}",
            ":1:20: `much` is not an amount of memory: write 512Mi or 4Gi [InvalidValue]",
        ),
        (
            "sources: {a: {maxJobs: 5}}",
            ":1:15: `maxJobs` is for schedulers [NoEffect]",
        ),
        (
            "projects: {p: {}}",
            ":1:15: a project needs a `url`: where its code comes from [MissingField]",
        ),
        (
            "projects: {self: {url: x}}",
            ":1:19: `self` is the repository of the manifests: its url stands there [NoEffect]",
        ),
        (
            "projects: {p: {url: 'https://me:secret@h/x'}}",
            ":1:21: a password does not belong into a file that people read [PasswordInUrl]",
        ),
        (
            "projects: {p: {url: x, path: /y}}",
            ":1:24: `path` is for `sync: Verify`: a worktree has its place in the source's root [NoEffect]",
        ),
        (
            "projects: {p: {sync: Verify}}",
            ":1:15: `sync: Verify` needs `path`: where the checkout lies on the sources [MissingField]",
        ),
        (
            "projects: {p: {sync: Verify, path: y}}",
            ':1:36: the text "y" is not of the form that is wanted here [InvalidValue]',
        ),
        (
            "projects: {p: {sync: Verify, path: {gpu-box: /y}}}",
            ":1:37: there is no source 'gpu-box' [UnknownSource]",
        ),
        (
            "projects: {p: {sync: Verify, path: /y, link: [data]}}",
            ":1:40: `link` has no meaning beside `sync: Verify`, which copies nothing to the source [NoEffect]",
        ),
        (
            "projects: {p: {url: x, link: [../data]}}",
            ':1:31: the text "../data" is not of the form that is wanted here [InvalidValue]',
        ),
        (
            "projects: {p: {url: 'me@h:x', kind: Tree}}",
            ":1:21: a project without git is a folder on this machine [InvalidValue]",
        ),
        (
            "projects: {p: {url: x, kind: Tree, transfer: Fetch}}",
            ":1:46: a project without git cannot be fetched [InvalidValue]",
        ),
        (
            "http: {listen: 'a:70000'}",
            ":1:16: 70000 is no port: 65535 is the last [InvalidValue]",
        ),
        (
            "http: {listen: 9470}",
            ":1:16: must be text, not the number 9470 [InvalidType]",
        ),
        (
            "a: &b 1",
            ":1:4: anchors are not allowed [Anchor]",
        ),
        (
            "a: [",
            ":2:1: did not find expected node content while parsing a flow node [Syntax]",
        ),
        (
            "[]",
            ":1:1: must be a mapping, not a list [InvalidType]",
        ),
        (
            "{}\n---\n{}",
            ": a configuration is one document, without `---` in between [WrongNumber]",
        ),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_with_place_and_reason(checkout, home, text, expected):
    assert [f"reconciler.yaml{expected}"] == errors_of(text, checkout, home)


def test_a_near_miss_is_named(work, home):
    with pytest.raises(InvalidConfig) as caught:
        load_text("repository: {url: x, brnch: y}", work, home)

    assert ["did you mean `branch`?"] == [error.hint for error in caught.value.errors]


def test_the_password_is_not_repeated(work, home):
    assert "secret" not in "".join(errors_of("repository: {url: 'https://me:secret@h/x'}", work, home))


def test_a_repository_that_was_served_is_served_when_its_last_manifest_has_left(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    (project / "sweeps.d").mkdir()
    before = load(None, cwd=project, env={}, home=tmp_path, cpus=1)
    Path(before.state_dir).mkdir(parents=True)

    (project / "sweeps.d").rmdir()

    assert before == load(None, cwd=project, env={}, home=tmp_path, cpus=1)
