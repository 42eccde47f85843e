"""Cache headers, read by the clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.discovery.freshness import lifetime_s
from aauthlib.http import Fields

NOW = 1_785_000_000.0  # Sat, 25 Jul 2026 17:20:00 GMT
DATE = "Sat, 25 Jul 2026 17:20:00 GMT"


@pytest.mark.spec("#jwks-discovery")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 3600),
        ({"cache-control": "max-age=300"}, 300),
        ({"cache-control": 'public, Max-Age="300"'}, 300),
        ({"cache-control": "max-age=300, max-age=9000"}, 300),
        ({"cache-control": "max-age=300", "age": "100"}, 200),
        ({"cache-control": "max-age=300", "age": "900"}, 60),
        ({"cache-control": "max-age=300", "expires": "Sat, 25 Jul 2026 23:20:00 GMT"}, 300),
        ({"cache-control": "max-age=0"}, 60),
        ({"cache-control": "max-age=-5"}, 60),
        ({"cache-control": "max-age=x"}, 60),
        ({"cache-control": "max-age"}, 60),
        ({"cache-control": "max-age=99999999999"}, 86_400),
        ({"cache-control": "max-age=900, no-store"}, 60),
        ({"cache-control": 'no-cache="set-cookie", max-age=900'}, 60),
        ({"cache-control": "s-maxage=900"}, 3600),
        ({"expires": "Sat, 25 Jul 2026 17:30:00 GMT"}, 600),
        ({"expires": "Sat, 25 Jul 2026 17:30:00 GMT", "date": "Sat, 25 Jul 2026 17:25:00 GMT"}, 300),
        ({"expires": "0"}, 60),
        ({"expires": DATE}, 60),
    ],
)
def test_the_lifetime_follows_the_headers_within_the_floor_and_a_day(headers: dict[str, str], expected: float) -> None:
    assert lifetime_s(Fields(headers), NOW) == expected


@given(st.text(), st.text(), st.text(), st.text())
def test_no_header_can_break_the_bounds(cache_control: str, expires: str, age: str, date: str) -> None:
    headers = Fields({"cache-control": cache_control, "expires": expires, "age": age, "date": date})
    assert 60 <= lifetime_s(headers, NOW) <= 86_400
