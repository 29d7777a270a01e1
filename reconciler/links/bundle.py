"""The agent as one text: its small files, read as package data, and a loader that makes a package of them again.

The text is one Python program for any Python from 3.6 on, whatever is installed on the source: nothing is written
there and nothing is imported from there but the standard library. It travels at the head of the agent's stdin; the
interpreter's own command line only reads that many bytes and runs them, so no limit on arguments is met.
"""

from __future__ import annotations

import functools
from importlib import resources

PACKAGE = "reconciler_agent"
ITSELF = "AGENT"  # what the program finds itself under, if it must lay itself down for other machines

OPTIONS = ("-I", "-S", "-X", "utf8")  # no environment, no site-packages: a quick and equal start everywhere

_LOADER = """\
import sys
if sys.version_info < (3, 6):
    sys.stderr.write("the agent needs Python 3.6 or later, and this is %%s\\n" %% sys.version.split()[0])
    sys.exit(69)
from importlib.machinery import ModuleSpec
SOURCES = %(sources)s
class Finder(object):
    def find_spec(self, name, path=None, target=None):
        if name in SOURCES:
            return ModuleSpec(name, self, is_package=name == %(package)r)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        name = module.__name__
        exec(compile(SOURCES.pop(name), "<%%s>" %% name, "exec"), module.__dict__)
sys.meta_path.insert(0, Finder())
if sys.argv[1:2] == ["exec"]:
    from %(package)s.execute import main
    sys.exit(main(sys.argv[2:]))
from %(package)s.main import main
sys.exit(main(globals().get(%(itself)r, b"")))
"""


@functools.cache
def agent_text() -> bytes:
    """One self-contained Python program, in ASCII: the agent, speaking on stdin and stdout."""
    sources: dict[str, str] = {}
    for file in resources.files("reconciler.agent").iterdir():
        stem, dot, ending = file.name.rpartition(".")
        if dot and ending == "py":
            name = PACKAGE if stem == "__init__" else f"{PACKAGE}.{stem}"
            sources[name] = file.read_text(encoding="utf-8")
    ordered = dict(sorted(sources.items()))
    return (_LOADER % {"package": PACKAGE, "sources": ascii(ordered), "itself": ITSELF}).encode("ascii")


def starter() -> str:
    """What follows `python3 -c`: reads the agent's text from stdin, to the byte, and runs it."""
    return (
        "import os\n"
        "t=b''\n"
        f"while len(t)<{len(agent_text())}:\n"
        f" b=os.read(0,{len(agent_text())}-len(t))\n"
        " if not b: os._exit(69)\n"
        " t+=b\n"
        f"exec(compile(t,'<agent>','exec'),{{'__name__':'__main__','{ITSELF}':t}})\n"
    )
