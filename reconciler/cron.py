"""When a cron expression ticks: pure, with the instant as an argument. The border to APScheduler.

Two differences between APScheduler and crontab(5) end here: its days of the week count from Monday, and it demands day
of month *and* day of week where crontab is content with one of two restricted fields.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger

from reconciler.core.model import Instant

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY_PART = re.compile(r"(?P<first>\*|[0-7]|[a-z]{3})(?:-(?P<last>[0-7]|[a-z]{3}))?(?:/(?P<step>[1-9]))?")
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_HORIZON = timedelta(days=3660)


class _Trigger(Protocol):
    """What we use of APScheduler's triggers, which ship no types."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None: ...


def first_tick_after(cron: str, instant: Instant, tz: str = "UTC") -> Instant | None:
    """The first tick strictly after an instant; None if there is none within ten years ("0 0 30 2 *").

    cron: five fields as in crontab(5): 0 and 7 are Sunday, and a restricted day of month *or* day of week suffices.
    tz: an IANA name. Raises ValueError with a message for a person.
    """
    zone = _zone(tz)
    after = datetime.fromtimestamp(instant, zone) + timedelta(microseconds=1)
    limit = (after + _HORIZON).astimezone(UTC)
    ticks = [trigger.get_next_fire_time(None, after) for trigger in _triggers(cron, zone, limit)]
    return min((tick.timestamp() for tick in ticks if tick is not None), default=None)


def _zone(tz: str) -> tzinfo:
    if tz == "UTC":  # needs no table, which a small container may not have
        return UTC
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{tz[:80]!r} is no time zone; use a name such as Europe/Berlin") from None


def _triggers(cron: str, zone: tzinfo, limit: datetime) -> list[_Trigger]:
    fields = _ALIASES.get(cron, cron).split()
    if len(fields) != 5:
        raise ValueError(f"{cron[:80]!r} has {len(fields)} fields; cron has five: minute hour day month weekday")
    minute, hour, day, month, weekday = fields
    both = day != "*" and weekday != "*"
    days = [(day, "*"), ("*", weekday)] if both else [(day, weekday)]
    try:
        return [
            CronTrigger(
                minute=minute, hour=hour, day=d, month=month, day_of_week=_weekdays(w), timezone=zone, end_date=limit
            )
            for d, w in days
        ]
    except ValueError as error:
        raise ValueError(f"{cron[:80]!r} is no cron expression: {error}") from None


def _weekdays(field: str) -> str:
    """crontab's days of the week as a list of names, which mean the same everywhere."""
    if field == "*":
        return field
    days: set[int] = set()
    for part in field.lower().split(","):
        match = _DAY_PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part[:20]!r} is no day of the week")
        days.update(_days_of(match))
    return ",".join(_DAYS[day] for day in sorted(days))


def _days_of(match: re.Match[str]) -> set[int]:
    step = int(match["step"] or 1)
    if match["first"] == "*":
        return set(range(0, 7, step))
    first = _day(match["first"])
    last = _day(match["last"]) if match["last"] else 6 if match["step"] else first
    last += 7 if last < first else 0  # fri-mon goes round the end of the week, and so does 5-7 as 5-0
    return {day % 7 for day in range(first, last + 1, step)}


def _day(text: str) -> int:
    if text.isdigit():
        return int(text) % 7
    if text not in _DAYS:
        raise ValueError(f"{text!r} is no day of the week")
    return _DAYS.index(text)
