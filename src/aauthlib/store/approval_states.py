"""How an approval goes on, as tables and functions of plain values (#approval-pending). Knows no SQL and no clock.

An approval is given when every step of its course was taken, and refused by the first no. Time is not waited for: what
a deadline leads to is found whenever somebody looks, and dated to when it passed.

    WAITING ─APPROVE→ APPROVED ─WITHDRAW→ WITHDRAWN
       ├─DENY→ DENIED
       ├─TIME_OUT→ EXPIRED
       └─WITHDRAW→ WITHDRAWN
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ..errors import AAuthError

if TYPE_CHECKING:
    from .approval_records import Course, Seat

__all__ = [
    "APPROVAL_TRANSITIONS",
    "ApprovalEvent",
    "ApprovalState",
    "IllegalApproval",
    "Place",
    "after",
    "asked_now",
    "passed",
    "seat_for",
]


class ApprovalState(StrEnum):
    """Where an approval stands."""

    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    """The person, or the end of what it hangs on, took the request back."""


class ApprovalEvent(StrEnum):
    """What can happen to an approval."""

    APPROVE = "approve"
    DENY = "deny"
    TIME_OUT = "time out"
    WITHDRAW = "withdraw"


APPROVAL_TRANSITIONS: Mapping[ApprovalState, Mapping[ApprovalEvent, ApprovalState]] = {
    ApprovalState.WAITING: {
        ApprovalEvent.APPROVE: ApprovalState.APPROVED,
        ApprovalEvent.DENY: ApprovalState.DENIED,
        ApprovalEvent.TIME_OUT: ApprovalState.EXPIRED,
        ApprovalEvent.WITHDRAW: ApprovalState.WITHDRAWN,
    },
    ApprovalState.APPROVED: {ApprovalEvent.WITHDRAW: ApprovalState.WITHDRAWN},
    ApprovalState.DENIED: {},
    ApprovalState.EXPIRED: {},
    ApprovalState.WITHDRAWN: {},
}


class IllegalApproval(AAuthError):
    """An event that cannot happen in this state; the text has both names."""

    def __init__(self, state: ApprovalState, event: ApprovalEvent) -> None:
        super().__init__(f"An approval that is {state} cannot {event}.")


def after(state: ApprovalState, event: ApprovalEvent) -> ApprovalState:
    """The state after `event`. Raises `IllegalApproval`."""
    try:
        return APPROVAL_TRANSITIONS[state][event]
    except KeyError:
        raise IllegalApproval(state, event) from None


@dataclass(frozen=True, slots=True)
class Place:
    """How far an approval has come: stage, escalations of it, and since when (Unix seconds)."""

    stage: int
    depth: int
    since: float


def passed(course: Course, place: Place, *, now: float) -> Iterator[tuple[float, Place | None]]:
    """Every deadline that has passed by `now`: when, and where that led; `None` where nobody is left to be asked."""
    while True:
        step = course.step(place.stage, place.depth)
        over = place.since + step.deadline_s
        if over > now:
            return
        if step.escalate is None:
            yield over, None
            return
        place = Place(place.stage, place.depth + 1, over)
        yield over, place


def asked_now(seats: Collection[Seat], *, person_id: str, four_eyes: bool, spoken: Collection[str]) -> list[Seat]:
    """The seats that can still be heard at a step: `person_id` is whose agent asks, `spoken` who has decided already.

    With four eyes that person has no seat, and sits in nobody's.
    """
    found = []
    for seat in seats:
        if four_eyes and seat.person_id == person_id:
            continue
        if seat.person_id not in spoken:
            found.append(seat)
    return found


def seat_for(asked: Collection[Seat], voter: str, *, person_id: str, four_eyes: bool, spoken: Collection[str]) -> str:
    """In whose place `voter` decides: their own, or that of somebody who is away. Empty when in none.

    A delegate's own delegate has no say: who was trusted to decide is the person that was named.
    """
    if voter in spoken or (four_eyes and voter == person_id):
        return ""
    if any(seat.person_id == voter for seat in asked):
        return voter
    return next((seat.person_id for seat in asked if seat.delegate == voter), "")
