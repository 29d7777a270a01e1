"""Random histories against small models, and hostile bytes against every reader. RECONCILER_HYPOTHESIS=long: more."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "fakes")]
