"""Tests of the pure core share makers of small values and Hypothesis generators of whole worlds.

Tests are no package, so the folder of these modules is put on the path: `from core_makers import attempt`.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "strategies"))
