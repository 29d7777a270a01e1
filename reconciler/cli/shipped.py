"""Files that come with us: in the package when it was installed, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

import reconciler
from reconciler.core.errors import UsageError


def shipped(name: str) -> Path:
    """The path of `schemas/…` or `examples/…`. Raises UsageError when it is missing."""
    package = Path(reconciler.__file__).parent
    for base in (package, package.parent):
        if (base / name).exists():
            return base / name
    raise UsageError("IncompleteInstallation", f"this installation lacks {name}", hint="install it again")
