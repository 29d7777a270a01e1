"""What a scheduler's job starts: `execute`, from compiled code that lies beside this file, or from the text below.

It is the head of <root>/agent/<hash>.py (see `program`); the whole agent follows it as comments, which take no time to
read over. Each job starts an interpreter, and compiling was most of what it did there. So compiled code is kept for one
build of Python. Whatever is odd about that, it is as if it were not there: nothing but a moment is lost.
"""

import marshal
import os
import sys
from binascii import crc32
from types import CodeType, ModuleType

PACKAGE = "reconciler_agent"
TEXT = b"\n# The agent:\n"  # what follows is the program, each line behind a #
_FIRST = PACKAGE + ".execute"
_DIGITS = 8


def compiled_path(path: str) -> str:
    """Where that lies which this very build of Python has compiled from the program at `path`."""
    return "%s.%s-%08x" % (path[: -len(".py")], sys.implementation.cache_tag, crc32(sys.version.encode("utf-8")))


def sealed(data: bytes) -> bytes:
    """As it is kept: a disk may lose a part of it."""
    return b"%0*x" % (_DIGITS, crc32(data)) + data


def load(path: str) -> bool:
    """Make modules of what is kept; False when there is nothing that can be used."""
    try:
        with open(compiled_path(path), "rb") as file:
            kept = file.read()
        data = kept[_DIGITS:]
        if kept != sealed(data):
            return False
        for name, code in marshal.loads(data):  # noqa: S302 - as much ours as this file, and whole
            _make(name, code)
    except Exception:  # noqa: BLE001 - the text below is as good
        return False
    return _FIRST in sys.modules


def _make(name: str, code: CodeType) -> None:
    """As an import would do it: what it needs is there."""
    package, _, last = name.rpartition(".")
    module = ModuleType(name)
    if package:
        module.__package__ = package
        setattr(sys.modules[package], last, module)
    else:
        module.__package__ = name
        module.__path__ = []
    sys.modules[name] = module
    exec(code, module.__dict__)  # noqa: S102 - as an import does


def main() -> None:
    """Never returns. Nothing that an interpreter does at its end is needed."""
    path = sys.argv[0]
    if load(path):
        status: int = sys.modules[_FIRST].main(sys.argv[2:])
        sys.stderr.flush()
        os._exit(status)
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
    with open(path, "rb") as file:
        text = file.read().partition(TEXT)[2]
    program = b"".join(line[1:] for line in text.splitlines(True))
    try:
        exec(compile(program, path, "exec"), {"__name__": "__main__"})  # noqa: S102 - the text of ours below
    finally:
        if sys.argv[4:5] == ["0"]:  # one job of a batch, for all that come later
            _keep(path, program)


def _keep(path: str, program: bytes) -> None:
    """What this Python compiles of the program, beside it; best effort."""
    try:
        __import__(PACKAGE + ".program")
        sys.modules[PACKAGE + ".program"].keep(path, program)
    except Exception:  # noqa: BLE001 - the attempt is recorded, and its job must end as it did
        pass


if __name__ == "__main__":
    main()
