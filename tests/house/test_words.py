"""What the repository's words must not be: unfinished, silenced without a reason, or about anything but the product.

The patterns are spelled with a [b]racketed letter so that this file does not find itself.
"""

from __future__ import annotations

import re

UNFINISHED = re.compile(r"\b(T[O]DO|F[I]XME|X[X]X|HA[C]K|NotImplemented[E]rror)\b")
SILENCED = re.compile(
    r"#\s*(type: ?i[g]nore|n[o]qa|pragma: ?n[o] cover)(\[[\w, -]+\]|: ?[A-Z]+\d+(, ?[A-Z]+\d+)*)?(?P<reason>.*)"
)
SKIPPED = re.compile(
    r"pytest\.(s[k]ip|x[f]ail|imports[k]ip|importors[k]ip|mark\.s[k]ip|mark\.x[f]ail)|mock\.p[a]tch|@p[a]tch\b"
)
ELSEWHERE = re.compile(
    r"\.\./shar[e]d|/work/(shar[e]d|mai[n])|\bDESIG[N]\b|(?i:\bthe bri[e]f\b)"
    r"|(?i:\bissues? #?\d+)|\b[\w.-]+/[\w.-]+#\d+\b"
    r"|(?i:\b(helpe[r]|codin[g]|previou[s]|earlie[r]) sessions?\b)|(?i:\b(Claud[e]|ChatGP[T]|Copilo[t])\b)"
)


def found(pattern, files):
    return [
        f"{file.name}:{number}: {match[0].strip()}"
        for file in files
        for number, line in enumerate(file.lines, start=1)
        for match in pattern.finditer(line)
    ]


def test_nothing_is_left_unfinished(repository):
    offences = found(UNFINISHED, repository.files)
    assert not offences, "\n".join(offences)


def test_a_silenced_check_says_which_and_why(repository):
    silenced = [
        (f"{file.name}:{number}", match)
        for file in repository.python
        for number, line in enumerate(file.lines, start=1)
        if (match := SILENCED.search(line))
    ]

    offences = [place for place, match in silenced if not match[2] or len(match["reason"].strip(" #-—:")) < 10]
    assert not offences, "\n".join(offences)


def test_no_test_skips_or_patches_by_itself(repository):
    tests = [file for file in repository.under("tests") if file.name != "tests/conftest.py"]

    offences = found(SKIPPED, tests)
    assert not offences, "\n".join(offences)


def test_the_repository_speaks_of_the_product_alone(repository):
    offences = found(ELSEWHERE, repository.files)
    assert not offences, "\n".join(offences)
