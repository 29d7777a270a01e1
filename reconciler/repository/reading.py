"""Which files are manifests, and which entries are refused by name: one rule for commits and for checkouts."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.errors import ManifestError


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """A manifest at a commit. path: from the repository's root, with "/"; blob: git's hash of its content."""

    path: str
    blob: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All that lies under the manifest path, ordered by path.

    manifests   regular files *.yaml, *.yml and *.json, sub-directories included
    refused     symlinks, submodules, odd modes and odd names: each with its position; they hide no other file
    """

    manifests: tuple[ManifestFile, ...]
    refused: tuple[ManifestError, ...] = ()
