"""When cron expressions tick: as crontab(5) says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.cron import first_tick_after


def tick(cron, after, tz="UTC"):
    """Both in ISO form, UTC."""
    instant = first_tick_after(cron, datetime.fromisoformat(after).replace(tzinfo=UTC).timestamp(), tz)
    return instant and datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("* * * * *", "2026-01-01T00:00:01", "2026-01-01T00:01:00"),
        ("*/15 * * * *", "2026-01-01T00:16:00", "2026-01-01T00:30:00"),
        ("0 2 * * *", "2026-01-01T03:00:00", "2026-01-02T02:00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 1 jan *", "2026-01-02T00:00:00", "2027-01-01T00:00:00"),
        # 2026-01-01 is a Thursday
        ("0 0 * * 0", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
        ("0 0 * * 7", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
        ("0 0 * * 1", "2026-01-01T00:00:00", "2026-01-05T00:00:00"),
        ("0 0 * * sun", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
        ("0 0 * * 1-5", "2026-01-02T00:00:00", "2026-01-05T00:00:00"),
        ("0 0 * * 5-7", "2026-01-02T00:00:00", "2026-01-03T00:00:00"),
        ("0 0 * * sat-mon", "2026-01-05T00:00:00", "2026-01-10T00:00:00"),
        ("0 0 * * */3", "2026-01-01T00:00:00", "2026-01-03T00:00:00"),
        ("0 0 * * 2,SAT", "2026-01-01T00:00:00", "2026-01-03T00:00:00"),
        # either of two restricted day fields suffices
        ("0 0 13 * 5", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
        ("0 0 13 * 5", "2026-01-09T00:00:00", "2026-01-13T00:00:00"),
        ("@daily", "2026-01-01T00:00:01", "2026-01-02T00:00:00"),
        ("@hourly", "2026-01-01T00:00:01", "2026-01-01T01:00:00"),
        ("0 0 30 2 *", "2026-01-01T00:00:00", None),
    ],
)
def test_a_tick_is_the_next_matching_minute(cron, after, expected):
    assert expected == tick(cron, after)


def test_a_tick_is_strictly_after_the_instant():
    assert "2026-01-02T02:00:00" == tick("0 2 * * *", "2026-01-01T02:00:00")


@pytest.mark.parametrize(
    ("after", "expected"),
    [("2026-01-10T12:00:00", "2026-01-11T01:30:00"), ("2026-07-10T12:00:00", "2026-07-11T00:30:00")],
)
def test_a_tick_follows_the_time_of_the_zone(after, expected):
    assert expected == tick("30 2 * * *", after, "Europe/Berlin")


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "* * * * * *", "61 * * * *", "* 24 * * *", "x * * * *", "* * * * 8", "* * * * mo", "@reboot"],
)
def test_what_is_no_cron_expression_says_why(cron):
    with pytest.raises(ValueError, match=r"cron"):
        first_tick_after(cron, 0.0)


@pytest.mark.parametrize("tz", ["Mars/Olympus", "", "../../etc/passwd", "/etc/localtime"])
def test_what_is_no_time_zone_says_so(tz):
    with pytest.raises(ValueError, match=r"time zone"):
        first_tick_after("* * * * *", 0.0, tz)
