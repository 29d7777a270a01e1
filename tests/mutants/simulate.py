"""`python -m tests.mutants.simulate 0:40`: simulated worlds until the first that breaks a rule, and which rule that is.

Exit code 1 when one did.
"""

from __future__ import annotations

import os
import sys

from tests.sim import run


def main() -> int:
    if not run.hash_seed_is_fixed():
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.mutants.simulate", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    broken = next((world for world in run.run_many(run.seeds_of(sys.argv[1]), jobs=1) if not world.ok), None)
    if broken is None:
        return 0
    for sentence in broken.sentences:
        print(f"{sentence} [seed {broken.seed}]")  # noqa: T201 - a program for people
    return 1


if __name__ == "__main__":
    sys.exit(main())
