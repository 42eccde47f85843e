"""The conditions of TOML rules, compiled when they are read.

A list means: one of these. Strings match whole and exactly, but for `*`, which stands for any text. Several conditions
of a rule must all hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..errors import ConfigurationError
from .facts import Facts

__all__ = ["Condition", "Pattern", "read_conditions"]

Condition = Callable[[Facts], bool]

_TEXTS = ("agent", "provider", "person_server", "resource", "account", "tenant", "sub_agent", "mission_s256", "sub")
_FLAGS = ("trusted", "chained", "step_up")
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


def read_conditions(table: object, where: str, *, any_person_server: bool) -> tuple[Condition, ...]:
    """Compile a rule's `when`. `where` names the rule in errors. Raises `ConfigurationError`."""
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where}: when is a table.")
    says_who = "person_server" in table or table.get("trusted") is True or table.get("bound") is True
    if ("tenant" in table or "claims" in table) and not says_who and not any_person_server:
        raise ConfigurationError(
            f"{where} believes a tenant or claims whichever person server states them. Add person_server, "
            "trusted = true or bound = true to it; or any_person_server = true, if that is what you want."
        )
    conditions: list[Condition] = []
    for name, value in table.items():
        if name in _TEXTS:
            conditions.append(_text(name, _patterns(value, f"{where}: {name}")))
        elif name in _FLAGS:
            conditions.append(_flag(name, _boolean(value, f"{where}: {name}")))
        elif name == "bound":
            conditions.append(_bound(_boolean(value, f"{where}: bound")))
        elif name == "scope":
            conditions.append(_scope(_patterns(value, f"{where}: scope")))
        elif name in ("claims", "agent_claims"):
            if not isinstance(value, Mapping):
                raise ConfigurationError(f"{where}: {name} is a table of claims.")
            conditions.extend(_claim(name, claim, wanted, where) for claim, wanted in value.items())
        elif name == "answers":
            if not isinstance(value, Mapping):
                raise ConfigurationError(f"{where}: answers is a table from questions to answers.")
            conditions.extend(
                _answer(question, _patterns(wanted, f"{where}: answers")) for question, wanted in value.items()
            )
        elif name == "time":
            conditions.append(_time(value, where))
        else:
            raise ConfigurationError(f"{where} has no condition {name}.")
    return tuple(conditions)


def _any(patterns: tuple[Pattern, ...], value: str) -> bool:
    return any(pattern.matches(value) for pattern in patterns)


def _text(name: str, patterns: tuple[Pattern, ...]) -> Condition:
    def holds(facts: Facts) -> bool:
        value = getattr(facts, name)
        return value is not None and _any(patterns, value)

    return holds


def _flag(name: str, wanted: bool) -> Condition:
    return lambda facts: getattr(facts, name) is wanted


def _bound(wanted: bool) -> Condition:
    return lambda facts: (facts.bound_user is not None) is wanted


def _answer(question: str, patterns: tuple[Pattern, ...]) -> Condition:
    return lambda facts: question in facts.answers and _any(patterns, facts.answers[question])


def _scope(patterns: tuple[Pattern, ...]) -> Condition:
    """Every value that is asked for is one of these."""
    return lambda facts: all(_any(patterns, value) for value in facts.scope)


def _claim(table: str, name: str, wanted: object, where: str) -> Condition:
    """A claim equals one of the values; of a claim that is a list, one item does. A claim not given matches nothing."""
    options = wanted if isinstance(wanted, list) else [wanted]
    if not options or not all(isinstance(option, str | bool | int) for option in options):
        raise ConfigurationError(f"{where}: {table}.{name} is a string, boolean or whole number, or a list of them.")
    patterns = tuple(Pattern(option) for option in options if isinstance(option, str))
    exact = [option for option in options if not isinstance(option, str)]

    def one(value: object) -> bool:
        if isinstance(value, str):
            return _any(patterns, value)
        # In Python, True == 1; in a policy it is not.
        return any(type(option) is type(value) and option == value for option in exact)

    def holds(facts: Facts) -> bool:
        claims: dict[str, Any] = getattr(facts, table)
        value = claims.get(name)
        return any(map(one, value)) if isinstance(value, list) else one(value)

    return holds


def _time(value: object, where: str) -> Condition:
    if not isinstance(value, Mapping) or not set(value) <= {"zone", "days", "hours", "from", "until"}:
        raise ConfigurationError(f"{where}: time is a table of zone, days, hours, from and until.")
    zone = _zone(value.get("zone", "UTC"), where)
    days = value.get("days", list(_DAYS))
    if not isinstance(days, list) or not set(days) <= set(_DAYS):
        raise ConfigurationError(f"{where}: time.days is a list of {', '.join(_DAYS)}.")
    numbers = {_DAYS.index(day) for day in days}
    text = value.get("hours", "00:00-24:00")
    hours = _HOURS.match(text) if isinstance(text, str) else None
    if hours is None:
        raise ConfigurationError(f"{where}: time.hours looks like 08:00-18:00.")
    start, end = int(hours[1]) * 60 + int(hours[2]), int(hours[3]) * 60 + int(hours[4])
    first, last = _moment(value.get("from"), where, zone), _moment(value.get("until"), where, zone)

    def holds(facts: Facts) -> bool:
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


def _patterns(value: object, what: str) -> tuple[Pattern, ...]:
    options = value if isinstance(value, list) else [value]
    if not options or not all(isinstance(option, str) for option in options):
        raise ConfigurationError(f"{what} is a string, or a list of strings.")
    return tuple(map(Pattern, options))


def _boolean(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{what} is true or false.")
    return value
