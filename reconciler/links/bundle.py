"""The agent as one text: its small files, read as package data, and a loader that makes a package of them again.

The text is one Python program for any Python from 3.6 on, whatever is installed on the source: nothing is written there
and nothing is imported from there but the standard library.
"""

from __future__ import annotations

import functools
from importlib import resources

PACKAGE = "reconciler_agent"

_LOADER = """\
import sys, types
if sys.version_info < (3, 6):
    sys.stderr.write("the agent needs Python 3.6 or later, this is %s\\n" % sys.version.split()[0])
    sys.exit(69)
class Finder(object):
    def __init__(self, sources):
        self.sources = sources
    def find_spec(self, name, path=None, target=None):
        if name not in self.sources:
            return None
        from importlib.machinery import ModuleSpec
        return ModuleSpec(name, self, is_package=name == %(package)r)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        name = module.__name__
        exec(compile(self.sources[name], "<%%s>" %% name, "exec"), module.__dict__)
sys.meta_path.insert(0, Finder(%(sources)s))
from %(package)s.main import main
sys.exit(main())
"""


@functools.cache
def agent_text() -> str:
    """One self-contained Python program: the agent, speaking on stdin and stdout."""
    sources: dict[str, str] = {}
    for file in sorted(resources.files("reconciler.agent").iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".py"):
            continue
        stem = file.name.removesuffix(".py")
        name = PACKAGE if stem == "__init__" else f"{PACKAGE}.{stem}"
        sources[name] = file.read_text(encoding="utf-8")
    return _LOADER % {"package": PACKAGE, "sources": ascii(sources)}
