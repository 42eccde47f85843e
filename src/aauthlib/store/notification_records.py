"""What is kept of notifications: where a person wants to be told, when, and what is still to be said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from ..errors import InvalidRequest

__all__ = ["MAX_DIGEST_MINUTES", "WEB_PUSH", "Due", "Preferences", "Subscription"]

#: The channel of a browser's own push service; every other channel is one that the operator named.
WEB_PUSH = "webpush"
MAX_DIGEST_MINUTES = 24 * 60
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Subscription:
    """One place where one person wants to be told."""

    id: str
    person_id: str
    channel: str
    target: Mapping[str, str] = field(repr=False)
    """Where it goes: of a browser `endpoint`, `p256dh` and `auth`, of an operator's channel `to`."""
    name: str
    created_at: float
    confirmed: bool
    delivered_at: float | None = None
    failures: int = 0
    """How many messages in a row could not be delivered."""


@dataclass(frozen=True, slots=True)
class Due:
    """What one subscription is to be told now."""

    subscription: Subscription
    digests: tuple[str, ...]
    """The requests it is about that still wait for a decision."""
    ids: tuple[int, ...]
    attempts: int
    """How often it was tried before."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """When a person wants to be told. Times are minutes after midnight in `zone`; a day of the week has no other."""

    quiet_from: int | None = None
    quiet_until: int | None = None
    zone: str = "UTC"
    digest_minutes: int = 0
    """How many minutes of requests one message gathers; 0 tells at once."""

    def check(self) -> None:
        """Raises `InvalidRequest` for what no form of ours sends."""
        quiet = (self.quiet_from, self.quiet_until)
        if any(minute is not None and not 0 <= minute < _DAY_MINUTES for minute in quiet) or (None in quiet) != (
            quiet == (None, None)
        ):
            raise InvalidRequest("Quiet hours have a beginning and an end, from 00:00 to 23:59.")
        if not 0 <= self.digest_minutes <= MAX_DIGEST_MINUTES:
            raise InvalidRequest("A digest gathers at most one day.")
        if self.zone not in available_timezones():
            raise InvalidRequest("The time zone is not known. Choose one from the list, such as Europe/Madrid.")

    def due_at(self, now: float) -> float:
        """When what happens at `now` (Unix seconds) is to be told: at the end of its digest, and after quiet hours."""
        due = now
        if self.digest_minutes:
            step = self.digest_minutes * 60
            due = (now // step + 1) * step
        return self._after_quiet(due)

    def _after_quiet(self, when: float) -> float:
        if self.quiet_from is None or self.quiet_until is None or self.quiet_from == self.quiet_until:
            return when
        local = datetime.fromtimestamp(when, ZoneInfo(self.zone))
        minute = local.hour * 60 + local.minute
        begins, ends = self.quiet_from, self.quiet_until
        quiet = begins <= minute < ends if begins < ends else minute >= begins or minute < ends
        if not quiet:
            return when
        day = local.date() + timedelta(days=1 if minute >= ends else 0)
        return datetime.combine(day, time(ends // 60, ends % 60), local.tzinfo).timestamp()
