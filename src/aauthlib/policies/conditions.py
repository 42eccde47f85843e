"""Conditions of TOML rules, compiled when they are read: each makes a function from facts to whether it holds.

A list means: one of these. Strings match whole and exactly, but for `*`, which stands for any text. A fact that is not
known matches nothing. Facts are any object with attributes of these names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..errors import ConfigurationError

__all__ = [
    "Condition",
    "Pattern",
    "any_matches",
    "boolean",
    "claims_hold",
    "flag_is",
    "patterns",
    "scope_within",
    "text_matches",
    "time_within",
]

Condition: TypeAlias = Callable[[Any], bool]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])\Z")


class Pattern:
    """A text to be matched whole, in which `*` stands for any text."""

    __slots__ = ("_compiled", "_exact")

    def __init__(self, text: str) -> None:
        self._exact = None if "*" in text else text
        self._compiled = re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)

    def matches(self, value: str) -> bool:
        return value == self._exact if self._exact is not None else self._compiled.fullmatch(value) is not None


def patterns(value: object, what: str) -> tuple[Pattern, ...]:
    """One pattern or several. `what` names them in errors."""
    options = value if isinstance(value, list) else [value]
    if not options or not all(isinstance(option, str) for option in options):
        raise ConfigurationError(f"{what} is a string, or a list of strings.")
    return tuple(map(Pattern, options))


def boolean(value: object, what: str) -> bool:
    """`value`, true or false. `what` names it in errors."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{what} is true or false.")
    return value


def any_matches(options: tuple[Pattern, ...], value: str) -> bool:
    """Whether one of them matches."""
    return any(pattern.matches(value) for pattern in options)


def text_matches(name: str, value: object, where: str) -> Condition:
    """The fact `name` is one of these texts."""
    options = patterns(value, f"{where}: {name}")

    def holds(facts: Any) -> bool:
        found = getattr(facts, name)
        return found is not None and any_matches(options, found)

    return holds


def flag_is(name: str, value: object, where: str) -> Condition:
    """The fact `name` is true, or is false."""
    wanted = boolean(value, f"{where}: {name}")
    return lambda facts: getattr(facts, name) is wanted


def scope_within(value: object, where: str) -> Condition:
    """Every scope value that is asked for is one of these."""
    options = patterns(value, f"{where}: scope")
    return lambda facts: all(any_matches(options, asked) for asked in facts.scope)


def claims_hold(table: str, value: object, where: str) -> list[Condition]:
    """Claims in the fact `table`, each one of its values; of a claim that is a list, one item."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where}: {table} is a table of claims.")
    return [_claim(table, claim, wanted, where) for claim, wanted in value.items()]


def _claim(table: str, name: str, wanted: object, where: str) -> Condition:
    options = wanted if isinstance(wanted, list) else [wanted]
    if not options or not all(isinstance(option, str | bool | int) for option in options):
        raise ConfigurationError(f"{where}: {table}.{name} is a string, boolean or whole number, or a list of them.")
    texts = tuple(Pattern(option) for option in options if isinstance(option, str))
    exact = [option for option in options if not isinstance(option, str)]

    def one(value: object) -> bool:
        if isinstance(value, str):
            return any_matches(texts, value)
        # In Python, True == 1; in a policy it is not.
        return any(type(option) is type(value) and option == value for option in exact)

    def holds(facts: Any) -> bool:
        claims: dict[str, Any] = getattr(facts, table)
        value = claims.get(name)
        return any(map(one, value)) if isinstance(value, list) else one(value)

    return holds


def time_within(value: object, where: str) -> Condition:
    """The fact `now` (Unix seconds) lies in these days and hours of a time zone, and between two moments."""
    if not isinstance(value, Mapping) or not set(value) <= {"zone", "days", "hours", "from", "until"}:
        raise ConfigurationError(f"{where}: time is a table of zone, days, hours, from and until.")
    zone = _zone(value.get("zone", "UTC"), where)
    days = value.get("days", list(_DAYS))
    if not isinstance(days, list) or not all(isinstance(day, str) for day in days) or not set(days) <= set(_DAYS):
        raise ConfigurationError(f"{where}: time.days is a list of {', '.join(_DAYS)}.")
    numbers = {_DAYS.index(day) for day in days}
    text = value.get("hours", "00:00-24:00")
    hours = _HOURS.match(text) if isinstance(text, str) else None
    if hours is None:
        raise ConfigurationError(f"{where}: time.hours looks like 08:00-18:00.")
    start, end = int(hours[1]) * 60 + int(hours[2]), int(hours[3]) * 60 + int(hours[4])
    first, last = _moment(value.get("from"), where, zone), _moment(value.get("until"), where, zone)

    def holds(facts: Any) -> bool:
        moment = datetime.fromtimestamp(facts.now, zone)
        minute = moment.hour * 60 + moment.minute
        within = start <= minute < end if start <= end else minute >= start or minute < end
        return (
            moment.weekday() in numbers
            and within
            and (first is None or moment >= first)
            and (last is None or moment < last)
        )

    return holds


def _zone(name: object, where: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(f"{where}: time.zone {name!r} is not a time zone this machine knows.") from error


def _moment(value: object, where: str, zone: tzinfo) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise ConfigurationError(f"{where}: time.from and time.until are dates with times, as TOML writes them.")
    return value if value.tzinfo is not None else value.replace(tzinfo=zone)
