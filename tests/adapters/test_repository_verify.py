"""Whose commits are believed, with real keys and real signatures."""

from __future__ import annotations

import subprocess

import pytest

from reconciler.clock import SystemClock
from reconciler.core.errors import RepositoryError
from reconciler.core.settings import RepositoryConfig, Verification
from reconciler.repository import Repository

pytestmark = pytest.mark.real("openssh-client")


@pytest.fixture
def key(tmp_path):
    return make_key(tmp_path / "alice")


def make_key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
    return path


def signers(tmp_path, key, options=""):
    file = tmp_path / "signers"
    file.write_text(f"alice@example.org {options} {key.with_suffix('.pub').read_text()}")
    return file


def signed(origin, key):
    origin.git("config", "gpg.format", "ssh")
    origin.git("config", "user.signingKey", str(key))
    return origin.commit(None, "-S")


async def judged(origin, tmp_path, allowed, mode="Head"):
    verification = Verification(mode=mode, allowed_signers=allowed and str(allowed))
    config = RepositoryConfig(url=str(origin.directory), verify=verification)
    mirror = Repository(config, tmp_path / "state/repository.git", clock=SystemClock())
    head = await mirror.fetch()
    try:
        await mirror.verify(head.commit)
    except RepositoryError as error:
        return error.reason
    return "believed"


async def test_a_commit_of_an_allowed_signer_is_believed(origin, tmp_path, key):
    signed(origin, key)

    assert "believed" == await judged(origin, tmp_path, signers(tmp_path, key))


async def test_an_unsigned_commit_is_not_believed(origin, tmp_path, key):
    origin.commit()

    assert "Unverified" == await judged(origin, tmp_path, signers(tmp_path, key))


async def test_a_good_signature_of_a_stranger_is_not_believed(origin, tmp_path, key):
    signed(origin, make_key(tmp_path / "mallory"))

    assert "Unverified" == await judged(origin, tmp_path, signers(tmp_path, key))


async def test_a_signer_whose_time_is_over_is_not_believed(origin, tmp_path, key):
    signed(origin, key)

    assert "Unverified" == await judged(origin, tmp_path, signers(tmp_path, key, 'valid-before="20010101"'))


async def test_an_unsigned_commit_on_top_of_a_signed_one_is_not_believed(origin, tmp_path, key):
    signed(origin, key)
    origin.commit()

    assert "Unverified" == await judged(origin, tmp_path, signers(tmp_path, key))


async def test_a_signed_commit_that_was_changed_is_not_believed(origin, tmp_path, key):
    commit = signed(origin, key)
    forged = origin.git("cat-file", "commit", commit).replace("a change", "another")
    forged = origin.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=forged + "\n")
    origin.git("update-ref", "refs/heads/main", forged)

    assert "Unverified" == await judged(origin, tmp_path, signers(tmp_path, key))


async def test_a_missing_file_of_signers_believes_nobody(origin, tmp_path, key):
    signed(origin, key)

    assert "Unverified" == await judged(origin, tmp_path, tmp_path / "nowhere")


async def test_the_repository_cannot_name_its_own_signers(origin, tmp_path, key):
    mallory = make_key(tmp_path / "mallory")
    signed(origin, mallory)
    origin.git("config", "gpg.ssh.allowedSignersFile", str(signers(tmp_path, mallory)))
    allowed = tmp_path / "real-signers"
    allowed.write_text(f"alice@example.org {key.with_suffix('.pub').read_text()}")

    assert "Unverified" == await judged(origin, tmp_path, allowed)


async def test_without_verification_everybody_is_believed(origin, tmp_path):
    origin.commit()

    assert "believed" == await judged(origin, tmp_path, None, mode="Off")
