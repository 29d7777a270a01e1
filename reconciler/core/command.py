"""What a point runs: exact argv, environment and resources. A pure function of the spec and the point."""

from __future__ import annotations

from reconciler.core.errors import Problem
from reconciler.core.model import Point, SweepSpec, Work

# Known only on the source: they stand in argv and environment until the shim replaces them by absolute paths.
# No value may contain them (a manifest that does is refused), so the replacement can never hit data.
OUTPUT_TOKEN = "\x01reconciler:output\x01"
CHECKPOINT_TOKEN = "\x01reconciler:checkpoint\x01"


def render(spec: SweepSpec, point: Point) -> Work:
    """The work of one point. Raises ValueError on a template that `check` would have refused."""
    raise NotImplementedError


def check(spec: SweepSpec) -> list[Problem]:
    """All templates of the spec that cannot be rendered for some point; expands the points only where that is needed."""
    raise NotImplementedError


def parse_duration_s(text: str) -> int:
    """Seconds of "30s", "10m", "1h30m", "2d", "HH:MM:SS" or "D-HH:MM:SS". Raises ValueError, also for zero."""
    raise NotImplementedError


def parse_memory_mib(text: str) -> int:
    """MiB of "4Gi", "512Mi", "2G", rounded up (Gi = 2^30, G = 10^9). Raises ValueError, also for zero."""
    raise NotImplementedError
