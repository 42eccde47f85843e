"""How long a fetched document stays fresh, from its HTTP cache headers (#jwks-discovery, RFC 9111).

Pure functions of header fields and a clock reading. They know nothing of what the document says.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

from ..http import Fields

__all__ = ["DEFAULT_LIFETIME_S", "FLOOR_S", "MAX_AGE_S", "lifetime_s"]

#: An issuer's keys are fetched at most this often, whatever happens (#jwks-discovery).
FLOOR_S = 60.0
#: A key set is discarded at this age whatever its headers say, so that removed keys lose trust (#jwks-discovery).
MAX_AGE_S = 86_400.0
#: For a document that says nothing about caching.
DEFAULT_LIFETIME_S = 3_600.0

_DIRECTIVE = re.compile(r'\s*([A-Za-z0-9!#$%&\'*+.^_`|~-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^,\s]*))?\s*(?:,|\Z)')
_DIGITS = re.compile(r"[0-9]{1,12}\Z")


def lifetime_s(headers: Fields, now: float) -> float:
    """Seconds a response received at `now` (Unix time) stays fresh: never under the floor, never over 24 hours.

    `Cache-Control: max-age` wins over `Expires`, `Age` is taken off either, `no-store` and `no-cache` mean as little
    as the one-minute floor allows. Malformed values count as stale, as RFC 9111, Section 4.2.1 asks.
    """
    return min(max(_stated(headers, now), FLOOR_S), MAX_AGE_S)


def _stated(headers: Fields, now: float) -> float:
    directives = _directives(headers.get("cache-control") or "")
    if "no-store" in directives or "no-cache" in directives:
        return 0.0
    age = _seconds(headers.get("age") or "0") or 0.0
    if "max-age" in directives:
        return (_seconds(directives["max-age"]) or 0.0) - age
    expires = headers.get("expires")
    if expires is not None:
        at, date = _date(expires), _date(headers.get("date") or "")
        return 0.0 if at is None else at - (now if date is None else date) - age
    return DEFAULT_LIFETIME_S


def _directives(value: str) -> dict[str, str]:
    """The directives of `Cache-Control`; the first of a repeated one counts."""
    found: dict[str, str] = {}
    for match in _DIRECTIVE.finditer(value[:4096]):
        found.setdefault(match[1].lower(), (match[2] or "").strip('"'))
    return found


def _seconds(value: str) -> float | None:
    return float(value) if _DIGITS.match(value.strip()) else None


def _date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
