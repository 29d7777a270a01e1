"""When a cron expression ticks: pure, with the instant as an argument."""

from __future__ import annotations

from reconciler.core.model import Instant


def first_tick_after(cron: str, instant: Instant, tz: str = "UTC") -> Instant | None:
    """The first tick strictly after an instant; None if there is none within ten years ("0 0 30 2 *").

    cron: five fields as in crontab(5): 0 and 7 are Sunday, and a restricted day of month *or* day of week suffices.
    tz: an IANA name. Raises ValueError with a message for a person.
    """
    raise NotImplementedError
