"""Which link leads to a source."""

from __future__ import annotations

from pathlib import Path

from reconciler.core.addresses import parse_ssh_address
from reconciler.core.settings import SourceConfig
from reconciler.links.base import Link
from reconciler.links.local import LocalLink


def link_to(source: SourceConfig) -> Link:
    """The link to the machine of a source; `host` was checked when the configuration was read."""
    if source.host is None:
        return LocalLink() if source.python is None else LocalLink(python=source.python)
    from reconciler.links.remote import PYTHON  # who needs no SSH does without its library
    from reconciler.links.ssh import SshLink
    from reconciler.links.ssh_connect import Way

    def path(written: str | None) -> Path | None:
        return None if written is None else Path(written)

    way = Way(
        address=parse_ssh_address(source.host),
        config=path(source.ssh_config),
        known_hosts=path(source.known_hosts),
        identity=path(source.identity_file),
    )
    return SshLink(way=way, python=source.python or PYTHON)
