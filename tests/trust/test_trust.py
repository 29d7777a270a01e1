"""What TRUST.md says is what there is."""

from __future__ import annotations

from tests.trust.__main__ import ROOT, track_record


def test_the_track_record_names_each_bug_that_is_kept_as_a_mutant():
    document = (ROOT / "TRUST.md").read_text()

    assert [row for row in track_record() if row not in document] == []
