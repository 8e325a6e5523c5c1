"""Times as RFC 3339 and Go write them, the same for every Python."""

from datetime import UTC, datetime

import pytest

from layers.errors import LayerError
from layers.moment import parse_moment, parse_time


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-06T07:08:09Z", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2024-05-06T07:08:09.999999999Z", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2024-05-06t07:08:09z", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2024-05-06T07:08:09+02:00", datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC)),
        ("2024-05-06T23:59:60Z", datetime(2024, 5, 6, 23, 59, 59, tzinfo=UTC)),
        ("2024-05-06 7:08:09,5-00:30", datetime(2024, 5, 6, 7, 38, 9, tzinfo=UTC)),
        ("1970-01-01T00:00:01Z", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times(text: str, moment: datetime) -> None:
    assert parse_time(text) == int(moment.timestamp())


@pytest.mark.parametrize(
    "text", ["0000-02-29T00:00:00Z", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z"]
)
def test_before_1970_is_1970(text: str) -> None:
    assert parse_time(text) == 0


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-06",
        "2024-05-06T07:08:09",
        "2024-13-06T07:08:09Z",
        "2024-02-30T07:08:09Z",
        "2024-05-06T24:00:00Z",
        "2024-05-06T07:60:09Z",
        "2024-05-06T07:08:61Z",
        "2024-05-06T07:08:09+25:00",
        "2024-05-06T07:08:09+02:60",
        "2024-05-06T07:08Z",
        "20240506T070809Z",
        "2024-W19-1",
        "2024-05-06T07:08:09Z\n",
        "٢٠٢٤-05-06T07:08:09Z",
        "9999-12-31T23:59:59-23:59x",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(LayerError):
        parse_time(text)


@pytest.mark.parametrize("text", ["2024-05-06", "2024-05-06T00:00", "2024-05-06 00:00:00"])
def test_a_time_without_a_zone(text: str) -> None:
    assert parse_moment(text) == datetime(2024, 5, 6)
