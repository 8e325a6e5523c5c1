"""Times, as RFC 3339 and Go write them.

`datetime.fromisoformat` reads more with each version of Python: since 3.14 the hour 24, and an
image with such a time makes every podman command of its store fail.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from layers.errors import LayerError

# RFC 3339, section 5.6, and as Go an hour of one digit, and a comma. A time on this machine's clock
# may end before the zone, or before the seconds or hours.
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d?\d):(\d\d)(?::(\d\d)(?:[.,]\d+)?(?:([Zz])|([+-])([01]\d|2[0-3]):([0-5]\d))?)?)?",
    re.ASCII,
)


def parse_moment(text: str) -> datetime:
    """Parse a time to its whole second, without a zone if the text has none. Raise ValueError if
    the text is no time."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    # Python lacks the year 0, a leap year as 4 was, and leap seconds.
    second = 59 if second == 60 else second
    return datetime(year or 4, month, day, hour, minute, second, tzinfo=_zone(*match.groups()[6:]))


def parse_time(text: str) -> int:
    """Parse an RFC 3339 time to whole seconds since 1970; 0 for earlier times, such as Go's zero
    time. Raise LayerError if the text is no time."""
    try:
        moment = parse_moment(text)
    except ValueError:
        raise LayerError(f"not a time: {text[:100]!r}") from None
    if moment.tzinfo is None:
        raise LayerError(f"not an RFC 3339 time: {text[:100]!r}")
    return max(0, int(moment.timestamp()))


def _zone(utc: str | None, sign: str, hours: str, minutes: str) -> timezone | None:
    if not (utc or sign):
        return None
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return timezone(-offset if sign == "-" else offset)
