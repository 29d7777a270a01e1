"""Small files, small functions: what does not fit wants to be two things."""

from __future__ import annotations

import ast

FILE_LINES = 400
FUNCTION_LINES = 60


def test_no_file_is_long(repository):
    too_long = [f"{file.name}: {len(file.lines)} lines" for file in repository.python if len(file.lines) > FILE_LINES]

    offences = too_long
    assert not offences, "\n".join(offences)


def test_no_function_is_long(repository):
    functions = [function for file in repository.python for function in file.functions()]

    offences = [f"{place}: {length} lines" for place, length in functions if length > FUNCTION_LINES]
    assert not offences, "\n".join(offences)


def test_each_module_says_what_it_is(repository):
    modules = [file for file in repository.under("reconciler") if file.text.strip()]

    offences = [file.name for file in modules if ast.get_docstring(file.tree) is None]
    assert not offences, "\n".join(offences)
