"""A daemon that starts beside the traces of a lost state says so, instead of beginning anew."""

from __future__ import annotations

from pathlib import Path

from reconciler.core.errors import StoreError
from reconciler.core.settings import Config
from reconciler.store.whole import is_begun


def refuse_lost(config: Config) -> None:
    """Raise StoreError (StateLost) when there is no state, and a root on this machine belongs to one.

    A new state would be refused there, and would run what has run already wherever else it may. Raises StoreError, too,
    when the state cannot be opened.
    """
    if is_begun(Path(config.state_dir)):
        return
    for source in config.sources:
        owner = Path(source.root) / "OWNER"
        if source.host is None and owner.is_file():
            raise StoreError(
                "StateLost",
                f"there is no state in {config.state_dir}, and the root {source.root} belongs to one",
                hint="`reconciler rebuild` brings it back; or move the root aside: then what ran from it is run anew",
            )
