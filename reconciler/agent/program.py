"""This program, laid down on the source for the nodes on which its jobs start.

<root>/agent/<hash>.py            what a job starts: `job`, and behind it the whole program
              <hash>.<a Python>   what a job needs of it, compiled by that build of Python
"""

import __future__

import marshal
import os
import time
from types import CodeType
from typing import Callable, Dict, List, Tuple

from . import job
from .batch import put_bytes
from .crash import crashpoint
from .place import Place, make_folder, unlink

OLD_S = 90 * 86400.0  # jobs may wait long for their node, and start this very file then

_SOURCES = "SOURCES = "  # the line of the program that holds the texts of its modules
_FIRST = ".execute"
_UNTYPED = "untyped"
_FUTURE = getattr(__future__, "annotations", None)  # Python 3.7: they are not evaluated
_NO_ANNOTATIONS: int = 0 if _FUTURE is None else _FUTURE.compiler_flag


def publish(place: Place, program: bytes) -> str:
    """The path of the file that a job is to start; it is made once. Raises OSError."""
    import hashlib  # not in every job

    path = "%s/agent/%s.py" % (place.path, hashlib.sha256(program).hexdigest()[:16])
    make_folder(place.path + "/agent")
    _there(path, lambda: _head(program) + job.TEXT + b"".join(b"#" + line for line in program.splitlines(True)))
    try:
        _there(job.compiled_path(path), lambda: compiled(program))
    except OSError:  # a job will take a moment longer
        pass
    crashpoint("batch.published")
    _drop_old(place.path + "/agent")
    return path


def _drop_old(folder: str) -> None:
    """What no submission has needed for so long."""
    for entry in os.scandir(folder):
        try:
            old = time.time() - entry.stat().st_mtime > OLD_S
        except OSError:  # others come and go
            continue
        if old:
            unlink(entry.path)


def keep(path: str, program: bytes) -> None:
    """Compiled by this Python, which is that of a node: what lies there is odd, or nothing does. Raises OSError."""
    put_bytes(job.compiled_path(path), compiled(program))


def _there(path: str, content: Callable[[], bytes]) -> None:
    """It is needed now; it is made if it is not there."""
    try:
        os.utime(path)
    except FileNotFoundError:
        put_bytes(path, content())


def _head(program: bytes) -> bytes:
    return sources(program)[job.PACKAGE + ".job"].encode("utf-8")


def sources(program: bytes) -> Dict[str, str]:
    """The texts of its modules, by name."""
    import ast  # not in every session

    line = next(line for line in program.decode("ascii").splitlines() if line.startswith(_SOURCES))
    texts: Dict[str, str] = ast.literal_eval(line[len(_SOURCES) :])
    return texts


def compiled(program: bytes) -> bytes:
    """What a job needs of it, for this very Python, and without types."""
    codes: List[Tuple[str, CodeType]] = []
    _collect(job.PACKAGE + _FIRST, sources(program), codes)
    return job.sealed(marshal.dumps(codes))


def _collect(name: str, texts: Dict[str, str], codes: List[Tuple[str, CodeType]]) -> None:
    """This module behind all that it needs."""
    import ast

    if any(name == known for known, _ in codes):
        return
    if name != job.PACKAGE:
        _collect(job.PACKAGE, texts, codes)
    tree = ast.parse(texts[name])
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if node.module == "typing":
                node.module, node.level = _UNTYPED, 1
            if node.level:
                for last in [node.module] if node.module else [alias.name for alias in node.names]:
                    _collect("%s.%s" % (job.PACKAGE, last), texts, codes)
    codes.append((name, compile(tree, "<%s>" % name, "exec", _NO_ANNOTATIONS, True)))
